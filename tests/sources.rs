//! Every kind of place a repository can be.

use crate::support::*;

#[test]
fn a_path_is_synced_bare_or_not() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());

    repo.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let next = repo.commit(&[("file", "two\n")]);
    repo.git(&["push", "--quiet", "../bare.git", "main"]);
    env.syncline(format!("file://{}", env.path("bare.git").display())).sync();
    env.assert_published(&repo, &next);
}

/// git knows the empty tree by heart, so a repository need not have it.
#[test]
fn an_empty_tree_that_is_stored_nowhere_is_synced() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha1");
    let empty = repo.git(&["hash-object", "-t", "tree", "/dev/null"]);
    let commit = repo.git(&["commit-tree", "-m", "empty", &empty]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    let full = || {
        repo.git(&["reset", "--quiet", "--hard", "main"]);
        repo.commit(&[("file", "full")])
    };
    // First of all, and on top of something.
    for commit in [commit.clone(), full(), repo.git(&["commit-tree", "-p", "main", "-m", "empty", &empty])] {
        repo.git(&["update-ref", "refs/heads/main", &commit]);
        env.syncline(repo.url()).sync();
        env.assert_published(&repo, &commit);
    }
}

#[test]
fn http_is_synced_forward() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for content in ["one", "two", "three"] {
        let commit = repo.commit(&[("file", content)]);
        env.syncline(nginx.url("up/.git")).sync();
        env.assert_published(&repo, &commit);
        env.assert_no_leftovers();
    }
}

#[test]
fn https_is_synced_with_a_ca_of_its_own_and_refused_without() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.tls_url("up/.git")).fail();
    assert!(log.contains("certificate") && log.contains("not trusted"), "{log}");

    env.syncline(nginx.tls_url("up/.git")).arg("--ca-file").arg(nginx.ca_file()).sync();
    env.assert_published(&repo, &repo.head());

    let log = env.syncline(nginx.tls_url("up/.git")).arg("--ca-file=/nonexistent/ca.pem").fail();
    assert!(log.contains("/nonexistent/ca.pem"), "{log}");
}

#[test]
fn the_login_in_a_url_is_used_and_never_shown() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.tls_url("login/up/.git").replace("://", "://user:p%40ss@");
    let finished = env.syncline(url).arg("-v9").arg("--ca-file").arg(nginx.ca_file()).sync();
    env.assert_published(&repo, &repo.head());
    assert!(!finished.stderr.contains("p%40ss") && !finished.stderr.contains("p@ss"), "{}", finished.stderr);

    let wrong = nginx.url("login/up/.git").replace("://", "://user:hunter2@");
    let log = env.syncline(wrong).arg("-v9").fail();
    assert!(log.contains("401") && !log.contains("hunter2"), "{log}");
}

/// Whoever is asked for version 2 and does not know it answers with version 0, never with version 1.
#[test]
fn an_old_http_server_is_synced_at_the_depth_asked_for() {
    let env = Env::new();
    let repo = env.repo("up");
    for content in ["2", "3", "4"] {
        repo.commit(&[("file", content)]);
    }
    repo.git(&["tag", "--annotate", "--message=tag", "release"]);
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("v0/up/.git");
    for content in ["5", "6"] {
        env.syncline(&url).arg("--depth=2").sync();
        env.assert_published(&repo, &repo.head());
        assert_eq!(git(&env.link(), &["rev-list", "--count", "HEAD"]), "2");
        repo.commit(&[("file", content)]);
    }
    env.syncline(&url).arg("--ref=release").sync();
    assert_eq!(env.published(), Some(repo.git(&["rev-parse", "release^{commit}"])));
    env.assert_store_is_sound();
}

#[test]
fn git_daemon_is_synced() {
    let env = Env::new();
    let repo = env.repo("up");
    let daemon = GitDaemon::start(&env.path(""));
    for content in ["one", "two"] {
        let commit = repo.commit(&[("file", content)]);
        env.syncline(daemon.url("up/.git")).sync();
        env.assert_published(&repo, &commit);
    }
}

#[test]
fn an_old_git_daemon_is_synced_at_the_depth_asked_for() {
    let env = Env::new();
    let repo = env.repo("up");
    let daemon = GitDaemon::start(&env.path(""));
    let old = Meddler::start(daemon.port(), Trouble::Old);
    for content in ["2", "3", "4"] {
        let commit = repo.commit(&[("file", content)]);
        env.syncline(old.url("git", "up/.git")).sync();
        env.assert_published(&repo, &commit);
        assert_eq!(git(&env.link(), &["rev-list", "--count", "HEAD"]), "1");
    }
}

#[test]
fn sha256_repositories_are_synced() {
    let env = Env::new();
    let repo = Repo::init(&env.path("up"), "sha256");
    let nginx = Nginx::start(&env.path(""));
    let daemon = GitDaemon::start(&env.path(""));
    for (number, url) in [nginx.url("up/.git"), daemon.url("up/.git"), repo.url().into()].iter().enumerate() {
        let commit = repo.commit(&[("file", &number.to_string())]);
        assert_eq!(commit.len(), 64);
        env.syncline(url).sync();
        env.assert_published(&repo, &commit);
    }
}

#[test]
fn a_root_moves_between_object_formats() {
    let env = Env::new();
    let old = env.repo("old");
    let new = Repo::init(&env.path("new"), "sha256");
    let commit = new.commit(&[("file", "new")]);
    env.syncline(old.url()).sync();
    env.syncline(new.url()).sync();
    env.assert_published(&new, &commit);
    env.syncline(old.url()).sync();
    env.assert_published(&old, &old.head());
}

#[test]
fn another_repository_on_the_same_root_takes_over() {
    let env = Env::new();
    let (first, second) = (env.repo("first"), env.repo("second"));
    let commit = second.commit(&[("only-here", "x")]);
    env.syncline(first.url()).sync();
    env.syncline(second.url()).sync();
    env.assert_published(&second, &commit);
}

#[test]
fn hostile_urls_are_refused_before_anything_is_touched() {
    let env = Env::new();
    for url in ["ssh://-oProxyCommand=x/y", "ssh://me:hunter2@host/x", "git@host:-x", "ext::sh -c x"] {
        let log = env.syncline(url).fail();
        assert!(log.contains("--repo") && !log.contains("hunter2"), "{log}");
    }
    assert!(!env.root().exists());
}

#[test]
fn an_empty_repository_and_a_missing_one_are_told_apart() {
    let env = Env::new();
    let empty = Repo::init(&env.path("empty"), "sha1");
    let nginx = Nginx::start(&env.path(""));
    for url in [empty.url().to_owned(), nginx.url("empty/.git")] {
        let log = env.syncline(&url).fail();
        assert!(log.contains("couldn't find remote ref HEAD") && log.contains(&url), "{log}");
    }
    let log = env.syncline(nginx.url("nowhere/.git")).fail();
    assert!(log.contains("404") && log.contains("is the URL right"), "{log}");
    let log = env.syncline(env.path("nowhere").to_str().unwrap()).fail();
    assert!(log.contains("nowhere"), "{log}");
}
