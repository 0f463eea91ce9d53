//! A directory that is exchanged for the next one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{advance, assert_holds, first_and_second, is_killed};
use crate::support::*;

#[test]
fn a_directory_is_exchanged_for_the_next_one() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let syncline = || env.syncline(repo.url()).arg("--publish=directory");
    for commit in [&commits[0], &commits[1], &commits[0]] {
        advance(&repo, commit);
        syncline().sync();
        assert!(env.link().symlink_metadata().unwrap().is_dir());
        assert_holds(&env.link(), &repo, &[]);
        assert_eq!(git(&env.link(), &["rev-parse", "HEAD"]), *commit);
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
        env.assert_store_is_sound();
        env.assert_no_leftovers();
    }
    // Its files are those of the store, and are not written a second time.
    let inode = |path: &Path| path.metadata().unwrap().ino();
    assert_eq!(
        inode(&env.link().join("file")),
        inode(&env.root().join(".worktrees").join(&commits[0]).join("file"))
    );
    let before = inode(&env.link());
    let log = syncline().arg("--verbose=1").sync().stderr;
    assert!(log.contains("nothing new"), "{log}");
    assert_eq!(inode(&env.link()), before);
}

#[test]
fn a_directory_is_never_missing_and_never_mixed() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let commits: Vec<String> = (0..2)
        .map(|round| {
            let files: Vec<(String, String)> =
                (0..50).map(|n| (format!("dir{n}/file"), format!("{round}"))).collect();
            let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            repo.commit(&files)
        })
        .collect();
    let running = env
        .syncline(repo.url())
        .arg("--publish=directory")
        .arg("--period=20ms")
        .arg("--stale-worktree-timeout=10s")
        .spawn();
    eventually("the first", || env.link().join("dir0/file").exists().then_some(()));
    let over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (over, link) = (over.clone(), env.link());
        std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                let dir =
                    rustix::fs::open(&link, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
                let inside = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir));
                let read = |n| fs::read_to_string(format!("{inside}/dir{n}/file")).unwrap();
                let texts: Vec<String> = (0..50).map(read).collect();
                assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
                seen.insert(texts[0].clone());
            }
            seen
        })
    };
    for round in 1..=10 {
        advance(&repo, &commits[(round + 1) % 2]);
        running.wait_for_times("\"published\"", round + 1);
    }
    over.store(true, Ordering::Relaxed);
    assert_eq!(reader.join().unwrap().len(), 2);
}

#[test]
fn a_directory_that_somebody_altered_is_made_anew() {
    let env = Env::new();
    let repo = env.repo("up");
    let syncline = || env.syncline(repo.url()).arg("--publish=directory");
    syncline().sync();
    fs::remove_file(env.link().join("dir/other")).unwrap();
    let log = syncline().sync().stderr;
    assert!(log.contains("altered"), "{log}");
    assert_holds(&env.link(), &repo, &[]);
}

#[test]
fn a_symlink_becomes_a_directory() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    assert!(env.link().is_symlink());
    env.syncline(repo.url()).arg("--publish=directory").sync();
    assert!(!env.link().is_symlink());
    assert_holds(&env.link(), &repo, &[]);
    env.assert_no_leftovers();
}

#[test]
fn a_directory_that_cannot_be_exchanged_is_refused_at_start() {
    let env = Env::new();
    let repo = env.repo("up");
    let syncline = || env.syncline(repo.url()).arg("--publish=directory");
    fs::create_dir_all(env.link()).unwrap();
    fs::write(env.link().join("mine"), "mine").unwrap();
    let log = syncline().fail();
    assert!(log.contains("cannot start") && log.contains("not syncline's; move it away"), "{log}");
    assert_eq!(fs::read_to_string(env.link().join("mine")).unwrap(), "mine");
    fs::remove_file(env.link().join("mine")).unwrap();
    syncline().sync();
    assert_holds(&env.link(), &repo, &[]);
}

#[test]
fn a_directory_is_whole_whenever_the_program_is_killed() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    let sync = || env.syncline(repo.url()).arg("--publish=directory").arg("--link").arg(dir.join("site"));
    let mut step = 0;
    loop {
        advance(&repo, &commits[0]);
        sync().sync();
        let old = listing(&dir.join("site"));
        advance(&repo, &commits[1]);
        step += 1;
        if !is_killed(&sync().one_time(), &dir, step) {
            break;
        }
        let found = listing(&dir.join("site"));
        sync().sync();
        let new = listing(&dir.join("site"));
        assert!(found == old || found == new, "{step}: {found:?}");
        assert_holds(&dir.join("site"), &repo, &[]);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }
    assert!(step > 15, "{step}");
}
