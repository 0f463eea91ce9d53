//! Git LFS together with everything else that decides what becomes a file, and where.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::moving::{git_sync_pass, git_sync_publish};
use crate::support::lfs::*;
use crate::support::*;
use crate::ways::{advance, assert_holds};

#[test]
fn sparse_patterns_apply_first() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    repo.commit(&[("out/c.bin", "of c\n"), ("dir/d.bin", "of d\n"), ("dir/deep/e.bin", "of e\n")]);
    let host = LfsHost::start(&env.path(""));
    for filter in ["-v0", "--filter=blob:none", "--filter=tree:0"] {
        let _ = fs::remove_dir_all(env.root());
        let before = host.objects().len();
        let syncline = || env.with_lfs(host.url("up/.git")).arg(filter);
        syncline().arg("--sparse=dir").arg("--lfs-exclude=deep").sync();
        env.assert_file("a.bin", "content of a\n");
        env.assert_file("dir/d.bin", "of d\n");
        env.assert_file("dir/deep/e.bin", pointer("of e\n"));
        assert!(!env.link().join("out").exists());
        assert_eq!(host.objects().len() - before, 3);
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
        // A change outside costs nothing; other patterns bring what they need.
        repo.commit(&[("out/c.bin", filter)]);
        syncline().arg("--sparse=dir").arg("--lfs-exclude=deep").sync();
        assert_eq!(host.objects().len() - before, 3);
        syncline().sync();
        assert_eq!(host.objects().len() - before, 5);
        env.assert_lfs_published(&repo, &repo.head());
    }
}

#[test]
fn a_subdirectory_has_the_content_of_its_files() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.commit(&[("dir/deep/c.bin", "of c\n")]);
    let host = LfsHost::start(&env.path(""));
    env.with_lfs(host.url("up/.git")).arg("--subdirectory=dir").sync();
    env.assert_file("b.bin", "of b\n");
    env.assert_file("deep/c.bin", "of c\n");
    // What is not published is not fetched, where git does not want it either.
    env.with_lfs(host.url("up/.git")).arg("--subdirectory=dir").arg("--sparse=dir").sync();
    env.assert_file("deep/c.bin", "of c\n");
}

#[test]
fn every_way_to_publish_has_the_content() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.write("big.bin", noise(1, 200_000));
    let first = repo.commit(&[("stays.bin", "stays\n")]);
    fs::remove_file(repo.path.join("dir/b.bin")).unwrap();
    repo.write("big.bin", noise(2, 200_000));
    let second = repo.commit(&[("new/c.bin", "of c\n"), ("a.bin", "changed\n")]);
    let host = LfsHost::start(&env.path(""));
    each_row(
        [
            ("symlink", "link"),
            ("directory", "link"),
            ("in-place", "link"),
            ("symlink", "copy"),
            ("directory", "copy"),
            ("in-place", "copy"),
        ],
        |(way, copy)| {
            let dir = env.path("served").join(way);
            let _ = fs::remove_dir_all(env.root());
            let _ = fs::remove_dir_all(env.path("served"));
            let sync = || {
                let syncline = env.with_lfs(host.url("up/.git")).arg(format!("--checkout={copy}"));
                syncline.arg(format!("--publish={way}")).arg("--link").arg(&dir).arg("-v1").sync().stderr
            };
            let mut before = host.objects().len();
            for (commit, new) in [(&first, 4), (&second, 3), (&first, 3)] {
                advance(&repo, commit);
                sync();
                assert_holds(&dir, &repo, &[]);
                assert_eq!(git(&dir, &["rev-parse", "HEAD"]), *commit);
                // Of copies beside the tree git reads the content again, and writes into the index what it found.
                if copy == "link" || way == "symlink" {
                    assert_eq!(git(&dir, &["status", "--porcelain"]), "");
                    assert_in_order(&dir, &env.root().join(".git"));
                }
                assert_objects_are_whole(&env.root().join(".git"));
                // A content that went may come once more.
                assert!(
                    host.objects().len() - before <= new,
                    "{way} {copy}: {commit} {:?}",
                    &host.objects()[before..]
                );
                before = host.objects().len();
                assert!(sync().contains("nothing new"), "{way} {copy}");
            }
            // What somebody altered is made good.
            fs::write(dir.join("stays.bin"), "tampered\n").unwrap();
            let log = sync();
            assert!(log.contains("altered"), "{log}");
            assert_holds(&dir, &repo, &[]);
        },
    );
}

#[test]
fn in_place_an_unchanged_file_stays_the_same_one() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let dir = env.path("served");
    let sync = || env.with_lfs(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir).sync();
    sync();
    let inode = |file: &str| fs::metadata(dir.join(file)).unwrap().ino();
    let before = inode("a.bin");
    repo.commit(&[("dir/b.bin", "changed\n")]);
    sync();
    assert_holds(&dir, &repo, &[]);
    assert_eq!(inode("a.bin"), before);
}

#[test]
fn a_volume_moves_to_git_sync_and_back() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let url = host.url("up/.git");
    let sync = || env.with_lfs(&url).arg("-v1").sync().stderr;
    // git-sync has pointers; its tree is made anew with content.
    let hash = git_sync_pass(&env.root(), &url);
    git_sync_publish(&env.root(), &hash);
    env.assert_file("a.bin", pointer("content of a\n"));
    sync();
    env.assert_lfs_published(&repo, &hash);
    let next = repo.commit(&[("a.bin", "two\n")]);
    sync();
    env.assert_lfs_published(&repo, &next);

    // And back: its checks are in order, and it goes on with pointers.
    assert_eq!(git_sync_pass(&env.root(), &url), next);
    git(&env.link(), &["fsck", "--no-progress", "--connectivity-only"]);
    let last = repo.commit(&[("a.bin", "three\n")]);
    assert_eq!(git_sync_pass(&env.root(), &url), last);
    git_sync_publish(&env.root(), &last);
    fs::remove_dir_all(env.root().join(".worktrees").join(&next)).unwrap();
    git(&env.root(), &["worktree", "prune"]);
    git(&env.root(), &["gc", "--quiet", "--prune=now"]);
    env.assert_file("a.bin", pointer("three\n"));
    let before = host.objects().len();
    sync();
    env.assert_lfs_published(&repo, &last);
    assert!(host.objects().len() - before <= 2);
}

/// `git lfs pull` by hand has the same store.
#[test]
fn git_lfs_by_hand_finds_its_objects_in_the_store() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    env.with_lfs(host.url("up/.git")).sync();
    let before = (host.batches(), host.objects().len());
    git(&env.link(), &[&DRIVER[..], &["lfs", "pull"]].concat());
    git(&env.link(), &[&DRIVER[..], &["lfs", "checkout"]].concat());
    assert_eq!((host.batches(), host.objects().len()), before);
    forget_lfs_traces(&env.root().join(".git"));
    env.with_lfs(host.url("up/.git")).sync();
    env.assert_lfs_published(&repo, &repo.head());
}

/// What is known to be unchanged stays so for git, whatever happens to the links of a file.
#[test]
fn git_finds_no_change_in_shared_files() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    for option in ["--checkout=link", "--checkout=copy"] {
        let _ = fs::remove_dir_all(env.root());
        let sync = || env.with_lfs(repo.url()).arg(option).arg("--stale-worktree-timeout=1h").sync();
        sync();
        let first = fs::canonicalize(env.link()).unwrap();
        fs::hard_link(env.link().join("a.bin"), env.path("outside")).unwrap();
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "{option}");
        fs::remove_file(env.path("outside")).unwrap();
        for round in 0..3 {
            repo.commit(&[("file", &format!("{option} {round}\n"))]);
            sync();
            for tree in [env.link(), first.clone()] {
                assert_eq!(git(&tree, &["status", "--porcelain"]), "", "{option}");
            }
        }
        assert!(
            fs::read_to_string(env.root().join(".git/config")).unwrap().to_lowercase().contains("trustctime")
        );
        env.assert_lfs_published(&repo, &repo.head());
    }
}

#[test]
fn hooks_see_the_content() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    write_program(env.path("hook"), format!("#!/bin/sh\ncat a.bin > {}\n", env.path("seen").display()));
    env.with_lfs(repo.url()).arg("--exechook-command").arg(env.path("hook")).sync();
    assert_eq!(fs::read_to_string(env.path("seen")).unwrap(), "content of a\n");
}

#[test]
fn objects_may_be_of_either_format() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha256");
    repo.install_lfs();
    let commit = repo.commit(&[(".gitattributes", TRACKED), ("a.bin", "content\n")]);
    env.with_lfs(repo.url()).sync();
    env.assert_lfs_published(&repo, &commit);
}
