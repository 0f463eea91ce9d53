//! What servers answer when they are asked for commits without their trees.

use std::fs;

use super::servers::{HEAD, answering, line, refs, server};
use crate::answers::ask;
use crate::rules::{has, upstream};
use crate::support::*;

#[test]
fn trees_and_history_that_nobody_asked_for_are_not_kept() {
    let env = Env::new();
    let repo = upstream(&env);
    let base = repo.head();
    let top = repo.commit(&[("file", "top")]);
    let nginx = Nginx::start(&env.path(""));
    let port = nginx.port();
    let generous = answering(move |request| {
        ask(port, &request.replace("filter tree:0", "filter tree:9").replace("deepen 10001", "deepen 99999"))
    });
    let syncline = || env.syncline(generous.url("up/.git"));
    syncline().sync();
    repo.git(&["reset", "--quiet", "--hard", &base]);
    let refused = repo.commit(&[("file", "aside")]);
    let signers = env.path("signers");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQ8fi9hCOnmQSQvsQvqWIRCfnkjHUrSfHySJTmoDjXz";
    fs::write(&signers, format!("dev@x {key}\n")).unwrap();
    for (options, words) in [
        (vec!["--forward-only".to_owned()], format!("it does not descend from {top}")),
        (
            vec!["--verify=head".to_owned(), format!("--verify-allowed-signers={}", signers.display())],
            "it is not signed".to_owned(),
        ),
    ] {
        let asked = generous.requests().len();
        let fault = fault(&options.iter().fold(syncline(), Syncline::arg).fail());
        assert!(fault.contains(&refused) && fault.contains(&words), "{fault}");
        assert!(generous.requests()[asked..].iter().any(|request| request.contains("filter tree:0")));
        for object in [&refused, &repo.git(&["rev-parse", "HEAD^{tree}"])] {
            assert!(!has(&env, object), "{options:?}");
        }
        env.assert_no_leftovers();
        env.assert_published(&repo, &top);
    }

    let commit = "commit refs/heads/main\ncommitter n <n@x> 1700000000 +0000\ndata 1\nx\n";
    let first = commit.to_owned() + &format!("from {top}\n");
    git_with_input(&repo.path, &["fast-import", "--quiet", "--force"], first + &commit.repeat(10_010));
    let fault = fault(&syncline().arg("--forward-only").fail());
    assert!(fault.contains(&format!("it does not descend within 10000 commits from {top}")), "{fault}");
    env.assert_no_leftovers();
}

#[test]
fn commits_without_end_are_refused() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let mut commit = repo.git(&["cat-file", "commit", "HEAD"]).into_bytes();
    commit.extend(noise(1, 4 << 20).into_iter().filter(|byte| *byte != 0));
    let id = repo.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], &commit);
    let name = repo.git_with(&["pack-objects", "-q", "one"], format!("{id}\n").as_bytes());
    let pack = fs::read(repo.path.join(format!("one-{name}.pack"))).unwrap();
    // The same over and over, and four billion are announced.
    let many = [b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec(), pack[12..pack.len() - 20].repeat(18)].concat();
    let bands = many.chunks(60_000).flat_map(|chunk| line([&[1], chunk].concat()));
    let sent = line("packfile\n").into_iter().chain(bands).collect();
    let server = server(refs(&format!("{HEAD} HEAD\n")), sent);
    let fault = fault(&env.syncline(server.url("x")).arg("--forward-only").fail());
    assert!(fault.contains(&server.url("x")) && fault.contains("more than 64 MiB"), "{fault}");
    assert!(!has(&env, &id));
    env.assert_no_leftovers();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_history_without_a_common_ancestor_is_refused() {
    let env = Env::new();
    let repo = upstream(&env);
    let base = repo.head();
    let foreign = repo.git(&["commit-tree", "HEAD^{tree}", "-m", "x"]);
    let foreign = repo.git(&["commit-tree", "HEAD^{tree}", "-p", &foreign, "-m", "y"]);
    repo.git(&["tag", "foreign", &foreign]);
    crate::references::sources(&env, |url| {
        repo.git(&["update-ref", "refs/heads/main", &base]);
        let _ = fs::remove_dir_all(env.root());
        env.syncline(url).sync();
        let log = env.syncline(url).arg("--ref=foreign").arg("--ref-on=main").fail();
        assert!(log.contains("it is not on refs/heads/main (--ref-on)"), "{log}");
        repo.git(&["update-ref", "refs/heads/main", &foreign]);
        let log = env.syncline(url).arg("--forward-only").fail();
        assert!(log.contains(&format!("publish {foreign} (HEAD): it does not descend from {base}")), "{log}");
        assert!(!has(&env, &foreign), "{url}");
        env.assert_published(&repo, &base);
    });
}
