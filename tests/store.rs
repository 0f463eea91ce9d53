//! The repository under the root: bounded, mended, and deaf to what others put into it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::*;

/// An object database opened by gix sees 32 packs at most, and `shallow` only ever grows: each would end a long-lived
/// process sooner or later.
#[test]
fn many_changes_leave_a_bounded_store() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let running = env.syncline(nginx.url("up/.git")).arg("--period=1ms").arg("--period=10ms").spawn();
    for number in 0..100 {
        let commit = repo.commit(&[("file", &format!("{number}\n"))]);
        eventually("publication", || (env.published()? == commit).then_some(()));
    }
    drop(running);
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
    env.assert_no_leftovers();
    assert!(env.packs().len() <= 41, "{} packs", env.packs().len());
    let boundary = fs::read_to_string(env.root().join(".git/shallow")).unwrap().lines().count();
    assert!(boundary <= 42, "{boundary} commits in the boundary");
    assert_eq!(fs::read_dir(env.root().join(".worktrees")).unwrap().count(), 1);
}

#[test]
fn trees_that_outlive_a_folding_leave_nothing_dangling() {
    let env = Env::new();
    let repo = env.repo("up");
    let syncline = || env.syncline(repo.url()).arg("--git-gc=aggressive");
    for content in ["1", "2", "3"] {
        repo.commit(&[("file", content)]);
        syncline().arg("--stale-worktree-timeout=1h").sync();
    }
    syncline().sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_change_brings_only_what_is_new() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit_incompressible(1 << 20);
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    let before = nginx.requests().len();
    repo.commit(&[("file", "changed\n")]);
    env.syncline(nginx.url("up/.git")).sync();
    let requests = nginx.requests().split_off(before);
    let bytes: usize = requests.last().unwrap().split(' ').nth(5).unwrap().parse().unwrap();
    assert!(bytes < 900, "{bytes} bytes for one small file: {requests:?}");
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_damaged_store_is_mended_while_the_tree_stays() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 8] = [
        ("objects gone", |git| fs::remove_dir_all(git.join("objects")).unwrap()),
        ("packs gone", |git| fs::remove_dir_all(git.join("objects/pack")).unwrap()),
        ("pack cut", |git| cut_packs(&git.join("objects/pack"), |length| length / 2)),
        // All objects are there, but git reads no such pack.
        ("pack cut at its end", |git| cut_packs(&git.join("objects/pack"), |length| length - 1)),
        ("HEAD garbage", |git| fs::write(git.join("HEAD"), "garbage").unwrap()),
        ("config garbage", |git| fs::write(git.join("config"), "[[[").unwrap()),
        ("shallow garbage", |git| fs::write(git.join("shallow"), "zzz\n").unwrap()),
        ("branch garbage", |git| fs::write(git.join("refs/heads/git-sync"), "zzz\n").unwrap()),
    ];
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    each_row(damages.into_iter().enumerate(), |(number, (name, damage))| {
        for change in [false, true] {
            env.syncline(nginx.url("up/.git")).sync();
            let before = env.published();
            damage(&env.root().join(".git"));
            if change {
                repo.commit(&[("file", &format!("{number}"))]);
            }
            let log = env.syncline(nginx.url("up/.git")).sync().stderr;
            assert_eq!(env.published() != before, change, "{name}: {log}");
            env.assert_published(&repo, &repo.head());
        }
    });
}

/// A blob is only read when its file is written, so its damage shows no earlier.
#[test]
fn a_damaged_blob_is_fetched_anew() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    // The second is large, and written in pieces.
    for size in [100_000, 3 << 20] {
        repo.write("blob", noise(size as u64, size));
        let commit = repo.commit(&[]);
        env.syncline(nginx.url("up/.git")).arg("--git-gc=aggressive").sync();
        let packs =
            fs::read_dir(env.root().join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
        let pack = packs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
        fs::remove_dir_all(env.root().join(".worktrees")).unwrap();
        let log = env.syncline(nginx.url("up/.git")).sync().stderr;
        assert!(log.contains("the store is damaged"), "{size}: {log}");
        env.assert_published(&repo, &commit);
    }
}

/// Objects are only looked up at a start, and copied as they are when packs are folded: the fold finds the damage by
/// the checksums in the index.
#[test]
fn damage_that_a_start_does_not_read_is_found_when_packs_are_folded() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.write("kept", noise(1, 100_000));
    repo.commit(&[]);
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    let pack = fs::read_dir(env.root().join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.into_iter().find(|path| path.extension() == Some("pack".as_ref())).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let log = env.syncline(nginx.url("up/.git")).sync().stderr;
    assert!(!log.contains("damaged"), "{log}");

    repo.commit(&[("file", "changed\n")]);
    let log = env.syncline(nginx.url("up/.git")).arg("--git-gc=aggressive").sync().stderr;
    assert!(
        log.contains("cannot repack the store") && log.contains("the checksum of an entry is wrong"),
        "{log}"
    );
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_planted_configuration_runs_and_changes_nothing() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[(".gitattributes", "* filter=evil\n")]);
    env.syncline(repo.url()).sync();
    let witness = env.path("witness");
    let git = env.root().join(".git");
    let command = format!("touch {}", witness.display());
    let config = format!(
        "[core]\n\tfsmonitor = {command}\n\tsshCommand = {command}\n\thooksPath = /tmp\n\tautocrlf = true\n\
         [filter \"evil\"]\n\tsmudge = {command}\n\tprocess = {command}\n\trequired = true\n"
    );
    fs::write(git.join("config"), config).unwrap();
    fs::create_dir_all(git.join("hooks")).unwrap();
    for hook in ["post-checkout", "reference-transaction"] {
        fs::write(git.join("hooks").join(hook), format!("#!/bin/sh\n{command}\n")).unwrap();
        fs::set_permissions(git.join("hooks").join(hook), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(git.join("objects/info/alternates"), "/nonexistent\n").unwrap();
    let commit = repo.commit(&[("file", "line\n")]);
    env.syncline(repo.url()).sync();
    assert_eq!(env.published(), Some(commit));
    assert_eq!(env.read("file"), "line\n");
    assert!(!witness.exists());
}

#[test]
fn a_hole_in_the_history_is_mended() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for content in ["2", "3", "4", "5"] {
        repo.commit(&[("file", content)]);
        env.syncline(nginx.url("up/.git")).arg("--depth=3").sync();
    }
    let packs = env.root().join(".git/objects/pack");
    let mut by_age: Vec<_> = fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path()).collect();
    by_age.retain(|path| path.extension() == Some("pack".as_ref()));
    by_age.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    for extension in ["pack", "idx"] {
        fs::remove_file(by_age[2].with_extension(extension)).unwrap();
    }
    env.syncline(nginx.url("up/.git")).arg("--depth=3").sync();
    env.assert_published(&repo, &repo.head());
    assert_eq!(git(&env.link(), &["rev-list", "--count", "HEAD"]), "3");
}

#[test]
fn replaced_objects_of_a_local_repository_are_fetched_as_they_are() {
    let env = Env::new();
    let repo = env.repo("up");
    let old = repo.head();
    let commit = repo.commit(&[("file", "two\n")]);
    repo.git(&["replace", &commit, &old]);
    env.syncline(repo.url()).sync();
    assert_eq!((env.published(), env.read("file")), (Some(commit), "two\n".into()));
    env.assert_store_is_sound();
}

#[test]
fn a_commit_without_a_readable_date_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    repo.write("../commit", format!("tree {tree}\nauthor a <a> x\ncommitter a <a> 12:30\n\nodd\n"));
    let commit = repo.git(&["hash-object", "-t", "commit", "-w", "--literally", "../commit"]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    env.syncline(repo.url()).sync();
    assert_eq!(env.published(), Some(commit));
}

/// The bytes below a directory.
fn size(dir: &std::path::Path) -> u64 {
    let mut bytes = 0;
    walk(dir, &mut |path| bytes += path.symlink_metadata().unwrap().len());
    bytes
}

#[test]
fn many_changes_take_less_than_twice_the_space_of_a_fresh_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    for number in 0..1000 {
        repo.write(&format!("dir{}/file{number}", number % 10), format!("{number} ").repeat(300));
    }
    repo.commit(&[]);
    let nginx = Nginx::start(&env.path(""));
    let running = env.syncline(nginx.url("up/.git")).arg("--period=10ms").spawn();
    for number in 0..120 {
        let commit = repo.commit(&[("dir0/file0", &format!("{number}\n"))]);
        eventually("publication", || (env.published()? == commit).then_some(()));
    }
    drop(running);
    env.syncline(nginx.url("up/.git")).sync(); // what the kill left of the last tree goes
    let used = size(&env.root());
    fs::rename(env.root(), env.path("used")).unwrap();
    env.syncline(nginx.url("up/.git")).sync();
    let fresh = size(&env.root());
    assert!(used < 2 * fresh, "{used} bytes, {fresh} when fresh");
}

#[test]
fn the_mode_says_when_packs_are_folded() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for (mode, expected) in [("off", 3), ("always", 4), ("aggressive", 1)] {
        for change in 0..if mode == "off" { 3 } else { 1 } {
            repo.commit(&[("file", &format!("{mode} {change}"))]);
            env.syncline(nginx.url("up/.git")).arg(format!("--git-gc={mode}")).sync();
        }
        assert_eq!(env.packs().len(), expected, "{mode}");
        env.assert_published(&repo, &repo.head());
    }
}

#[test]
fn a_store_of_thousands_of_packs_is_no_damaged_one() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    let blobs = (0..1_100).map(|number| format!("blob\ndata 5\n{number:05}\ncheckpoint\n"));
    let import = ["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"];
    git_with_input(&env.root().join(".git"), &import, String::from_iter(blobs));
    assert!(env.packs().len() > 1_100);
    for (mode, restarts) in [("off", 2), ("auto", 1)] {
        for number in 0..restarts {
            let commit = repo.commit(&[("file", &format!("{mode} {number}"))]);
            let log = env.syncline(nginx.url("up/.git")).arg(format!("--git-gc={mode}")).sync().stderr;
            assert!(!log.contains("damaged") && !log.contains("WARN"), "{mode}: {log}");
            assert_eq!((env.published(), env.packs().len() > 1_100), (Some(commit), mode == "off"));
        }
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn why_a_store_is_damaged_is_said() {
    let env = Env::new();
    let repo = env.repo("up");
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 4] = [
        ("holds no sha1 objects", |git| fs::remove_file(git.join("config")).unwrap()),
        ("does not end with the checksum in its index", |git| {
            cut_packs(&git.join("objects/pack"), |length| length - 1)
        }),
        ("could not be found", |git| fs::remove_dir_all(git.join("objects/pack")).unwrap()),
        ("shallow", |git| fs::write(git.join("shallow"), "zzz\n").unwrap()),
    ];
    each_row(damages, |(reason, damage)| {
        env.syncline(repo.url()).sync();
        damage(&env.root().join(".git"));
        let log = env.syncline(repo.url()).sync().stderr;
        let line = log.lines().find(|line| line.contains("damaged")).unwrap_or_default();
        assert!(line.contains(reason), "{reason}: {log}");
        env.assert_published(&repo, &repo.head());
    });
}

/// As after a rollback: nothing of the newer commit is needed any more.
#[test]
fn large_packs_that_no_tree_needs_are_given_back_at_once_and_small_ones_are_left() {
    let env = Env::new();
    let repo = env.repo("up");
    for number in 0..4 {
        repo.write("large", noise(number, 4 << 20));
        repo.commit(&[]);
    }
    let nginx = Nginx::start(&env.path(""));
    let syncline = || env.syncline(nginx.url("up/.git")).arg("--depth=1");
    for back in 0..4 {
        let commit = repo.git(&["rev-parse", &format!("HEAD~{back}")]);
        repo.git(&["branch", "--force", "published", &commit]);
        syncline().arg("--ref=published").sync();
        assert_eq!(env.published(), Some(commit));
        assert!(size(&env.root()) < 9_000_000, "{back}: {} bytes", size(&env.root()));
        let before = env.packs();
        syncline().arg("--ref=published").sync();
        assert_eq!(env.packs(), before, "folded for nothing");
    }
    env.assert_store_is_sound();
    fs::remove_file(repo.path.join("large")).unwrap();
    repo.commit(&[]);
    syncline().sync();
    assert!(size(&env.root()) < 100_000, "{} bytes for small files", size(&env.root()));
    repo.write("large", noise(9, 4 << 20));
    for number in 0..3 {
        repo.commit(&[("file", &format!("{number}"))]);
        syncline().sync();
    }
    assert!(env.packs().len() >= 3, "folded for little: {:?}", env.packs());
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_filtered_store_is_a_partial_clone_to_git() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let nginx = Nginx::start(&env.path(""));
    let unmarked = || -> Vec<_> {
        env.packs().into_iter().filter(|pack| !pack.with_extension("promisor").exists()).collect()
    };
    let syncline = || env.syncline(nginx.url("up/.git")).arg("--depth=3").arg("--filter=blob:none");
    for number in 0..4 {
        repo.commit(&[("file", &format!("{number}\n")), (&format!("new/{number}"), "new\n")]);
        syncline().sync();
        assert_eq!(unmarked(), [] as [std::path::PathBuf; 0]);
        env.assert_store_is_sound();
    }
    // As a kill between a pack and its mark leaves it.
    fs::remove_file(env.packs()[0].with_extension("promisor")).unwrap();
    repo.commit(&[("file", "before folding\n")]);
    syncline().sync();
    assert_eq!(unmarked(), [] as [std::path::PathBuf; 0]);
    repo.commit(&[("file", "folded\n")]);
    syncline().arg("--git-gc=aggressive").sync();
    assert_eq!((env.packs().len(), unmarked().len()), (1, 0));
    env.assert_store_is_sound();
    let log = git(&env.link(), &["log", "-p"]);
    assert!(log.contains("-before folding") && log.contains("+folded"), "{log}");
    env.assert_store_is_sound();
}
