//! From a push to the link.

use std::process::Command;
use std::time::Instant;

use super::scene::{SECRET, Scene, recorded, sign};
use crate::support::*;

const PUSH: [(&str, &str); 1] = [("X-GitHub-Event", "push")];

/// Looks that are repeated for one hook, and the first.
const LOOKS_OF_ONE: usize = 6;

#[test]
fn a_push_with_a_hook_of_git_is_published_at_once() {
    let scene = Scene::new();
    let bare = scene.env.path("bare.git");
    git(&scene.env.path(""), &["clone", "--quiet", "--bare", "up", "bare.git"]);
    let hook = format!(
        "#!/bin/sh\ncurl --silent --fail --oauth2-bearer '{SECRET}' --request POST http://127.0.0.1:{}/push\n",
        scene.port
    );
    write_program(bare.join("hooks/post-receive"), hook);
    let mut syncline = scene.env.syncline(scene.nginx.url("bare.git"));
    for option in scene.listening(&scene.env.path("secret").display().to_string()) {
        syncline = syncline.arg(option);
    }
    let _running = scene.spawn(syncline.arg("--period=1h"));
    for number in 0..3 {
        let commit = scene.repo.commit(&[("file", &format!("{number}"))]);
        scene.repo.git(&["push", "--quiet", bare.to_str().unwrap(), "main"]);
        scene.wait_for(&commit);
    }
    let count = scene.metric("syncline_push_to_published_seconds_count");
    assert!(count.is_some_and(|count| (1.0..=3.0).contains(&count)), "{count:?}");
    assert!(scene.metric("syncline_push_last_news_timestamp_seconds").is_some_and(|time| time > 1.7e9));
    assert_eq!(scene.metric("syncline_push_missed_total"), Some(0.0));
    scene.env.assert_published(&scene.repo, &scene.repo.head());
}

/// A replica that lags behind the repository whose hook came.
#[test]
fn a_hook_that_is_ahead_of_the_server_is_looked_for_again() {
    let scene = Scene::new();
    git(&scene.env.path(""), &["clone", "--quiet", "--mirror", "up", "replica.git"]);
    let replica = scene.env.path("replica.git");
    let mut syncline = scene.env.syncline(scene.nginx.url("replica.git"));
    for option in scene.listening(&scene.env.path("secret").display().to_string()) {
        syncline = syncline.arg(option);
    }
    let alias = "--receive-alias=https://github.com/example/site";
    let running = scene.spawn(syncline.arg("--period=1h").arg(alias));
    let commit = scene.repo.commit(&[("file", "two\n")]);
    assert_eq!(scene.post_signed(&PUSH, recorded("github-push", &commit)).0, 202);
    scene.wait_for_metric("syncline_push_looks_again_total", 2.0);
    git(&replica, &["fetch", "--quiet", "origin"]);
    scene.wait_for(&commit);
    assert_eq!(scene.metric("syncline_push_stale_total"), Some(0.0), "{}", running.log());
    // One that is never seen.
    assert_eq!(scene.post_signed(&PUSH, recorded("github-push", &"2".repeat(40))).0, 202);
    scene.wait_for_metric("syncline_push_stale_total", 1.0);
    assert!(scene.metric("syncline_push_looks_again_total").is_some_and(|count| count >= 7.0));
    assert_eq!(scene.env.published(), Some(commit));
}

#[test]
fn a_burst_of_hooks_makes_few_looks_and_the_last_push_is_published() {
    let scene = Scene::new();
    let _running = scene.start();
    let (before, began) = (scene.looks(), Instant::now());
    let last = scene.repo.commit(&[("file", "the last\n")]);
    let body = recorded("github-push", &last);
    let signature = format!("sha256={}", sign(SECRET, body.as_bytes()));
    let headers = [PUSH[0], ("X-Hub-Signature-256", signature.as_str())];
    let mut answers = Vec::new();
    for number in 0..1000 {
        if number == 500 {
            scene.repo.commit(&[("file", "one more\n")]);
        }
        answers.push(scene.post(&headers, &body).0);
    }
    assert!(answers.iter().all(|status| [200, 202].contains(status)), "{answers:?}");
    let end = scene.repo.commit(&[("file", "the end\n")]);
    assert_eq!(scene.post_signed(&PUSH, recorded("github-push", &end)).0, 202);
    scene.wait_for(&end);
    // Each commit takes a fetch, too.
    let most = 3 + began.elapsed().as_secs() as usize + 1 + 3;
    let looks = scene.looks() - before;
    assert!(looks <= most, "{looks} requests, {most} at most");
}

#[test]
fn a_body_that_is_replayed_is_only_a_look() {
    let scene = Scene::new();
    let _running = scene.start();
    let old = scene.repo.commit(&[("file", "old\n")]);
    let body = recorded("github-push", &old);
    assert_eq!(scene.post_signed(&PUSH, &body).0, 202);
    scene.wait_for(&old);
    let new = scene.repo.commit(&[("file", "new\n")]);
    assert_eq!(scene.post_signed(&PUSH, recorded("github-push", &new)).0, 202);
    scene.wait_for(&new);
    let before = scene.looks();
    assert_eq!(scene.post_signed(&PUSH, &body).0, 202);
    scene.wait_for_metric("syncline_push_stale_total", 1.0);
    assert_eq!(scene.env.published(), Some(new));
    assert_eq!(scene.looks() - before, LOOKS_OF_ONE);
    assert_eq!(scene.metric("git_sync_count_total{status=\"success\"}"), Some(3.0));
}

/// As an Ingress does: it reads the whole body before it sends it on.
#[test]
fn a_proxy_in_front_changes_nothing_of_the_body() {
    let scene = Scene::behind(
        "client_max_body_size 30m; location = /push { proxy_pass http://127.0.0.1:{port}; proxy_request_buffering on; }",
    );
    let _running = scene.start();
    let commit = scene.repo.commit(&[("file", "two\n")]);
    let body = recorded("github-push", &commit) + &" \r\n\t".repeat(40_000);
    let signature = format!("sha256={}", sign(SECRET, body.as_bytes()));
    let headers = [PUSH[0], ("X-Hub-Signature-256", signature.as_str())];
    assert_eq!(super::scene::post(scene.nginx.port(), "/push", &headers, &body).0, 202);
    scene.wait_for(&commit);
    // Longer than what is understood: it counts all the same.
    let long = body + &" ".repeat(1 << 20);
    let commit = scene.repo.commit(&[("file", "three\n")]);
    let signature = format!("sha256={}", sign(SECRET, long.as_bytes()));
    let headers = [PUSH[0], ("X-Hub-Signature-256", signature.as_str())];
    assert_eq!(super::scene::post(scene.nginx.port(), "/push", &headers, &long).0, 202);
    scene.wait_for(&commit);
}

#[test]
fn polls_are_seldom_while_hooks_work() {
    let scene = Scene::new();
    let running = scene.spawn(scene.syncline().arg("--period=50ms").arg("--receive-period=1h"));
    let commit = eventually("a push that its hook finds first", || {
        let commit = scene.repo.commit(&[("file", &format!("{:?}", Instant::now()))]);
        assert!([200, 202].contains(&scene.post_signed(&PUSH, recorded("github-push", &commit)).0));
        scene.wait_for(&commit);
        (scene.status()["push"]["working"] == true).then_some(commit)
    });
    running.wait_for("push hooks work");
    let next = |status: serde_json::Value| status["next_attempt"].as_str().unwrap().to_owned();
    let in_a_minute = humantime_of(60);
    eventually("a long pause", || (next(scene.status()) > in_a_minute).then_some(()));
    assert_eq!(scene.env.published(), Some(commit));
}

/// So many seconds from now, as the status writes times.
fn humantime_of(seconds: u64) -> String {
    let output = Command::new("date")
        .args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
        .arg(format!("+{seconds} seconds"))
        .output();
    text(&output.unwrap().stdout).trim().to_owned()
}

/// The server asks for a pause; hooks do not shorten it.
#[test]
fn hooks_do_not_shorten_a_pause_that_the_server_asks_for() {
    let scene = Scene::new();
    let limit = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    let server = Canned::start(move |_| limit.into());
    let mut syncline = scene.env.syncline(server.url("up/.git"));
    for option in scene.listening(&scene.env.path("secret").display().to_string()) {
        syncline = syncline.arg(option);
    }
    let running = syncline.arg("--period=100ms").arg("--max-failures=-1").spawn();
    running.wait_for("sync failed");
    let asked = server.requests().len();
    for _ in 0..5 {
        assert_eq!(scene.post_signed(&[], "").0, 202);
    }
    scene.wait_for_metric("syncline_push_requests_total{sender=\"other\",result=\"unclear\"}", 5.0);
    assert_eq!(server.requests().len(), asked, "{}", running.log());
}
