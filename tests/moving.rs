//! Volumes that come from git-sync or go back to it.

use std::fs;
use std::path::Path;

use crate::support::*;

/// One pass of git-sync v4 in its own commands, as far as it needs no publishing.
pub fn git_sync_pass(root: &Path, url: &str) -> String {
    if !root.join(".git").exists() {
        fs::create_dir_all(root).unwrap();
        git(root, &["init", "--quiet", "-b", "git-sync"]);
    }
    assert_eq!(
        git(root, &["rev-parse", "--show-toplevel"]),
        fs::canonicalize(root).unwrap().to_str().unwrap()
    );
    git(root, &["fsck", "--no-progress", "--connectivity-only"]);
    assert!(!root.join(".git/shallow.lock").exists());
    if git(root, &["remote"]).is_empty() {
        git(root, &["remote", "add", "origin", url]);
    }
    git(
        root,
        &["fetch", url, "HEAD", "--verbose", "--no-progress", "--prune", "--no-auto-gc", "--depth", "1"],
    );
    let hash = git(root, &["rev-parse", "FETCH_HEAD^{}"]);
    git(root, &["reset", "--quiet", "--soft", &hash, "--"]);
    hash
}

pub fn git_sync_publish(root: &Path, hash: &str) {
    let tree = root.join(".worktrees").join(hash);
    git(
        root,
        &["worktree", "add", "--quiet", "--force", "--detach", tree.to_str().unwrap(), hash, "--no-checkout"],
    );
    fs::write(tree.join(".git"), format!("gitdir: ../../.git/worktrees/{hash}\n")).unwrap();
    git(&tree, &["reset", "--quiet", "--hard", hash, "--"]);
    let _ = fs::remove_file(root.join("link"));
    std::os::unix::fs::symlink(format!(".worktrees/{hash}"), root.join("link")).unwrap();
}

/// A root as git-sync v3 leaves it.
pub fn git_sync_v3(root: &Path, repo: &Repo, prefix: &str) -> String {
    let hash = repo.head();
    repo.git(&["clone", "--quiet", "--no-checkout", ".", root.to_str().unwrap()]);
    let tree = root.join(format!("{prefix}{hash}"));
    git(root, &["worktree", "add", "--quiet", "--detach", tree.to_str().unwrap(), "origin/main"]);
    fs::write(tree.join(".git"), format!("gitdir: ../.git/worktrees/{prefix}{hash}\n")).unwrap();
    std::os::unix::fs::symlink(format!("{prefix}{hash}"), root.join("link")).unwrap();
    hash
}

#[test]
fn a_volume_of_git_sync_v4_is_taken_over_and_given_back() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("up/.git");
    let hash = git_sync_pass(&env.root(), &url);
    git_sync_publish(&env.root(), &hash);
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(env.link().join("file")).unwrap());
    let before = inode();
    // Nothing is made anew for the same commit.
    let log = env.syncline(&url).arg("-v1").sync().stderr;
    assert!(log.contains("nothing new"), "{log}");
    assert_eq!((env.published(), inode()), (Some(hash), before));
    let commit = repo.commit(&[("new", "x")]);
    env.syncline(&url).sync();
    env.assert_published(&repo, &commit);
    assert_eq!(inode(), before, "the unchanged file is shared");

    // And back: what git-sync checks is in order, and it goes on from here.
    assert_eq!(git_sync_pass(&env.root(), &url), commit);
    let link = env.link();
    assert_eq!(git(&link, &["rev-parse", "HEAD"]), commit);
    git(&link, &["fsck", "--no-progress", "--connectivity-only"]);
    let next = repo.commit(&[("new", "y")]);
    assert_eq!(git_sync_pass(&env.root(), &url), next);
    git_sync_publish(&env.root(), &next);
    fs::remove_dir_all(env.root().join(".worktrees").join(&commit)).unwrap();
    git(&env.root(), &["worktree", "prune"]);
    git(&env.root(), &["reflog", "expire", "--expire-unreachable=all", "--all"]);
    git(&env.root(), &["gc", "--quiet", "--prune=now"]);
    let log = env.syncline(&url).arg("-v1").sync().stderr;
    assert!(log.contains("nothing new"), "{log}");
    env.assert_published(&repo, &next);
}

#[test]
fn what_git_noted_of_commits_and_packs_goes_with_them() {
    let env = Env::new();
    let repo = env.repo("up");
    let url = format!("{}/.git", repo.url());
    for content in ["1", "2", "3", "4"] {
        repo.commit(&[("file", content)]);
        git_sync_publish(&env.root(), &git_sync_pass(&env.root(), &url));
    }
    git(&env.root(), &["fetch", "--quiet", "--unshallow", &url]);
    git(&env.root(), &["gc", "--quiet"]);
    git(&env.root(), &["commit-graph", "write", "--reachable"]);
    git(&env.root(), &["multi-pack-index", "write"]);
    repo.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    let commit = repo.commit(&[("file", "5")]);
    env.syncline(&url).arg("--depth=0").arg("--git-gc=aggressive").sync();
    env.assert_published(&repo, &commit);
}

#[test]
fn a_volume_of_git_sync_v3_is_moved_to_todays_layout() {
    for prefix in ["", "rev-"] {
        let env = Env::new();
        let repo = env.repo("up");
        repo.git(&["tag", "old"]);
        let hash = repo.commit(&[("file", "two\n")]);
        let root = env.root();
        let tree = root.join(format!("{prefix}{}", git_sync_v3(&root, &repo, prefix)));
        fs::write(root.join("mine"), "x").unwrap();
        let log = env.syncline(repo.url()).sync().stderr;
        assert!(log.contains("moved from git-sync v3's layout"), "{log}");
        env.assert_published(&repo, &hash);
        assert!(!tree.exists() && root.join("mine").exists());
        // A deeper change folds away what the clone brought along.
        env.syncline(repo.url()).arg("--depth=2").sync();
        env.syncline(repo.url()).arg("--depth=1").sync();
        env.assert_published(&repo, &hash);
    }
}

#[test]
fn a_v3_environment_works_unchanged() {
    let env = Env::new();
    let repo = env.repo("site.git");
    let other = {
        repo.git(&["switch", "--quiet", "--create", "stable"]);
        repo.commit(&[("file", "stable")])
    };
    repo.git(&["switch", "--quiet", "main"]);
    let finished = Syncline::new()
        .env("GIT_SYNC_REPO", repo.url())
        .env("GIT_SYNC_BRANCH", "stable")
        .env("GIT_SYNC_ROOT", env.root())
        .env("GIT_SYNC_ONE_TIME", "true")
        .run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let target = fs::read_link(env.root().join("site.git")).unwrap();
    assert!(target.ends_with(&other));
    let older =
        "GIT_SYNC_REPO, GIT_SYNC_ROOT, GIT_SYNC_ONE_TIME, GIT_SYNC_BRANCH: older names; use GITSYNC_REPO, ";
    assert!(finished.stderr.contains(older), "{}", finished.stderr);
}
