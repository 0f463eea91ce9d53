//! Trees with names, modes and orders that git would not make.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::support::*;

/// A commit with a file of this name, at the top or in a directory.
fn named(hostile: &Hostile, mode: &str, name: &[u8], is_below: bool) {
    hostile.reset();
    let blob = hostile.repo.blob("x");
    let tree = hostile.repo.raw_tree(&[(mode, name, &blob)]);
    let top = if is_below { hostile.repo.raw_tree(&[("40000", b"sub", &tree)]) } else { tree };
    hostile.repo.commit_tree(&top);
}

#[test]
fn names_that_lead_out_or_into_gits_own_are_refused() {
    let hostile = Hostile::new();
    each_row(
        [
            ("..", "'.' and '..' are disallowed"),
            (".", "'.' and '..' are disallowed"),
            ("../../beside/file", "separators"),
            ("/etc/x", "separators"),
            (".git", ".git name"),
            (".gIt", ".git name"),
            (".g\u{200c}it", ".git name"),
            ("git~1", ".git name"),
            (".git...", ".git name"),
            (".git ", ".git name"),
            (".git::$INDEX_ALLOCATION", ".git name"),
            (".git\\foo", ".git name"),
            ("a\\git~1\\b", ".git name"),
        ]
        .into_iter()
        .enumerate(),
        |(at, (name, rule))| {
            let is_below = at % 2 == 1;
            named(&hostile, "100644", name.as_bytes(), is_below);
            let path = format!("{:?}", if is_below { format!("sub/{name}") } else { name.to_owned() });
            let path = if name.contains('\u{200c}') { "\".g" } else { path.as_str() };
            hostile.assert_refused(&["the path", path, rule], |syncline| syncline);
        },
    );
}

#[test]
fn an_empty_name_does_not_move_what_follows_it() {
    let hostile = Hostile::new();
    let blob = hostile.repo.blob("x");
    let sub = hostile.repo.raw_tree(&[("100644", b"", &blob), ("100644", b"x", &blob)]);
    let top = hostile.repo.raw_tree(&[("40000", b"sub", &sub)]);
    hostile.repo.commit_tree(&top);
    // git serves no such tree.
    let fault = fault(&hostile.env.syncline(hostile.repo.url()).fail());
    assert!(
        fault.contains("the path \"sub/\" is not allowed") && fault.contains("must not be empty"),
        "{fault}"
    );
    assert_eq!(hostile.env.published(), None);
    hostile.env.assert_no_leftovers();
    named(&hostile, "100644", b"", false);
    let log = hostile.env.syncline(hostile.repo.url()).fail();
    assert!(log.contains("the path \\\"\\\" is not allowed"), "{log}");
}

#[test]
fn files_that_git_reads_may_not_be_links() {
    let hostile = Hostile::new();
    each_row(
        [
            (".gitmodules", "is not a file"),
            (".GitModules", "must not be a symlink"),
            ("gitmod~1", "must not be a symlink"),
        ],
        |(name, rule)| {
            named(&hostile, "120000", name.as_bytes(), false);
            hostile.assert_refused(&[name, rule], |syncline| syncline);
        },
    );
}

#[test]
fn attributes_behind_a_link_are_not_read() {
    let hostile = Hostile::new();
    fs::write(hostile.env.path("beside/attributes"), "* eol=crlf\n").unwrap();
    symlink(hostile.env.path("beside/attributes"), hostile.repo.path.join(".gitattributes")).unwrap();
    let commit = hostile.repo.commit(&[("text", "one\ntwo\n")]);
    hostile.env.syncline(hostile.url()).sync();
    assert_eq!(hostile.env.published(), Some(commit));
    assert_eq!(hostile.env.read("text"), "one\ntwo\n");
}

#[test]
fn odd_names_are_written_as_they_are_and_steer_no_terminal() {
    let hostile = Hostile::new();
    let blob = hostile.repo.blob("x");
    let names: [&[u8]; 9] =
        [b"\x1b[31mred", b"-rf", b"C:", b"CON", b"a\\b", b"new\nline", b"trailing\r", b"\xe9", b"\xff\xfe"];
    let mut sorted = names;
    sorted.sort();
    let entries: Vec<_> = sorted.iter().map(|name| ("100644", *name, blob.as_str())).collect();
    let commit = hostile.repo.commit_tree(&hostile.repo.raw_tree(&entries));
    for url in [hostile.url(), hostile.repo.url().to_owned()] {
        let _ = fs::remove_dir_all(hostile.env.root());
        let log = hostile.env.syncline(url).arg("-v9").arg("--log-format=text").sync().stderr;
        hostile.env.assert_published(&hostile.repo, &commit);
        assert!(!log.contains("\u{1b}[31m"), "{log:?}");
    }
    // A name in an error is escaped, too.
    let tree = hostile.repo.raw_tree(&[("100644", b"\x1b[31m/x", &blob)]);
    hostile.repo.commit_tree(&tree);
    let log = hostile.env.syncline(hostile.url()).arg("--log-format=text").fail();
    assert!(!log.contains("\u{1b}[31m") && log.contains("separators"), "{log:?}");
}

#[test]
fn names_and_paths_that_no_file_system_takes_are_refused() {
    let hostile = Hostile::new();
    named(&hostile, "100644", &[b'n'; 300], true);
    hostile.assert_refused(&["300 bytes", "255"], |syncline| syncline);

    hostile.reset();
    // git itself serves no tree that is deeper than 2048.
    let path = "dd/".repeat(1_500) + "file";
    let stream = format!(
        "commit refs/heads/main\ncommitter a <a> 0 +0000\ndata 1\nx\nfrom {}\nM 100644 inline {path}\ndata 1\nx\n",
        hostile.good
    );
    hostile.repo.git_with(&["fast-import", "--quiet", "--force"], stream.as_bytes());
    hostile.assert_refused(&["dd/dd/dd/", "4094"], |syncline| syncline);
    hostile.assert_refused(&["dd/dd/dd/", "4094"], |syncline| syncline.arg("--watch-paths=/elsewhere"));
}

#[test]
fn a_path_named_twice_or_out_of_order_is_refused() {
    let hostile = Hostile::new();
    let (blob, target) = (hostile.repo.blob("x"), hostile.repo.blob("../../../beside/hooks"));
    let below = hostile.repo.raw_tree(&[("100644", b"file", &blob)]);
    let (link, file, dir) = ("120000", "100644", "40000");
    each_row(
        [
            (vec![(link, &b"a"[..], target.as_str()), (dir, b"a", &below)], "as a file and as a directory"),
            (
                vec![(link, b"a", &target), (file, b"a.b", &blob), (dir, b"a", &below)],
                "as a file and as a directory",
            ),
            (vec![(link, b"a", &target), (file, b"a", &blob)], "twice"),
            (vec![(dir, b"a", &below), (dir, b"a", &below)], "twice"),
            (vec![(file, b"b", &blob), (link, b"a", &target), (file, b"b", &blob)], "out of order"),
        ],
        |(entries, rule)| {
            hostile.reset();
            hostile.repo.commit_tree(&hostile.repo.raw_tree(&entries));
            hostile.assert_refused(&["the tree names \"a\"", rule], |syncline| syncline);
        },
    );
}

#[test]
fn a_link_that_becomes_a_directory_is_never_followed() {
    let hostile = Hostile::new();
    let (blob, target) = (hostile.repo.blob("evil"), hostile.repo.blob("../../../beside/hooks"));
    let below = hostile.repo.raw_tree(&[("100644", b"file", &blob)]);
    for url in [hostile.url(), hostile.repo.url().to_owned()] {
        hostile.env.syncline(&url).sync();
        for entry in [("120000", &b"d"[..], &target), ("40000", b"d", &below)].repeat(2) {
            let (mode, name, id) = entry;
            let commit = hostile.repo.commit_tree(&hostile.repo.raw_tree(&[(mode, name, id)]));
            hostile.env.syncline(&url).sync();
            hostile.env.assert_published(&hostile.repo, &commit);
            assert_eq!(fs::read_to_string(hostile.env.path("beside/hooks/file")).unwrap(), "untouched");
        }
    }
}

#[test]
fn modes_come_down_to_gits_own() {
    let hostile = Hostile::new();
    let blob = hostile.repo.blob("x");
    let modes = ["100600", "100664", "100666", "100755", "100777", "104755"];
    let entries: Vec<_> = modes.iter().map(|mode| (*mode, mode.as_bytes(), blob.as_str())).collect();
    hostile.repo.commit_tree(&hostile.repo.raw_tree(&entries));
    for url in [hostile.url(), hostile.repo.url().to_owned()] {
        let _ = fs::remove_dir_all(hostile.env.root());
        hostile.env.syncline(url).sync();
        let umask_of_file = fs::metadata(hostile.env.link().join("100664")).unwrap().mode() & 0o777;
        for mode in modes {
            let found = fs::metadata(hostile.env.link().join(mode)).unwrap().permissions().mode() & 0o7777;
            let executable = umask_of_file | (umask_of_file & 0o444) >> 2;
            let is_executable = ["100755", "100777", "104755"].contains(&mode);
            assert_eq!(found, if is_executable { executable } else { umask_of_file }, "{mode}");
        }
        assert_eq!(umask_of_file & 0o111, 0);
    }
}

/// git serves neither, so that only a path or a server of other make brings them.
#[test]
fn what_is_of_no_kind_or_of_another_is_refused() {
    let hostile = Hostile::new();
    let (blob, tree) = (hostile.repo.blob("x"), hostile.repo.raw_tree(&[]));
    each_row(
        [
            ("10644", &blob, "is unknown to git"),
            ("170000", &blob, "is unknown to git"),
            ("40000", &blob, "kind tree"),
            ("100644", &tree, "\"odd\" is a tree, not a file"),
            ("100644", &"12".repeat(20), "1212"),
        ],
        |(mode, id, word)| {
            hostile.reset();
            let _ = fs::remove_dir_all(hostile.env.root());
            hostile.env.syncline(hostile.repo.url()).sync();
            hostile.repo.commit_tree(&hostile.repo.raw_tree(&[(mode, b"odd", id)]));
            let fault = fault(&hostile.env.syncline(hostile.repo.url()).fail());
            assert!(fault.contains(word), "{mode} {id}: {fault}");
            assert_eq!(hostile.env.published().as_ref(), Some(&hostile.good), "{fault}");
            hostile.env.assert_no_leftovers();
        },
    );
}

#[test]
fn links_that_cannot_be_made_are_refused() {
    let hostile = Hostile::new();
    for target in [String::new(), "t".repeat(5_000)] {
        hostile.reset();
        let (blob, id) = (hostile.repo.blob("x"), hostile.repo.blob(&target));
        let tree = hostile.repo.raw_tree(&[("100644", b"file", &blob), ("120000", b"link", &id)]);
        hostile.repo.commit_tree(&tree);
        let rule = format!("impossible target of {} bytes", target.len());
        hostile.assert_refused(&["\"link\" is", &rule], |syncline| syncline);
    }
}

#[test]
fn attributes_run_nothing_and_expand_nothing_but_idents() {
    let hostile = Hostile::new();
    let witness = hostile.env.path("beside/witness");
    let evil = format!("touch {}", witness.display());
    hostile.repo.commit(&[
        (".gitconfig", &format!("[filter \"evil\"]\n\tsmudge = {evil}\n\tprocess = {evil}\n")),
        (".git-hooks/post-checkout", &format!("#!/bin/sh\n{evil}\n")),
        ("a", "a $Format:%H$\n"),
        ("b", "b $Format:%H$\n"),
        ("c", "c \u{e9}\n"),
        ("d", "d\n"),
    ]);
    // A repository within: nobody looks for one there.
    let inner = hostile.repo.path.join("inner");
    for (file, content) in [
        ("HEAD", "ref: refs/heads/main\n"),
        ("config", "[core]\n\tfsmonitor = evil\n"),
        ("objects/x", ""),
        ("refs/x", ""),
    ] {
        hostile.repo.write(inner.join(file).to_str().unwrap(), content);
    }
    hostile.repo.commit(&[]);
    // git would not add such a file once it knew how.
    let attributes =
        "a filter=evil\nb export-subst\nc working-tree-encoding=nonsense\nd diff=evil merge=evil text=auto\n";
    let id = hostile.repo.blob(attributes);
    hostile.repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{id},.gitattributes")]);
    hostile.repo.git(&["commit", "--quiet", "--message=attributes"]);
    let commit = hostile.repo.head();
    for url in [hostile.url(), hostile.repo.url().to_owned()] {
        let _ = fs::remove_dir_all(hostile.env.root());
        hostile.env.syncline(url).env("HOME", &hostile.repo.path).sync();
        assert_eq!(hostile.env.published().as_ref(), Some(&commit));
        for (file, content) in [("a", "a $Format:%H$\n"), ("b", "b $Format:%H$\n"), ("c", "c \u{e9}\n")] {
            assert_eq!(hostile.env.read(file), content);
        }
        assert!(!witness.exists());
    }
}
