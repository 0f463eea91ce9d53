//! Good signatures in the wrong place, and files of keys while they are written.

use std::fs;

use super::servers::answering;
use crate::answers::ask;
use crate::signatures::Signing;
use crate::support::*;

#[test]
fn a_good_commit_of_another_repository_or_of_the_past_is_refused_with_forward_only() {
    let signing = Signing::new();
    let first = signing.commit(Some("dev"));
    let second = signing.commit(Some("dev"));
    let syncline = || signing.syncline().arg("--forward-only");
    syncline().sync();
    let other = signing.env.repo("other");
    signing.repo.git(&["fetch", "--quiet", other.url(), "main"]);
    signing.repo.git(&["switch", "--quiet", "--detach", "FETCH_HEAD"]);
    let foreign = signing.commit(Some("dev"));
    signing.repo.git(&["switch", "--quiet", "main"]);
    for replayed in [&foreign, &first] {
        assert!(signing.git_accepts("verify-commit", replayed));
        signing.repo.git(&["reset", "--quiet", "--hard", replayed]);
        let fault = fault(&syncline().fail());
        assert!(fault.contains(&format!("{replayed} (HEAD): it does not descend from {second}")), "{fault}");
        assert_eq!(signing.env.published().as_ref(), Some(&second));
    }
}

#[test]
fn a_signed_tag_counts_only_under_its_name_and_for_its_commit_whatever_the_server_says() {
    let signing = Signing::new();
    let (older, signed) = (signing.commit(None), signing.commit(None));
    let nginx = Nginx::start(&signing.env.path(""));
    let [v1, v2] = ["v1", "v2"].map(|name| {
        signing.with_key(Some("dev"), &["tag", "--annotate", "--message=x", name], "-s");
        signing.repo.git(&["rev-parse", name])
    });
    // The tag v1 is said to name the older commit, which is sent, too; or to be v2.
    for (from, to, words) in [(&signed, &older, "another commit"), (&v1, &v2, "its tag says \"v2\"")] {
        let (port, from, to) = (nginx.port(), from.clone(), to.clone());
        let lying = answering(move |request| {
            let answer = ask(port, &request.replace("deepen 1", "deepen 9"));
            match request.contains("command=ls-refs") {
                true => text(&answer).replace(&from, &to).into_bytes(),
                false => answer,
            }
        });
        let fault = fault(&signing.verifying(&lying.url("up/.git"), "tag").arg("--ref=v1").fail());
        assert!(fault.contains(words), "{fault}");
        assert_eq!(signing.env.published(), None);
    }
}

#[test]
fn while_a_file_of_keys_is_half_written_nothing_new_is_published() {
    let signing = Signing::new();
    let good = signing.commit(Some("dev"));
    let running = signing.syncline().arg("--period=20ms").arg("--max-failures=-1").spawn();
    eventually("the first commit", || (signing.env.published()? == good).then_some(()));
    let line = signing.line("dev", "");
    signing.allow(&line[..line.len() / 2]);
    // The keys of before would accept it.
    let next = signing.commit(Some("dev"));
    running.wait_for_times("read the keys in ", 3);
    assert_eq!(signing.env.published(), Some(good));
    signing.allow(&line);
    eventually("the next commit", || (signing.env.published()? == next).then_some(()));
    running.kill();
}

#[test]
fn a_line_of_keys_may_be_long_and_only_its_beginning_is_shown() {
    let signing = Signing::new();
    signing.allow(&signing.line("dev", "").replacen("dev@x", &format!("dev@x,{}", "y".repeat(1 << 20)), 1));
    let (hook, told) = (signing.env.path("hook"), signing.env.path("told"));
    write_program(&hook, format!("#!/bin/sh\nprintf %s \"$SYNCLINE_SIGNER\" > {}\n", told.display()));
    let commit = signing.commit(Some("dev"));
    let option = format!("--pre-publish-exechook-command={}", hook.display());
    let log = signing.syncline().arg(option).arg("--pre-publish-exechook-required").sync().stderr;
    assert_eq!(signing.env.published(), Some(commit));
    let signer = fs::read_to_string(told).unwrap();
    assert!(signer.contains("(dev@x,yyy") && signer.len() < 500 && log.len() < 20_000, "{signer}");
}
