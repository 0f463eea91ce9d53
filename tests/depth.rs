//! How much history is kept.

use std::fs;

use crate::support::*;

fn count(env: &Env) -> usize {
    env.assert_store_is_sound();
    git(&env.link(), &["rev-list", "--count", "HEAD"]).parse().unwrap()
}

fn history(env: &Env) -> Repo {
    let repo = env.repo("up");
    for number in 1..10 {
        repo.commit(&[("file", &number.to_string())]);
    }
    repo
}

fn urls(env: &Env, nginx: &Nginx, daemon: &GitDaemon) -> [String; 3] {
    [env.path("up").to_str().unwrap().into(), nginx.url("up/.git"), daemon.url("up/.git")]
}

#[test]
fn a_changed_depth_takes_effect_at_an_unchanged_commit() {
    let env = Env::new();
    let repo = history(&env);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for url in urls(&env, &nginx, &daemon) {
        for (depth, commits) in [(1, 1), (3, 3), (2, 2), (0, 10), (1, 1), (20, 10), (4, 4)] {
            env.syncline(&url).arg(format!("--depth={depth}")).sync();
            assert_eq!(count(&env), commits, "depth {depth} of {url}");
            env.assert_published(&repo, &repo.head());
        }
    }
}

#[test]
fn a_smaller_depth_lets_go_of_history_at_a_new_commit_too() {
    let env = Env::new();
    let repo = history(&env);
    let first = repo.git(&["rev-list", "--max-parents=0", "HEAD"]);
    let objects = || git(&env.root(), &["cat-file", "--batch-all-objects", "--batch-check"]);
    env.syncline(repo.url()).arg("--depth=0").sync();
    assert!(objects().contains(&first));
    repo.commit(&[("file", "new\n")]);
    env.syncline(repo.url()).sync();
    assert!(!objects().contains(&first));
    assert_eq!(count(&env), 1);
}

#[test]
fn the_default_depth_is_one_and_zero_is_everything() {
    let env = Env::new();
    let repo = history(&env);
    env.syncline(repo.url()).sync();
    assert_eq!(count(&env), 1);
    env.syncline(repo.url()).arg("--depth=0").sync();
    assert_eq!(count(&env), 10);
    assert!(!env.root().join(".git/shallow").exists());
}

#[test]
fn the_depth_stays_through_forward_and_backward_moves() {
    let env = Env::new();
    let repo = history(&env);
    let commits: Vec<String> = repo.git(&["rev-list", "--reverse", "HEAD"]).lines().map(Into::into).collect();
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for url in urls(&env, &nginx, &daemon) {
        for depth in [1, 3] {
            for at in [5, 9, 6, 7, 4] {
                repo.git(&["reset", "--quiet", "--hard", &commits[at]]);
                env.syncline(&url).arg(format!("--depth={depth}")).sync();
                assert_eq!((env.published().as_ref(), count(&env)), (Some(&commits[at]), depth), "{url}");
            }
        }
    }
}

#[test]
fn merges_keep_the_depth_on_every_side() {
    let env = Env::new();
    let repo = history(&env);
    repo.git(&["switch", "--quiet", "--create", "side", "HEAD~3"]);
    for number in 0..4 {
        repo.commit(&[("side", &number.to_string())]);
    }
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    let nginx = Nginx::start(&env.path(""));
    for url in [repo.url(), &nginx.url("up/.git")] {
        env.syncline(url).arg("--depth=3").sync();
        assert_eq!(count(&env), 5, "{url}");
        env.syncline(url).arg("--depth=1").sync();
        assert_eq!(count(&env), 1, "{url}");
    }
}

#[test]
fn a_shallow_boundary_without_a_reference_does_not_block_the_whole_history() {
    let env = Env::new();
    let line = |number: u32| format!("line {number}\n");
    let repo = env.repo("up");
    repo.commit(&[("file", &(0..300).map(line).collect::<String>())]);
    let daemon = GitDaemon::start(&env.path(""));
    let old_server = Meddler::start(daemon.port(), Trouble::Old);
    let url = daemon.url("up/.git");
    env.syncline(&url).sync();
    let shorter = repo.commit(&[("file", &(1..300).map(line).collect::<String>())]);
    let newest = repo.commit(&[("file", &(2..300).map(line).collect::<String>())]);
    let shallow = fs::read(env.root().join(".git/shallow")).unwrap();
    // An old server sends `shorter` only with the branches that it is on.
    for (url, reference, commit) in
        [(url, "HEAD", &newest), (old_server.url("git", "up/.git"), shorter.as_str(), &shorter)]
    {
        // As a kill leaves it before the first commit is recorded.
        for dir in [".git/worktrees", ".git/logs", ".git/refs/heads", ".worktrees"] {
            fs::remove_dir_all(env.root().join(dir)).unwrap();
        }
        fs::create_dir(env.root().join(".git/refs/heads")).unwrap();
        fs::remove_file(env.root().join("link")).unwrap();
        fs::write(env.root().join(".git/shallow"), &shallow).unwrap();
        env.syncline(&url).arg("--depth=0").arg(format!("--ref={reference}")).sync();
        env.assert_published(&repo, commit);
        env.assert_store_is_sound();
    }
}
