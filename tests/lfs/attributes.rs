//! Which paths are files of Git LFS, by the attributes of the tree.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::lfs::*;
use crate::support::*;

#[test]
fn attributes_say_which_files_they_are() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let attributes = format!(
        "[attr]heavy filter=lfs diff=lfs merge=lfs -text\n{TRACKED}*.dat heavy\n/top.txt filter=lfs -text\n\
         no/*.bin -filter\nother/*.bin filter=other\nunset/*.bin !filter\nback/** -filter\nback/*.bin heavy\n\
         \"sp ace.txt\" filter=lfs\n[ab].txt filter=lfs\n"
    );
    let files = [
        "a.dat",
        "deep/b.dat",
        "top.txt",
        "no/a.bin",
        "other/a.bin",
        "unset/a.bin",
        "back/a.bin",
        "back/a.dat",
        "sub/a.txt",
        "sub/a.bin",
        "sub/not.txt",
        "sp ace.txt",
        "a.txt",
        "c.txt",
        "gr\u{fc}n.bin",
    ];
    let commit_all = || {
        for file in files {
            repo.write(file, format!("content of {file}\n"));
        }
        repo.commit(&[])
    };
    repo.write("sub/.gitattributes", "*.txt filter=lfs\nnot.txt -filter\n*.bin -filter -diff\n");
    symlink("a.bin", repo.path.join("link.bin")).unwrap();
    repo.write(".gitattributes", attributes);
    let first = commit_all();
    let tracked = repo.git(&["lfs", "ls-files"]).lines().count();
    assert_eq!(tracked, 10, "{}", repo.git(&["lfs", "ls-files"]));
    env.with_lfs(repo.url()).sync();
    env.assert_lfs_published(&repo, &first);
    assert!(env.link().join("link.bin").is_symlink());

    // Files become files of Git LFS and cease to be.
    repo.write(".gitattributes", "c.txt filter=lfs\nno/*.bin filter=lfs\n*.dat -filter\n");
    repo.git(&["rm", "--quiet", "--cached", "-r", "."]);
    let second = commit_all();
    env.with_lfs(repo.url()).sync();
    env.assert_lfs_published(&repo, &second);
    repo.git(&["rm", "--quiet", "-r", "sub"]);
    let third = repo.commit(&[]);
    env.with_lfs(repo.url()).sync();
    env.assert_lfs_published(&repo, &third);
}

/// The pointers are the same, and the files are not.
#[test]
fn only_the_attributes_change() {
    let env = Env::new();
    let repo = env.pointer_repo("up");
    let [a, b] = ["content a\n", "content b\n"];
    for (file, content) in [("a.bin", a), ("sub/b.bin", b), ("sub/c.txt", a)] {
        let pointer = repo.add_lfs_object(content);
        repo.write(file, pointer);
    }
    repo.commit(&[]);
    let [a_text, b_text] = [pointer(a), pointer(b)];
    each_row(
        [
            (TRACKED, "", [a, b, &*a_text]),
            ("", "", [&a_text, &b_text, &a_text]),
            ("", "*.bin filter=lfs\n", [&a_text, b, &a_text]),
            (TRACKED, "*.bin -filter\n*.txt filter=lfs\n", [a, &b_text, a]),
            ("* filter=lfs -text\n", "", [a, b, a]),
            (TRACKED, "", [a, b, &a_text]),
        ],
        |(top, sub, expected)| {
            repo.commit(&[(".gitattributes", top), ("sub/.gitattributes", sub)]);
            for copy in ["link", "copy"] {
                env.with_lfs(repo.url()).arg(format!("--checkout={copy}")).sync();
                for (file, content) in ["a.bin", "sub/b.bin", "sub/c.txt"].into_iter().zip(expected) {
                    env.assert_file(file, content);
                }
                assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
            }
        },
    );
}

/// git converts what it gives to git-lfs, not what comes from there.
#[test]
fn other_attributes_change_no_content() {
    let env = Env::new();
    let repo = env.repo("up");
    let content = "one\n$Id$\r\ntwo\n";
    let pointer = repo.add_lfs_object(content);
    let attributes = [
        "text eol=crlf",
        "text eol=lf",
        "text=auto",
        "crlf",
        "ident",
        "ident text eol=crlf",
        "export-subst",
        "working-tree-encoding=UTF-16LE-BOM",
        "working-tree-encoding=UTF-16",
        "working-tree-encoding=UTF-8",
    ];
    // git refuses to add some of them.
    let pointer = repo.blob(pointer);
    let trees: Vec<_> = (attributes.iter())
        .map(|attributes| {
            let attributes = repo.blob(format!("*.bin filter=lfs {attributes}\n"));
            repo.raw_tree(&[("100644", b".gitattributes", &attributes), ("100644", b"a.bin", &pointer)])
        })
        .collect();
    let names: Vec<String> = (0..trees.len()).map(|number| number.to_string()).collect();
    let entries = names.iter().zip(&trees).map(|(name, tree)| ("40000", name.as_bytes(), tree.as_str()));
    let commit = repo.commit_tree(&repo.raw_tree(&entries.collect::<Vec<_>>()));
    let fresh = env.path("fresh");
    let add = ["worktree", "add", "--quiet", "--detach", fresh.to_str().unwrap(), &commit];
    repo.git(&[&DRIVER[..], &add].concat());
    env.with_lfs(repo.url()).sync();
    each_row(attributes.iter().enumerate(), |(number, attributes)| {
        let file = format!("{number}/a.bin");
        let expected = fs::read(fresh.join(&file)).unwrap();
        let found = fs::read(env.link().join(&file)).unwrap();
        assert_eq!(text(&found), text(&expected), "{attributes}");
    });
}
