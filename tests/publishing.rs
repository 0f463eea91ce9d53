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
    env.syncline(repo.url()).arg("--file-reuse=none").arg("--stale-worktree-timeout=1h").sync();
    fs::OpenOptions::new().append(true).open(old.join("file")).unwrap().write_all(b"more").unwrap();
    env.assert_published(&repo, &commit);
    let log = env.syncline(repo.url()).arg("--checkout=reflink").fail();
    assert!(log.contains(r#"--checkout: must be hardlink or none, not "reflink""#), "{log}");
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

#[test]
fn group_write_lets_the_group_write() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let mode = |file: &str| fs::metadata(env.link().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("file"), mode("dir")), (0o644, 0o755));
    repo.commit(&[("new", "x")]);
    env.syncline(repo.url()).arg("--group-write").sync();
    assert_eq!((mode("file"), mode("dir"), mode("new")), (0o664, 0o775, 0o664));
}
