//! The ways to publish besides a symbolic link: a directory that is exchanged, and one that is brought up to date in
//! place.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stepping::steps::{Deed, Effect, step_through};
use crate::submodules::{commit, pin};
use crate::support::*;

/// A file system in memory; `None` where this process may not mount.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(dir: &Path) -> Option<Mounted> {
        let status = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(dir).status().unwrap();
        status.success().then(|| Mounted(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

/// What a tree is made from in these tests: every kind of file, and changes of kind.
fn first_and_second(repo: &Repo) -> [String; 2] {
    symlink("file", repo.path.join("link")).unwrap();
    repo.write("becomes-dir", "a file\n");
    repo.write("becomes-file/inside/deep", "deep\n");
    repo.write("stays/a", "a\n");
    repo.write("goes/away/entirely", "bye\n");
    repo.write("executable", "#!/bin/sh\n");
    let first = repo.commit(&[]);
    for path in ["becomes-dir", "link"] {
        fs::remove_file(repo.path.join(path)).unwrap();
    }
    for path in ["becomes-file", "goes"] {
        fs::remove_dir_all(repo.path.join(path)).unwrap();
    }
    symlink("stays/a", repo.path.join("link")).unwrap();
    repo.write("becomes-dir/inside", "inside\n");
    repo.write("becomes-file", "a file\n");
    repo.write("file", "two\n");
    fs::set_permissions(repo.path.join("executable"), fs::Permissions::from_mode(0o755)).unwrap();
    let second = repo.commit(&[]);
    repo.git(&["checkout", "--quiet", "-B", "main", &first]);
    [first, second]
}

fn advance(repo: &Repo, commit: &str) {
    repo.git(&["checkout", "--quiet", "-B", "main", commit]);
}

/// The directory has what git would check out, and nothing else but `others`.
#[track_caller]
fn assert_holds(dir: &Path, repo: &Repo, others: &[&str]) {
    let lines = |dir: &Path, others: &[&str]| {
        let mut lines = listing(dir);
        lines
            .retain(|line| !line.starts_with(".git/") && !others.iter().any(|other| line.starts_with(other)));
        lines
    };
    assert_eq!(lines(dir, others), lines(&repo.path, &[]));
}

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
    let Some(mounted) = Mounted::tmpfs(&env.link()) else { return };
    let log = syncline().fail();
    assert!(log.contains("is a mount point") && log.contains("--publish=in-place"), "{log}");
    drop(mounted);
    syncline().sync();
    assert_holds(&env.link(), &repo, &[]);
}

#[test]
fn in_place_the_root_itself_has_the_files() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let own = [".worktrees"];
    fs::create_dir_all(env.root()).unwrap();
    fs::write(env.root().join("mine"), "mine").unwrap();
    fs::create_dir_all(env.root().join("goes/away")).unwrap();
    fs::write(env.root().join("goes/mine"), "mine").unwrap();
    for commit in [&commits[0], &commits[1], &commits[0]] {
        advance(&repo, commit);
        Syncline::new()
            .env("GIT_REPO", repo.url())
            .arg("--root")
            .arg(env.root())
            .arg("--publish=in-place")
            .sync();
        let others: &[&str] =
            if commit == &commits[0] { &["mine ", "goes/mine "] } else { &["mine ", "goes"] };
        assert_holds(&env.root(), &repo, &[&own, others].concat());
        assert_eq!(fs::read_to_string(env.root().join("goes/mine")).unwrap(), "mine");
        env.assert_store_is_sound();
        env.assert_no_leftovers();
        assert_eq!(git(&env.root(), &["rev-parse", "HEAD"]), *commit);
        assert_eq!(git(&env.root(), &["status", "--porcelain", "--untracked-files=no"]), "");
    }
}

#[test]
fn in_place_another_directory_has_the_files_and_only_what_changed_is_replaced() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    for checkout in ["link", "copy"] {
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::remove_dir_all(env.root());
        let sync = || {
            env.syncline(repo.url())
                .arg("--publish=in-place")
                .arg(format!("--checkout={checkout}"))
                .arg("--link")
                .arg(&dir)
                .sync()
        };
        advance(&repo, &commits[0]);
        sync();
        assert_holds(&dir, &repo, &[]);
        let inode = |path: &str| dir.join(path).metadata().unwrap().ino();
        let before = [inode("stays/a"), inode("file")];
        advance(&repo, &commits[1]);
        sync();
        assert_holds(&dir, &repo, &[]);
        assert_eq!(git(&dir, &["rev-parse", "HEAD"]), commits[1]);
        if checkout == "link" {
            assert_eq!(inode("stays/a"), before[0]);
        }
        assert_ne!(inode("file"), before[1]);
        // What somebody altered is made good at the next start.
        fs::write(dir.join("becomes-dir/inside"), "altered\n").unwrap();
        let log = sync().stderr;
        assert!(log.contains("altered"), "{log}");
        assert_holds(&dir, &repo, &[]);
    }
}

#[test]
fn in_place_nothing_of_others_is_touched() {
    let env = Env::new();
    let repo = env.repo("up");
    let dir = env.path("served");
    let sync = || env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir);
    for in_the_way in ["file", "dir"] {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(in_the_way), "mine").unwrap();
        let log = sync().fail();
        assert!(log.contains(&format!("{in_the_way} is in the way, and is not syncline's")), "{log}");
        assert_eq!(listing(&dir).len(), 1, "{:?}", listing(&dir));
    }
    // A link that leads elsewhere is not followed.
    fs::remove_file(dir.join("dir")).unwrap();
    fs::create_dir_all(env.path("elsewhere")).unwrap();
    symlink(env.path("elsewhere"), dir.join("dir")).unwrap();
    sync().fail();
    assert_eq!(listing(&env.path("elsewhere")), Vec::<String>::new());
    fs::remove_file(dir.join("dir")).unwrap();
    sync().sync();
    assert_holds(&dir, &repo, &[]);
    // Later, a new file meets one of theirs, and a directory with one of theirs is to go.
    fs::write(dir.join("dir/mine"), "mine").unwrap();
    fs::write(dir.join("new"), "mine").unwrap();
    repo.git(&["rm", "--quiet", "-r", "dir"]);
    repo.commit(&[("new", "new\n")]);
    let log = sync().fail();
    assert!(log.contains("new is in the way"), "{log}");
    assert_eq!(fs::read_to_string(dir.join("dir/other")).unwrap(), "other\n");
    fs::remove_file(dir.join("new")).unwrap();
    sync().sync();
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "new\n");
    assert!(dir.join("dir/mine").exists() && !dir.join("dir/other").exists());
}

#[test]
fn in_place_works_across_file_systems_and_in_a_mount_point() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    fs::create_dir_all(&dir).unwrap();
    let Some(mounted) = Mounted::tmpfs(&dir) else { return };
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

/// Kill a change from one commit to another at its `step`th change of `dir`; whether it got so far.
fn is_killed(syncline: &Syncline, dir: &Path, step: usize) -> bool {
    let mut made = 0;
    let code = step_through(&syncline.command, dir, |call| {
        made += usize::from(call.effect == Effect::Changes);
        if made == step { Deed::Kill } else { Deed::Allow }
    });
    code.is_none()
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

#[test]
fn in_place_an_interrupted_run_is_completed_by_the_next() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    let sync = || env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir);
    let mut step = 0;
    loop {
        advance(&repo, &commits[0]);
        sync().sync();
        assert_holds(&dir, &repo, &[]);
        advance(&repo, &commits[1]);
        step += 1;
        if !is_killed(&sync().one_time(), &dir, step) {
            break;
        }
        // Not even the same commit is needed.
        advance(&repo, &commits[step % 2]);
        sync().sync();
        assert_holds(&dir, &repo, &[]);
        env.assert_no_leftovers();
    }
    assert!(step > 15, "{step}");
}

#[test]
fn in_place_a_submodule_is_brought_along() {
    let env = Env::new();
    let (inner, outer) = (env.repo("inner"), env.repo("outer"));
    pin(&outer, "sub", "../../inner/.git", &inner.head());
    commit(&outer);
    let nginx = Nginx::start(&env.path(""));
    for way in ["directory", "in-place"] {
        let dir = env.path(way);
        env.syncline(nginx.url("outer/.git")).arg(format!("--publish={way}")).arg("--link").arg(&dir).sync();
        assert_eq!(fs::read_to_string(dir.join("sub/file")).unwrap(), "one\n");
        assert_eq!(git(&dir.join("sub"), &["rev-parse", "HEAD"]), inner.head());
        assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    }
}

#[test]
fn no_name_is_ours_that_a_commit_or_a_consumer_may_have() {
    for way in ["directory", "in-place"] {
        for path in [".syncline-tmp", ".syncline-tmp/inside", "dir/.syncline-tmp", "dir/.syncline-tmp/inside"]
        {
            let env = Env::new();
            let repo = env.repo("up");
            let dir = env.path("served");
            let sync = || env.syncline(repo.url()).arg(format!("--publish={way}")).arg("--link").arg(&dir);
            for text in ["one", "two"] {
                repo.commit(&[(path, text), ("file", text)]);
                sync().sync();
                assert_holds(&dir, &repo, &[]);
            }
            repo.git(&["rm", "--quiet", path]);
            repo.commit(&[]);
            sync().sync();
            assert_holds(&dir, &repo, &[]);
        }
    }
}

#[test]
fn in_place_a_file_of_others_is_not_taken_for_a_leftover() {
    let env = Env::new();
    let repo = env.repo("up");
    let dir = env.path("served");
    let mine = [
        ".syncline-tmp",
        ".syncline-0123456789abcdef",
        "dir/.syncline-tmp",
        "dir/.syncline-0123456789abcdef",
    ];
    fs::create_dir_all(dir.join("dir")).unwrap();
    for path in mine {
        fs::write(dir.join(path), "mine").unwrap();
    }
    for text in ["one", "two"] {
        repo.commit(&[("file", text), ("dir/other", text)]);
        env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir).sync();
        assert_holds(&dir, &repo, &mine);
        for path in mine {
            assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), "mine", "{path}");
        }
    }
}

#[test]
fn what_others_have_beside_a_published_path_stays() {
    for way in ["symlink", "directory"] {
        let env = Env::new();
        let repo = env.repo("up");
        let dir = env.path("served");
        fs::create_dir_all(&dir).unwrap();
        let files = [".site.tmp-new", ".site.tmp-old-0", ".site.tmp-new-1", ".site.tmp-mine"];
        for name in files {
            fs::write(dir.join(name), "mine").unwrap();
        }
        let links = ["tmp-link", ".site.tmp-link"];
        for name in links {
            symlink("elsewhere", dir.join(name)).unwrap();
        }
        for text in ["one", "two"] {
            repo.commit(&[("file", text)]);
            let syncline = env.syncline(repo.url()).arg(format!("--publish={way}"));
            syncline.arg("--stale-worktree-timeout=0s").arg("--link").arg(dir.join("site")).sync();
            assert_holds(&dir.join("site"), &repo, &[]);
            for name in files {
                assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), "mine", "{way} {name}");
            }
            assert!(links.iter().all(|name| dir.join(name).is_symlink()), "{way}");
            assert_eq!(fs::read_dir(&dir).unwrap().count(), files.len() + links.len() + 1, "{way}");
        }
    }
}

/// As an init container and a sidecar may see the same volumes.
#[test]
fn in_place_goes_on_where_volumes_are_mounted_at_other_paths() {
    let [volume, site] = ["volume", "volume/site"];
    for (root, dir, (from, to)) in [
        ("volume", volume, (volume, "moved")),
        ("volume/root", site, (volume, "moved")),
        ("volume/root", "volume/root/link", (volume, "moved")),
        ("root", "site", ("site", "www")),
        ("root", "site", ("root", "store")),
    ] {
        let env = Env::new();
        let repo = env.repo("up");
        let commits = first_and_second(&repo);
        let sync = |root: &str, dir: &str| {
            let syncline = Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(env.path(root));
            syncline.arg("--publish=in-place").arg("--verbose=1").arg("--link").arg(env.path(dir)).sync()
        };
        let others: &[&str] = if root == dir { &[".worktrees"] } else { &[] };
        advance(&repo, &commits[0]);
        sync(root, dir);
        fs::rename(env.path(from), env.path(to)).unwrap();
        let [root, dir] = [root, dir].map(|path| path.replacen(from, to, 1));
        advance(&repo, &commits[1]);
        sync(&root, &dir);
        assert_holds(&env.path(&dir), &repo, others);
        let log = sync(&root, &dir).stderr;
        assert!(log.contains("nothing new"), "{root} {dir}: {log}");
    }
}
