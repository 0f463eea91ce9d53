//! Published trees that a consumer altered.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::*;

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
fn an_altered_tree_is_mended_while_running() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=20ms").arg("--worktree-check-period=100ms").spawn();
    running.wait_for("published");
    fs::write(env.link().join("file"), "tampered").unwrap();
    running.wait_for("published files were altered");
    eventually("the mended file", || (env.read("file") == "one\n").then_some(()));
    drop(running);
    env.assert_published(&repo, &repo.head());
}

/// The tree's HEAD is no longer the commit; git-sync sees that at its next poll.
#[test]
fn a_tree_that_lost_its_commit_is_made_again_at_the_next_poll() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 4] = [
        ("commits", |tree| {
            fs::write(tree.join("file"), "committed\n").unwrap();
            git(tree, &["commit", "--quiet", "--all", "--message=a consumer's"]);
        }),
        ("checks out", |tree| {
            git(tree, &["checkout", "--quiet", "--orphan", "another"]);
        }),
        ("removes .git", |tree| fs::remove_file(tree.join(".git")).unwrap()),
        ("points .git elsewhere", |tree| fs::write(tree.join(".git"), "gitdir: /nowhere\n").unwrap()),
    ];
    let env = Env::new();
    let repo = env.repo("up");
    // Git works only while syncline rests: a poll would see half of a commit, and cleaning up removes git's locks.
    let syncline = env.syncline(repo.url()).arg("--period=1h").arg("--sync-on-signal=SIGHUP").arg("-v1");
    let running = syncline.arg("--worktree-check-period=1h").spawn();
    let rest = |syncs| {
        running.wait_for_times("\"published\"", syncs);
        running.signal(rustix::process::Signal::HUP);
        running.wait_for_times("nothing new", syncs);
    };
    rest(1);
    for (number, (name, deed)) in deeds.iter().enumerate() {
        deed(&fs::canonicalize(env.link()).unwrap());
        running.signal(rustix::process::Signal::HUP);
        rest(number + 2);
        assert_eq!(env.published(), Some(repo.head()), "{name}");
        assert_eq!(env.read("file"), "one\n", "{name}");
        assert_eq!(git(&env.link(), &["rev-parse", "HEAD"]), repo.head(), "{name}");
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "{name}");
    }
    drop(running);
    repo.commit(&[("file", "folded\n")]);
    env.syncline(repo.url()).arg("--git-gc=aggressive").sync();
    env.assert_published(&repo, &repo.head());
}
