//! What only root can set up: mounts, and a program of another user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::notifying::{Consumer, told, unique_name};
use crate::support::many::{Many, count, entry, file, wait_for_times};
use crate::support::*;
use crate::ways::{advance, assert_holds, first_and_second};

/// A file system in memory; gone when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where this user may not mount one, which is said.
    #[track_caller]
    fn mount(dir: &Path, options: &str) -> Option<Tmpfs> {
        if !mount(&["-t", "tmpfs", "-o", options, "none", dir.to_str().unwrap()]) {
            skip("this user may not mount a file system");
            return None;
        }
        Some(Tmpfs(dir.to_owned()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(mount(&["-o", &options, self.0.to_str().unwrap()]), "{options}");
    }

    /// Bytes and inodes.
    fn used(&self) -> (u64, u64) {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        ((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(args: &[&str]) -> bool {
    Command::new("mount").args(args).quiet().status().is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_keeps_nothing_of_what_does_not_fit() {
    let size = |bytes: u64, inodes: u64| format!("size={bytes},nr_inodes={inodes}");
    // There is no room for the pack, none for the tree beside it, none for so many files.
    for (bytes, inodes, fault) in [
        (1 << 20, 1000, "No space left on device"),
        (4 << 20, 1000, "not enough free space: 3145738 bytes are needed"),
        (64 << 20, 60, "not enough free space: 50 new files are needed"),
    ] {
        let env = Env::new();
        let repo = env.repo("up");
        let small = repo.head();
        repo.commit_incompressible(3 << 20);
        fs::create_dir(env.root()).unwrap();
        let root = env.root();
        let Some(disk) = Tmpfs::mount(&root, &size(bytes, inodes)) else { return };
        let log = env.syncline(repo.url()).fail();
        assert!(log.contains(fault) && log.contains(root.to_str().unwrap()), "{log}");
        let (used, files) = disk.used();
        assert!(used < 100 << 10 && files < 40, "{used} bytes and {files} files are left");

        repo.git(&["reset", "--quiet", "--hard", &small]);
        env.syncline(repo.url()).sync();
        let before = disk.used();
        disk.remount(&size(before.0 + bytes, before.1 + inodes));
        let running = env.syncline(repo.url()).arg("--period=10ms").arg("-v1").spawn();
        running.wait_for("nothing new");
        repo.commit_incompressible(3 << 20);
        running.wait_for_times("sync failed", 2);
        assert_eq!(env.published().as_ref(), Some(&small), "{}", running.log());
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
        eventually("the space", || {
            let (used, files) = disk.used();
            (used < before.0 + (100 << 10) && files < before.1 + 20).then_some(())
        });
        disk.remount(&size(64 << 20, 1000));
        eventually("publication", || (env.published()? == repo.head()).then_some(()));
        drop(running);
        env.syncline(repo.url()).sync();
        env.assert_published(&repo, &repo.head());
        env.assert_no_leftovers();
    }
}

#[test]
fn a_full_disk_of_one_of_many_repositories_disturbs_no_other() {
    let (many, [small, large]) = Many::with(["small", "large"]);
    large.commit_incompressible(3 << 20);
    let full = many.root("full");
    fs::create_dir_all(&full).unwrap();
    let Some(disk) = Tmpfs::mount(&full, "size=1m,nr_inodes=1000") else { return };
    let names = ["a", "b", "c", "d", "e"];
    let mut entries: Vec<String> = names.iter().map(|name| entry(name, small.url(), "")).collect();
    entries.push(entry("full", large.url(), ""));
    let running = many.spawn(file("max-parallel: 1", "period: 20ms", &entries));
    for round in 1..=3 {
        wait_for_times(&running, "full", "sync failed", round);
        let commit = small.commit(&[("file", &round.to_string())]);
        for name in names {
            many.wait_for(name, &commit);
        }
    }
    assert!(running.log().contains("No space left on device"), "{}", running.log());
    for name in names {
        assert_eq!(count(&running, name, "sync failed"), 0, "{}", running.log());
    }
    disk.remount("size=64m,nr_inodes=1000");
    many.wait_for("full", &large.head());
    running.kill();
    many.assert_published("full", &large);
}

#[test]
fn a_mount_point_is_not_exchanged() {
    let env = Env::new();
    let repo = env.repo("up");
    let syncline = || env.syncline(repo.url()).arg("--publish=directory");
    fs::create_dir_all(env.link()).unwrap();
    let Some(mounted) = Tmpfs::mount(&env.link(), "mode=0755") else { return };
    let log = syncline().fail();
    assert!(log.contains("is a mount point") && log.contains("--publish=in-place"), "{log}");
    drop(mounted);
    syncline().sync();
    assert_holds(&env.link(), &repo, &[]);
}

#[test]
fn in_place_works_across_file_systems_and_in_a_mount_point() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    fs::create_dir_all(&dir).unwrap();
    let Some(mounted) = Tmpfs::mount(&dir, "mode=0755") else { return };
    for commit in &commits {
        advance(&repo, commit);
        env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir).sync();
        assert_holds(&dir, &repo, &[]);
    }
    let log = env
        .syncline(repo.url())
        .arg("--publish=in-place")
        .arg("--verbose=1")
        .arg("--link")
        .arg(&dir)
        .sync()
        .stderr;
    assert!(log.contains("nothing new"), "{log}");
    drop(mounted);
}

#[test]
fn an_old_tree_that_cannot_be_removed_stops_nothing() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    // A mount point is what even root cannot remove.
    let busy = fs::canonicalize(env.link().join("dir")).unwrap();
    let Some(mut mounted) = Tmpfs::mount(&busy, "mode=0755") else { return };
    for content in ["2", "3"] {
        let commit = repo.commit(&[("file", content)]);
        let log = env.syncline(repo.url()).sync().stderr;
        assert_eq!(env.published(), Some(commit));
        assert!(log.contains("cannot remove old trees") || log.contains("leftovers stay"), "{log}");
    }
    let mut stuck = None;
    walk(&env.root().join(".worktrees"), &mut |path| {
        if path.ends_with("dir") && path.to_string_lossy().contains(".tmp-old-") {
            stuck = Some(path.to_owned());
        }
    });
    mounted.0 = stuck.unwrap();
    drop(mounted);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
    env.assert_no_leftovers();
}

#[test]
fn a_signal_that_is_refused_says_what_to_do() {
    if !geteuid().is_root() {
        return skip("only root may run a program as another user");
    }
    let env = Env::new();
    let repo = env.repo("up");
    let consumer = Consumer::start(&env, unique_name());
    fs::create_dir(env.root()).unwrap();
    std::os::unix::fs::chown(env.root(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(env.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(binary(), env.path("syncline")).unwrap();
    let output = Command::new(env.path("syncline"))
        .args([format!("--repo={}", repo.url()), format!("--root={}", env.root().display())])
        .args(["--link=link", "--one-time", "--notify-process", &consumer.name])
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("the same user") && log.contains("CAP_KILL"), "{log}");
    assert_eq!(told(&env), "");
}
