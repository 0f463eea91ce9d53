//! A first sync writes files while the pack still comes; whatever it declines, the ordinary checkout writes.

use std::fs;

use crate::support::*;

/// How many files were written, and how many of them early, as the log says.
pub fn written(log: &str) -> (usize, usize) {
    let line = log.lines().find(|line| line.contains(r#""message":"published""#)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let field = |name: &str| line[name].as_u64().unwrap() as usize;
    (field("written"), field("early"))
}

/// Files of all kinds, many of them alike, so that the server sends some as deltas.
fn varied(repo: &Repo) {
    let text = |seed: usize| {
        noise(seed as u64, 6000).chunks(60).map(|line| format!("{line:x?}\n")).collect::<String>()
    };
    for at in 0..60 {
        let mut lines = text(at % 4);
        lines.insert_str(at * 31, &format!("line {at}\n"));
        repo.write(&format!("dir{}/sub{}/file{at}", at % 7, at % 3), lines);
    }
    repo.write("large", noise(7, 1_100_000));
    repo.write("dir0/large-again", noise(7, 1_100_000));
    repo.write("tool", noise(8, 1_060_000));
    repo.write("empty", "");
    repo.write("dir1/same", "same\n");
    repo.write("dir2/same", "same\n");
    repo.write("dir2/run", "#!/bin/sh\n");
    std::os::unix::fs::symlink("dir0/sub0", repo.path.join("a-link")).unwrap();
    repo.git(&["add", "."]);
    repo.git(&["update-index", "--chmod=+x", "tool", "dir2/run"]);
    repo.git(&["commit", "--quiet", "--message=varied"]);
    repo.git(&["reset", "--quiet", "--hard"]);
}

#[test]
fn files_of_all_kinds_are_written_while_the_pack_comes() {
    let env = Env::new();
    let repo = env.repo("up");
    varied(&repo);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    // A tag at the tip makes the server send the objects sorted by type.
    for tagged in [false, true] {
        if tagged {
            repo.git(&["tag", "--annotate", "--message=tag", "tip"]);
        }
        for (url, depth) in [
            (nginx.url("up/.git"), 1),
            (nginx.url("up/.git"), 0),
            (nginx.url("v0/up/.git"), 1),
            (daemon.url("up/.git"), 1),
        ] {
            let _ = fs::remove_dir_all(env.root());
            let log = env.syncline(&url).arg(format!("--depth={depth}")).sync().stderr;
            env.assert_published(&repo, &repo.head());
            env.assert_no_leftovers();
            let (written, early) = written(&log);
            // The link, and what came before its path was known, were left.
            assert!(written == 70 && early >= 60, "{url} {depth}: {early} of {written}");
        }
    }
}

#[test]
fn sha256_packs_are_unpacked_too() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha256");
    varied(&repo);
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.url("up/.git")).sync().stderr;
    env.assert_published(&repo, &repo.head());
    assert!(written(&log).1 >= 60, "{log}");
}

#[test]
fn files_whose_form_attributes_may_change_are_left_to_the_checkout() {
    let env = Env::new();
    let repo = env.repo("up");
    for (file, content) in [
        ("a", "before the attributes\n"),
        ("plain/.gitattributes", "* text=auto linguist-vendored\n*.bin binary\n"),
        ("plain/x", "x\n"),
        ("plain/below/y", "y\n"),
        ("crlf/.gitattributes", "*.txt text eol=crlf\n"),
        ("crlf/x.txt", "x\n"),
        ("crlf/below/y.txt", "y\n"),
        ("ident/.gitattributes", "id ident\n"),
        ("ident/id", "$Id$\n"),
        ("macro/.gitattributes", "[attr]dos eol=crlf\n*.bat dos\n"),
        ("macro/x.bat", "x\n"),
    ] {
        repo.write(file, content);
    }
    repo.commit(&[("z", "z\n")]);
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.url("up/.git")).sync().stderr;
    env.assert_published(&repo, &repo.head());
    assert_eq!(fs::read(env.link().join("crlf/below/y.txt")).unwrap(), b"y\r\n");
    let (written, early) = written(&log);
    assert!(early >= 5 && written - early >= 5, "{early} of {written}");
}

#[test]
fn an_upstream_of_one_file_or_of_none_is_unpacked() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    repo.git(&["commit", "--quiet", "--allow-empty", "--message=empty"]);
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
    repo.commit(&[("only", "one\n")]);
    fs::remove_dir_all(env.root()).unwrap();
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn what_was_written_early_goes_when_the_sync_fails_or_needs_it_not() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("up/.git");
    env.syncline(&url).sync();
    // The store is made anew, but the tree is whole.
    fs::remove_dir_all(env.root().join(".git/objects")).unwrap();
    env.syncline(&url).sync();
    env.assert_published(&repo, &repo.head());
    env.assert_no_leftovers();

    repo.git(&["config", "-f", ".gitmodules", "submodule.gone.path", "gone"]);
    repo.git(&["config", "-f", ".gitmodules", "submodule.gone.url", "http://127.0.0.1:1/gone"]);
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},gone", repo.head())]);
    repo.git(&["commit", "--quiet", "--message=gone"]);
    fs::remove_dir_all(env.root()).unwrap();
    let log = env.syncline(&url).fail();
    assert!(log.contains("fetch submodule \\\"gone\\\""), "{log}");
    env.assert_no_leftovers();
}

#[test]
fn a_tree_that_names_a_file_and_a_directory_alike_is_refused() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let (blob, below) = (repo.git(&["rev-parse", "HEAD:file"]), repo.git(&["rev-parse", "HEAD:dir"]));
    let tree = [("100644", &b"a"[..], blob.as_str()), ("100644", b"a.b", &blob), ("40000", b"a", &below)];
    repo.commit_tree(&repo.raw_tree(&tree));
    for url in [nginx.url("up/.git"), repo.url().to_owned()] {
        let log = env.syncline(url).fail();
        assert!(log.contains("names \\\"a\\\" as a file and as a directory"), "{log}");
        assert_eq!(env.published(), None);
        env.assert_no_leftovers();
    }
}
