//! Commits that are asked for by their ids, of servers that know only what they advertise.

use std::fs;

use crate::submodules::{commit, pin};
use crate::support::*;

/// A server of the oldest protocol, and how its repositories are called there.
fn old_servers(env: &Env, check: impl Fn(&str, &dyn Fn(&str) -> String, &dyn Fn(&str) -> Syncline)) {
    let daemon = GitDaemon::start(&env.path(""));
    let old = Meddler::start(daemon.port(), Trouble::Old);
    check("git://", &|path| old.url("git", path), &|url| env.syncline(url));
    let nginx = Nginx::start(&env.path(""));
    check("http://", &|path| nginx.url(&format!("v0/{path}")), &|url| env.syncline(url));
    let sshd = Sshd::with(env, &["ed25519"], "");
    sshd.authorized_key();
    check("ssh://", &|path| sshd.url(env.path(path)), &|url| sshd.syncline(env, url));
}

#[test]
fn a_commit_behind_the_tips_comes_from_servers_that_know_only_these() {
    let env = Env::new();
    let repo = env.repo("up");
    let base = repo.head();
    let pinned = repo.commit(&[("file", "pinned")]);
    repo.git(&["tag", "--annotate", "--message=x", "v1"]);
    for number in 0..110 {
        repo.git(&["commit", "--quiet", "--allow-empty", &format!("--message={number}")]);
    }
    repo.git(&["switch", "--quiet", "--create", "side", &base]);
    let side = repo.commit(&[("file", "side")]);
    repo.commit(&[("file", "side on")]);
    repo.git(&["switch", "--quiet", "main"]);
    old_servers(&env, |kind, url, syncline| {
        for (id, depth, count) in
            [(&pinned, "1", "1"), (&side, "1", "1"), (&pinned, "2", "2"), (&base, "0", "1")]
        {
            for reused in [false, true] {
                let finished =
                    syncline(&url("up/.git")).arg("--ref").arg(id).arg("--depth").arg(depth).one_time().run();
                assert_eq!(finished.code, Some(0), "{kind} {id} {depth}: {}", finished.stderr);
                assert_eq!(env.published().as_ref(), Some(id), "{kind} {reused}");
                assert_eq!(git(&env.link(), &["rev-list", "--count", "HEAD"]), count, "{kind} {depth}");
                env.assert_store_is_sound();
            }
        }
        fs::remove_dir_all(env.root()).unwrap();
    });
}

#[test]
fn a_submodules_pin_behind_the_tips_comes_from_servers_that_know_only_these() {
    let env = Env::new();
    let (up, sub) = (env.repo("up"), env.repo("sub"));
    let mut pins = vec![sub.head()];
    for content in ["a", "b", "c", "d"] {
        pins.push(sub.commit(&[("file", content)]));
    }
    old_servers(&env, |kind, url, syncline| {
        for pinned in [&pins[1], &pins[3], &pins[2], &pins[4], &pins[0]] {
            pin(&up, "sub", "../../sub/.git", pinned);
            commit(&up);
            let finished = syncline(&url("up/.git")).one_time().run();
            assert_eq!(finished.code, Some(0), "{kind}: {}", finished.stderr);
            let module = env.link().join("sub");
            assert_eq!(git(&module, &["rev-parse", "HEAD"]), *pinned, "{kind}");
            assert_eq!(git(&module, &["rev-list", "--count", "HEAD"]), "1", "{kind}");
            assert_eq!(git(&module, &["fsck"]), "", "{kind}");
        }
        fs::remove_dir_all(env.root()).unwrap();
    });
}

#[test]
fn a_commit_that_no_server_gives_out_is_refused_with_the_settings_that_help() {
    let env = Env::new();
    let repo = env.repo("up");
    let good = repo.head();
    let dropped = repo.commit(&[("file", "dropped")]);
    repo.git(&["reset", "--quiet", "--hard", &good]);
    old_servers(&env, |kind, url, syncline| {
        for id in [dropped.as_str(), "0123456789012345678901234567890123456789"] {
            let log = syncline(&url("up/.git")).arg("--ref").arg(id).fail();
            for words in
                ["the server says: ", "not our ref", "AcceptEnv GIT_PROTOCOL", "allowReachableSHA1InWant"]
            {
                assert!(log.contains(words), "{kind}: {log}");
            }
        }
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        let finished = syncline(&url("up/.git")).arg("--ref").arg(&dropped).one_time().run();
        assert_eq!(finished.code, Some(0), "{kind}: {}", finished.stderr);
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
        fs::remove_dir_all(env.root()).unwrap();
    });
}
