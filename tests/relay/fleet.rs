//! What works.

use std::fs;

use rustix::process::Signal;

use crate::support::relay::{Nats, S3, assert_sound, feeder, follower, shown, wait_for_commit};
use crate::support::*;

/// An engine that runs, the URL to feed it, and the one to follow it.
struct Engine {
    _running: Vec<Box<dyn std::any::Any>>,
    feed: String,
    follow: String,
    keys: Vec<(&'static str, &'static str)>,
}

fn engines(env: &Env) -> Vec<(&'static str, Engine)> {
    let directory = format!("file://{}", env.path("files").display());
    fs::create_dir_all(env.path("files")).unwrap();
    let nginx = Nginx::with(
        &env.path(""),
        2,
        &format!("location ^~ /files/ {{ alias {}/; }}", env.path("files").display()),
    );
    let over_http = nginx.url("files");
    let (nats, s3) = (Nats::start(&env.path("nats")), S3::start(&env.path("s3")));
    let (nats_url, s3_url) = (nats.url(), s3.url());
    let engine = |running: Vec<Box<dyn std::any::Any>>, feed: String, follow: String, keys: &[_]| Engine {
        _running: running,
        feed,
        follow,
        keys: keys.to_vec(),
    };
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    vec![
        ("directory", engine(vec![], directory.clone(), directory.clone(), &[])),
        ("http", engine(vec![Box::new(nginx)], directory, over_http, &[])),
        ("nats", engine(vec![Box::new(nats)], nats_url.clone(), nats_url, &[])),
        ("s3", engine(vec![Box::new(s3)], s3_url.clone(), s3_url, &keys)),
    ]
}

#[test]
fn every_engine_carries_a_first_sync_small_and_large_changes_and_a_rewind() {
    let env = Env::new();
    for (name, engine) in engines(&env) {
        let repo = env.repo(&format!("up-{name}"));
        let mut commits = vec![repo.commit(&[("version", "1\n")])];
        let (feed, follow) = (format!("feed-{name}"), format!("follow-{name}"));
        let with_keys = |syncline: Syncline| {
            engine.keys.iter().fold(syncline, |syncline, (name, value)| syncline.env(name, value))
        };
        // A name of its own, since two of the engines are the same directory.
        let named = |syncline: Syncline| with_keys(syncline).arg(format!("--relay-name=site-{name}"));
        let feeding = named(feeder(&env, &feed, repo.url(), &engine.feed)).spawn();
        let following = named(follower(&env, &follow, &engine.follow)).spawn();
        wait_for_commit(&env, &follow, &commits[0]);
        commits.push(repo.commit(&[("version", "2\n")]));
        wait_for_commit(&env, &follow, &commits[1]);
        commits.push(repo.commit_incompressible(3 << 20));
        wait_for_commit(&env, &follow, &commits[2]);
        repo.git(&["reset", "--quiet", "--hard", &commits[1]]);
        wait_for_commit(&env, &follow, &commits[1]);
        let tree = env.path(&follow).join("current");
        assert_eq!(fs::read_to_string(tree.join("version")).unwrap(), "2\n", "{name}");
        feeding.kill();
        following.kill();
        assert_sound(&env.path(&follow).join(".git"));
    }
}

#[test]
fn the_git_server_answers_as_many_requests_for_500_followers_as_for_one() {
    let env = Env::new();
    let (nginx, repo) = (Nginx::start(&env.path("")), env.repo("up"));
    let nats = Nats::start(&env.path("nats"));
    let first = repo.commit(&[("version", "1\n")]);
    let feeding = feeder(&env, "feed", &nginx.url("up"), &nats.url())
        .arg("--period=1h")
        .arg("--sync-on-signal=SIGUSR1")
        .spawn();
    wait_for_commit(&env, "feed", &first);
    feeding.wait_for("wrote a full pack");
    // Followers of one file of many repositories are many followers.
    let asked = |count: usize| {
        let before = nginx.requests().len();
        let directory = env.path(&format!("followers-{count}"));
        fs::create_dir_all(&directory).unwrap();
        let entries: String = (0..count).map(|number| format!("  f{number}: {{}}\n")).collect();
        let text = format!(
            "root: {}\ndefaults: {{relay-url: '{}', relay-name: site}}\nrepos:\n{entries}",
            directory.display(),
            nats.url()
        );
        fs::write(directory.join("config.yaml"), text).unwrap();
        let _running = Syncline::new().arg("--config").arg(directory.join("config.yaml")).spawn();
        let all_show = |commit: &str| {
            eventually("all followers", || {
                (0..count)
                    .all(|number| {
                        let link = directory.join(format!("f{number}/current"));
                        fs::read_link(link).is_ok_and(|target| target.ends_with(commit))
                    })
                    .then_some(())
            });
        };
        all_show(&repo.head());
        let next = repo.commit(&[("version", &format!("for {count}\n"))]);
        feeding.signal(Signal::USR1);
        all_show(&next);
        nginx.requests().len() - before
    };
    let (one, many) = (asked(1), asked(500));
    assert!(one > 0);
    assert_eq!(one, many);
}

#[test]
fn a_follower_verifies_signatures_publishes_in_place_and_runs_hooks_as_ever() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[("site/index.html", "1\n"), ("other", "x\n")]);
    let relay = format!("file://{}", env.path("files").display());
    let _feeding = feeder(&env, "feed", repo.url(), &relay).spawn();
    let hook = env.path("hook");
    write_program(&hook, "#!/bin/sh\necho \"$GITSYNC_HASH\" >> \"$OUT\"\n");
    let following = follower(&env, "follow", &relay)
        .arg("--publish=in-place")
        .arg(format!("--link={}", env.path("www").display()))
        .arg("--subdirectory=site")
        .arg(format!("--exechook-command={}", hook.display()))
        .env("OUT", env.path("told"))
        .spawn();
    eventually("the file", || fs::read_to_string(env.path("www/index.html")).ok());
    let second = repo.commit(&[("site/index.html", "2\n")]);
    eventually("the hook", || {
        fs::read_to_string(env.path("told")).unwrap_or_default().contains(&second).then_some(())
    });
    assert_eq!(fs::read_to_string(env.path("www/index.html")).unwrap(), "2\n");
    assert!(!env.path("www/other").exists());
    drop(following);
    let signers = env.path("signers");
    fs::write(&signers, "# nobody\n").unwrap();
    let log = follower(&env, "strict", &relay)
        .arg("--verify=head")
        .arg(format!("--verify-allowed-signers={}", signers.display()))
        .arg("--forward-only")
        .arg("--init-max-failures=1")
        .one_time()
        .fail();
    assert!(log.contains("is not signed"), "{log}");
    assert_eq!(shown(&env, "strict"), None);
}

#[test]
fn what_a_follower_knows_is_in_status_metrics_and_readyz() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = repo.commit(&[("version", "1\n")]);
    let relay = format!("file://{}", env.path("files").display());
    let feeding = feeder(&env, "feed", repo.url(), &relay).spawn();
    let port = free_port();
    let _following = follower(&env, "follow", &relay)
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .arg("--relay-period=100ms")
        .arg("--readyz-max-age=2s")
        .spawn();
    wait_for_commit(&env, "follow", &first);
    eventually("readiness", || (get(port, "/readyz").0 == 200).then_some(()));
    let status: serde_json::Value = serde_json::from_str(&get(port, "/status").1).unwrap();
    assert_eq!(status["relay"]["role"], "follow");
    assert_eq!(status["relay"]["commit"], first);
    let metrics = get(port, "/metrics").1;
    for name in [
        "connected 1",
        "generation ",
        "observed_timestamp_seconds ",
        "lag_seconds ",
        "bytes_total{kind=\"full\"}",
    ] {
        assert!(metrics.contains(&format!("syncline_relay_{name}")), "{name}: {metrics}");
    }
    // The follower still reads well, but nobody looks at the git server any more.
    drop(feeding);
    let answer = eventually("no readiness", || Some(get(port, "/readyz")).filter(|(code, _)| *code == 503));
    assert!(answer.1.contains("do the feeders run?"), "{}", answer.1);
}
