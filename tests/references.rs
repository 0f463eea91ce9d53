//! What a reference may be, and where it may go.

use crate::support::*;

/// The same expectations of every kind of source.
pub fn sources(env: &Env, check: impl Fn(&str)) {
    let nginx = Nginx::start(&env.path(""));
    let daemon = GitDaemon::start(&env.path(""));
    for url in [env.path("up").to_str().unwrap(), &nginx.url("up/.git"), &daemon.url("up/.git")] {
        check(url);
    }
}

#[test]
fn every_kind_of_reference_is_found() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = repo.head();
    repo.git(&["tag", "light"]);
    repo.git(&["branch", "both"]);
    let second = repo.commit(&[("file", "second")]);
    repo.git(&["tag", "--annotate", "--message=x", "both"]);
    repo.git(&["tag", "--annotate", "--message=x", "nested", "both"]);
    repo.git(&["switch", "--quiet", "--create", "feature/x"]);
    let third = repo.commit(&[("file", "third")]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["update-ref", "refs/special/here", &first]);
    sources(&env, |url| {
        for (reference, commit) in [
            ("HEAD", &second),
            ("main", &second),
            ("feature/x", &third),
            ("heads/feature/x", &third),
            ("light", &first),
            ("both", &second),
            ("nested", &second),
            ("refs/heads/both", &first),
            ("refs/special/here", &first),
            (&third, &third),
            (&first.to_uppercase(), &first),
        ] {
            env.syncline(url).arg("--ref").arg(reference).sync();
            assert_eq!(env.published().as_ref(), Some(commit), "{reference} of {url}");
            assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
            env.assert_store_is_sound();
        }
    });
}

#[test]
fn a_missing_reference_names_itself_and_the_url_and_the_old_tree_stays() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    sources(&env, |url| {
        for reference in ["gone", "refs/heads/gone", "mai"] {
            let log = env.syncline(url).arg("--ref").arg(reference).fail();
            assert!(
                log.contains(&format!("couldn't find remote ref {reference}")) && log.contains(url),
                "{log}"
            );
        }
        let unknown = "0123456789012345678901234567890123456789";
        let log = env.syncline(url).arg("--ref").arg(unknown).fail();
        assert!(log.contains(unknown), "{log}");
    });
    env.assert_published(&repo, &repo.head());
}

#[test]
fn the_link_follows_forward_backward_and_sideways() {
    let env = Env::new();
    let repo = env.repo("up");
    let base = repo.head();
    sources(&env, |url| {
        repo.git(&["reset", "--quiet", "--hard", &base]);
        let mut commits = vec![base.clone()];
        for content in ["a", "b", "c"] {
            commits.push(repo.commit(&[("file", content), (content, content)]));
        }
        let sideways = {
            repo.git(&["reset", "--quiet", "--hard", &commits[1]]);
            repo.commit(&[("file", "sideways")])
        };
        for target in [&commits[3], &commits[1], &commits[2], &sideways, &commits[0], &commits[3]] {
            repo.git(&["reset", "--quiet", "--hard", target]);
            env.syncline(url).sync();
            env.assert_published(&repo, target);
        }
    });
}

#[test]
fn another_branch_on_restart_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    let main = repo.head();
    repo.git(&["switch", "--quiet", "--create", "other"]);
    let other = repo.commit(&[("file", "other")]);
    sources(&env, |url| {
        for (branch, commit) in [("main", &main), ("other", &other), ("main", &main)] {
            env.syncline(url).arg("--ref").arg(branch).sync();
            env.assert_published(&repo, commit);
        }
    });
}

#[test]
fn a_published_commit_id_needs_no_network() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("up/.git");
    env.syncline(&url).arg("--ref").arg(repo.head()).sync();
    let requests = nginx.requests().len();
    assert_eq!(requests, 2, "{:?}", nginx.requests());
    env.syncline(&url).arg("--ref").arg(repo.head()).sync();
    assert_eq!(nginx.requests().len(), requests);
}

#[test]
fn what_only_git_can_read_is_refused_with_what_helps() {
    let env = Env::new();
    let repo = env.repo("up");
    let bundle = env.path("x.bundle");
    repo.git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "HEAD"]);
    let log = env.syncline(bundle.to_str().unwrap()).fail();
    assert!(log.contains("is a bundle, not a repository") && log.contains("git clone --bare"), "{log}");
    let log = env.syncline(repo.url()).arg("--ref").arg(&repo.head()[..10]).fail();
    assert!(log.contains("a commit must be given by its full id"), "{log}");
    // As a newer git than this machine's may write it.
    std::fs::create_dir(repo.path.join(".git/reftable")).unwrap();
    std::fs::write(repo.path.join(".git/reftable/tables.list"), "").unwrap();
    let log = env.syncline(repo.path.to_str().unwrap()).fail();
    assert!(log.contains("reftable") && log.contains("git refs migrate --ref-format=files"), "{log}");
}
