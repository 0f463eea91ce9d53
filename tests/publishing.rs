//! The link, the tree behind it, and the trees before it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::support::*;

#[test]
fn a_tree_is_as_git_would_check_it_out() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    repo.write("script", "#!/bin/sh\n");
    fs::set_permissions(env.path("up/script"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("script", env.path("up/relative")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", env.path("up/absolute")).unwrap();
    std::os::unix::fs::symlink("nowhere", env.path("up/dangling")).unwrap();
    repo.write("empty", "");
    repo.write("a/b/c/d/deep", "deep");
    repo.write("na\u{ef}ve \n name", "odd");
    repo.write("big", vec![7; 3 << 20]);
    repo.write("auto", "one\r\ntwo\r\n");
    let commit = repo.commit(&[]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
}

#[test]
fn attributes_shape_files_as_git_does() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let encodings = ["UTF-16", "UTF-16LE", "utf16be", "UTF-16LE-BOM", "UTF-32", "UTF-32BE"];
    let mut attributes = String::from(
        "[attr]stamped ident\n*.crlf text eol=crlf\n*.lf text eol=lf\n*.auto text=auto eol=crlf\n*.bin binary\n\
         *.id ident\n*.stamp stamped\n*.idcrlf ident text eol=crlf\n*.lat working-tree-encoding=ISO-8859-15\n",
    );
    for encoding in encodings {
        attributes.push_str(&format!("*.{encoding} working-tree-encoding={encoding}\n"));
    }
    repo.write(".gitattributes", &attributes);
    repo.write("sub/.gitattributes", "*.id -ident\n*.txt ident\n");
    repo.commit(&[]);
    for file in ["x.crlf", "x.lf", "x.auto", "x.bin"] {
        repo.write(file, "one\ntwo\n");
    }
    for file in ["x.id", "x.stamp", "x.idcrlf", "sub/x.id", "sub/x.txt", "plain"] {
        repo.write(file, "$Id$\nbody $Id$ $Identity$\n$Id: Foreign v1 2 $\n$Id: half\n");
    }
    repo.git(&["add", "--all"]);
    // Files in an encoding enter the index as they are, whatever iconv would say to them.
    for encoding in encodings.iter().copied().chain(["lat"]) {
        repo.write("raw", "gr\u{fc}\u{df}e \u{20ac}\nzwei\n");
        let blob = repo.git(&["hash-object", "-w", "--no-filters", "raw"]);
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},x.{encoding}")]);
    }
    repo.git(&["commit", "--quiet", "--message=attributes"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());

    // A change of attributes changes the form of untouched blobs.
    repo.write(
        ".gitattributes",
        attributes.replace("eol=crlf", "eol=lf").replace("*.id ident", "*.id -ident"),
    );
    let commit = repo.commit(&[]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
}

/// They are written one at a time and, where their form is the blob's, piece by piece.
#[test]
fn attributes_shape_large_files_as_git_does() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.write(
        ".gitattributes",
        "*.crlf text eol=crlf\n*.lf text eol=lf\n*.auto text=auto\n*.id ident\n*.wide working-tree-encoding=UTF-16\n",
    );
    let lines = "a line with $Id$\n".repeat(100_000);
    for file in ["x.crlf", "x.lf", "x.auto", "x.id", "raw", "dir/run"] {
        repo.write(file, &lines);
    }
    repo.git(&["add", "--all"]);
    let blob = repo.git(&["hash-object", "-w", "--no-filters", "raw"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},x.wide")]);
    repo.git(&["update-index", "--chmod=+x", "dir/run"]);
    repo.git(&["commit", "--quiet", "--message=large"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
}

/// The tree is what `git clone` makes of it, whatever `git status` says to that.
#[track_caller]
fn assert_as_cloned(env: &Env, repo: &Repo) {
    let clone = env.path("clone");
    let _ = fs::remove_dir_all(&clone);
    repo.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    fs::remove_dir_all(clone.join(".git")).unwrap();
    assert_eq!(env.published(), Some(repo.head()));
    assert_eq!(listing(&env.link()), listing(&clone));
}

/// Commit files as they are, whatever attributes say.
fn commit_raw(repo: &Repo, files: &[(&str, &str, &str)]) {
    for (mode, path, content) in files {
        repo.write("../raw", content);
        let blob = repo.git(&["hash-object", "-w", "--no-filters", "../raw"]);
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{blob},{path}")]);
    }
    repo.git(&["commit", "--quiet", "--message=raw"]);
}

#[test]
fn attributes_are_taken_from_where_git_takes_them() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let crlf = "* text eol=crlf\n";
    let marked = "\u{feff}*.txt -text\n*.md text eol=crlf\n";
    commit_raw(
        &repo,
        &[
            ("100644", "file", "one\n"),
            ("100755", "executable/.gitattributes", crlf),
            ("100644", "executable/file", "one\n"),
            // Where a link leads is what the blob holds.
            ("120000", "link/.gitattributes", crlf),
            ("100644", "link/file", "one\n"),
            ("100644", "marked/.gitattributes", crlf),
            ("100644", "marked/deep/.gitattributes", marked),
            ("100644", "marked/deep/file.txt", "one\n"),
            ("100644", "marked/deep/file.md", "one\n"),
            ("100644", "cut/.gitattributes", "*.txt text\0\n* text eol=crlf\n"),
            ("100644", "cut/file", "one\n"),
        ],
    );
    let nginx = Nginx::start(&env.path(""));
    for url in [repo.url().to_owned(), nginx.url("up/.git")] {
        let _ = fs::remove_dir_all(env.root());
        env.syncline(url).sync();
        assert_as_cloned(&env, &repo);
    }
}

#[test]
fn odd_keywords_and_what_cannot_be_encoded_are_as_git_has_them() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let attributes = "*.id ident\n*.auto ident text=auto eol=crlf\n*.latin ident working-tree-encoding=ISO-8859-1\n\
        *.wide working-tree-encoding=UTF-16\n*.none working-tree-encoding=no-such\n";
    let idents = "$$Id$ $Id: $Id$ $Id:a b$ $Id: a b $Id$ $Id: a\tb $\n$I$Id$ $Id:\n$Id:$Id";
    commit_raw(
        &repo,
        &[
            ("100644", ".gitattributes", attributes),
            ("100644", "x.id", idents),
            ("100644", "x.auto", idents),
            ("100644", "x.latin", idents),
            ("100644", "c1.latin", "gr\u{fc}\u{df}e \u{80}\n"),
            ("100644", "euro.latin", "\u{20ac}\n"),
            ("100644", "empty.wide", ""),
            ("100644", "x.none", "gr\u{fc}\u{df}e\n"),
        ],
    );
    env.syncline(repo.url()).sync();
    assert_as_cloned(&env, &repo);
}

#[test]
fn any_difference_between_two_trees_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[
        ("file", "f"),
        ("dir/a", "a"),
        ("dir/b", "b"),
        ("mode", "m"),
        ("kind", "k"),
        ("same", "s"),
    ]);
    env.syncline(repo.url()).sync();
    fs::set_permissions(env.path("up/mode"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(env.path("up/kind")).unwrap();
    std::os::unix::fs::symlink("same", env.path("up/kind")).unwrap();
    fs::remove_dir_all(env.path("up/dir")).unwrap();
    let commit = repo.commit(&[("dir", "a file now"), ("file2/x", "a directory")]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);

    fs::remove_file(env.path("up/dir")).unwrap();
    fs::remove_file(env.path("up/kind")).unwrap();
    let commit = repo.commit(&[("dir/b/c", "deeper"), ("kind", "a file again")]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
}

#[test]
fn submodules_are_empty_directories() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub/module", repo.head())]);
    repo.git(&["commit", "--quiet", "--message=submodule"]);
    let commit = repo.head();
    env.syncline(repo.url()).sync();
    assert_eq!(env.published(), Some(commit));
    assert_eq!(fs::read_dir(env.link().join("sub/module")).unwrap().count(), 0);
    assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
}

#[test]
fn the_default_link_is_named_after_the_repository() {
    let env = Env::new();
    let repo = env.repo("up.git");
    Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(env.root()).sync();
    let target = fs::read_link(env.root().join("up.git")).unwrap();
    assert_eq!(target, Path::new(".worktrees").join(repo.head()));
}

#[test]
fn an_absolute_link_elsewhere_has_a_relative_target() {
    let env = Env::new();
    let repo = env.repo("up");
    let link = env.path("else/where/link");
    Syncline::new()
        .arg("--repo")
        .arg(repo.url())
        .arg("--root")
        .arg(env.root())
        .arg("--link")
        .arg(&link)
        .sync();
    let target = fs::read_link(&link).unwrap();
    assert_eq!(target, Path::new("../../root/.worktrees").join(repo.head()));
    assert_eq!(fs::read_to_string(link.join("file")).unwrap(), "one\n");
}

#[test]
fn a_root_behind_a_symlink_is_resolved() {
    let env = Env::new();
    let repo = env.repo("up");
    fs::create_dir(env.path("real")).unwrap();
    std::os::unix::fs::symlink("real", env.root()).unwrap();
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_link_that_is_something_else_is_left_alone() {
    let env = Env::new();
    let repo = env.repo("up");
    fs::create_dir_all(env.link()).unwrap();
    fs::write(env.link().join("mine"), "x").unwrap();
    let log = env.syncline(repo.url()).fail();
    assert!(log.contains("is not a symbolic link") && log.contains(env.link().to_str().unwrap()), "{log}");
    assert!(env.link().join("mine").exists());
}

#[test]
fn a_link_to_a_foreign_place_is_replaced_and_the_place_stays() {
    let env = Env::new();
    let repo = env.repo("up");
    fs::create_dir_all(env.path("foreign")).unwrap();
    fs::write(env.path("foreign/mine"), "x").unwrap();
    fs::create_dir_all(env.root()).unwrap();
    std::os::unix::fs::symlink("../foreign", env.link()).unwrap();
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
    assert!(env.path("foreign/mine").exists());
}

#[test]
fn nothing_foreign_under_the_root_is_touched() {
    let env = Env::new();
    let repo = env.repo("up");
    for foreign in ["lost+found/x", "mine", ".git-backup/y"] {
        let path = env.root().join(foreign);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    for content in ["1", "2"] {
        repo.commit(&[("file", content)]);
        env.syncline(repo.url()).sync();
    }
    for foreign in ["lost+found/x", "mine", ".git-backup/y"] {
        assert!(env.root().join(foreign).exists(), "{foreign}");
    }
}

#[test]
fn somebody_elses_repository_is_refused_as_root() {
    let env = Env::new();
    let repo = env.repo("up");
    let before = listing(&repo.path);
    let log =
        Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(&repo.path).arg("--link=l").fail();
    assert!(log.contains("choose another root"), "{log}");
    assert_eq!(listing(&repo.path), before);
}

/// The remedy for ext4, where creating many files soon after deleting many takes tens of seconds.
#[test]
fn unchanged_files_are_shared_with_the_last_tree() {
    let env = Env::new();
    let repo = env.repo("up");
    let same = ["file", "dir/other"];
    env.syncline(repo.url()).sync();
    let inode = |file: &str| fs::metadata(env.link().join(file)).unwrap().ino();
    let before: Vec<u64> = same.iter().map(|file| inode(file)).collect();
    let commit = repo.commit(&[("new", "new\n")]);
    let log = env.syncline(repo.url()).sync().stderr;
    env.assert_published(&repo, &commit);
    assert_eq!(same.iter().map(|file| inode(file)).collect::<Vec<_>>(), before);
    assert!(log.contains(r#""written":1,"early":0,"reused":2,"by":"hard links""#), "{log}");
}

#[test]
fn trees_can_be_independent_of_each_other() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).arg("--checkout=copy").sync();
    let old = fs::canonicalize(env.link()).unwrap();
    let commit = repo.commit(&[("new", "new\n")]);
    env.syncline(repo.url()).arg("--checkout=copy").arg("--stale-worktree-timeout=1h").sync();
    fs::OpenOptions::new().append(true).open(old.join("file")).unwrap().write_all(b"more").unwrap();
    env.assert_published(&repo, &commit);
    let log = env.syncline(repo.url()).arg("--checkout=hardlink").fail();
    assert!(log.contains(r#"--checkout: "hardlink" is neither link nor copy"#), "{log}");
}

#[test]
fn what_a_consumer_did_to_a_tree_does_not_reach_the_next() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[("edited", "original\n"), ("appended", "a\n"), ("chmodded", "c\n"), ("removed", "r\n")]);
    env.syncline(repo.url()).sync();
    fs::write(env.link().join("edited"), "tampered\n").unwrap();
    fs::write(env.link().join("appended"), "a\nb\n").unwrap();
    fs::set_permissions(env.link().join("chmodded"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(env.link().join("removed")).unwrap();
    let commit = repo.commit(&[("new", "x")]);
    let log = env.syncline(repo.url()).sync().stderr;
    env.assert_published(&repo, &commit);
    assert!(log.contains("edited") && log.contains("altered"), "{log}");
}

#[test]
fn an_altered_tree_is_not_gone_back_to() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = repo.head();
    let keeping = || env.syncline(repo.url()).arg("--stale-worktree-timeout=1h");
    keeping().sync();
    fs::set_permissions(env.link().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
    repo.commit(&[("new", "new\n")]);
    keeping().sync();
    repo.git(&["reset", "--quiet", "--hard", &first]);
    keeping().sync();
    env.assert_published(&repo, &first);
}

#[test]
fn an_altered_published_tree_is_mended_at_the_next_start() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    type Damage = fn(&Path);
    let damages: [Damage; 5] = [
        |tree| fs::write(tree.join("file"), "tampered").unwrap(),
        |tree| fs::remove_file(tree.join("file")).unwrap(),
        |tree| fs::remove_dir_all(tree.join("dir")).unwrap(),
        |tree| fs::remove_file(tree.join(".git")).unwrap(),
        |tree| fs::remove_dir_all(fs::canonicalize(tree).unwrap()).unwrap(),
    ];
    for damage in damages {
        damage(&env.link());
        env.syncline(repo.url()).sync();
        env.assert_published(&repo, &repo.head());
        env.assert_no_leftovers();
    }
    fs::remove_file(env.link()).unwrap();
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn old_trees_go_at_once_or_after_their_time() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = repo.head();
    env.syncline(repo.url()).sync();
    let second = repo.commit(&[("file", "2")]);
    env.syncline(repo.url()).arg("--stale-worktree-timeout=1h").sync();
    assert!(env.root().join(".worktrees").join(&first).exists());
    // Going back to a tree that is still there needs no new one.
    repo.git(&["reset", "--quiet", "--hard", &first]);
    let log = env.syncline(repo.url()).arg("--stale-worktree-timeout=1h").sync().stderr;
    assert!(log.contains("\"written\":0"), "{log}");
    env.assert_published(&repo, &first);
    assert!(env.root().join(".worktrees").join(&second).exists());

    env.syncline(repo.url()).sync();
    assert!(!env.root().join(".worktrees").join(&second).exists());
    assert!(!env.root().join(".git/worktrees").join(&second).exists());
    env.assert_published(&repo, &first);
}

#[test]
fn a_volume_mounted_elsewhere_keeps_working() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    fs::rename(env.root(), env.path("moved")).unwrap();
    fs::rename(env.path("moved"), env.root()).unwrap();
    let moved = env.path("elsewhere");
    fs::rename(env.root(), &moved).unwrap();
    assert_eq!(git(&moved.join("link"), &["status", "--porcelain"]), "");
    Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(&moved).arg("--link=link").sync();
    git(&moved, &["worktree", "prune"]);
    assert_eq!(git(&moved.join("link"), &["rev-parse", "HEAD"]), repo.head());
}

#[test]
fn readers_never_see_neither_nor_a_mixture() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[("a", "0"), ("b", "0")]);
    // A careful consumer needs its tree a little longer than the link shows it.
    let running = env.syncline(repo.url()).arg("--period=10ms").arg("--stale-worktree-timeout=1h").spawn();
    running.wait_for("published");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Resolve the link once, as a careful consumer does, and read both files of that tree.
                let tree = fs::canonicalize(env.link()).expect("the link always leads somewhere");
                let pair = (fs::read(tree.join("a")), fs::read(tree.join("b")));
                if let (Ok(a), Ok(b)) = pair {
                    assert_eq!(a, b);
                    seen += 1;
                }
            }
            seen
        });
        for number in 1..=15 {
            let number = number.to_string();
            let commit = repo.commit(&[("a", &number), ("b", &number)]);
            eventually("the commit's publication", || (env.published()? == commit).then_some(()));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 15);
    });
}

#[test]
fn any_name_will_do_for_the_link_outside_of_our_own_places() {
    let env = Env::new();
    let repo = env.repo("up");
    let syncline = |link: &str| {
        Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(env.root()).arg("--link").arg(link)
    };
    syncline("tmp-link").sync();
    fs::rename(&repo.path, env.path("away")).unwrap();
    syncline("tmp-link").fail();
    assert!(env.root().join("tmp-link/file").exists());
    for link in ["./.git/x", env.root().join(".worktrees/x").to_str().unwrap()] {
        let log = syncline(link).fail();
        assert!(log.contains("keeps its own files"), "{log}");
    }
}
