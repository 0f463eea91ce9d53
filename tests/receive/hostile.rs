//! Requests of strangers, and of those who know the secret and are hostile all the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::scene::{SECRET, Scene, answer, connect, head, post, recorded, sign};
use crate::support::*;

const LARGEST: usize = 25 << 20;

#[test]
fn a_large_body_without_a_proof_is_denied_before_it_comes() {
    let scene = Scene::new();
    let _running = scene.start();
    for proof in ["X-Any: x", "X-Gitlab-Token: wrong", "Authorization: Bearer wrong"] {
        let (name, value) = proof.split_once(": ").unwrap();
        let head = head("/push", &[(name, value)], LARGEST + 1);
        assert_eq!(answer(connect(scene.port), head.as_bytes()).0, 401, "{proof}");
    }
    // With a signature it would have to be read, so its length is enough.
    let signature = format!("sha256={}", "0".repeat(64));
    let head = head("/push", &[("X-Hub-Signature-256", &signature)], LARGEST + 1);
    assert_eq!(answer(connect(scene.port), head.as_bytes()).0, 413);
    // One that does not say how long it is.
    let chunked = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {signature}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut stream = connect(scene.port);
    stream.write_all(chunked.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let mut sent = 0;
    while sent <= 40 && stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert!(sent <= 40, "it is read without end");
    assert_eq!(scene.post_signed(&[], "").0, 202);
    scene.wait_for_metric("syncline_push_requests_total{sender=\"other\",result=\"too_large\"}", 2.0);
}

#[test]
fn a_body_that_drips_ends_and_those_who_wait_are_told() {
    let scene = Scene::new();
    let _running = scene.start();
    let signature = format!("sha256={}", "0".repeat(64));
    let head = head("/push", &[("X-Hub-Signature-256", &signature)], 1000);
    let began = Instant::now();
    let slow: Vec<TcpStream> = (0..8).map(|_| connect(scene.port)).collect();
    for mut stream in &slow {
        stream.write_all(head.as_bytes()).unwrap();
    }
    // All places are taken.
    let busy = eventually("a refusal", || {
        let (status, text) = scene.post_signed(&[], "");
        (status == 503).then_some(text)
    });
    assert_eq!(busy, "too many requests; try again\n");
    for mut stream in slow {
        let mut drip = stream.try_clone().unwrap();
        let dripping = std::thread::spawn(move || {
            while drip.write_all(b" ").is_ok() && !is_closed(&drip) {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
        let _ = stream.shutdown(Shutdown::Both);
        dripping.join().unwrap();
    }
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(scene.post_signed(&[], "").0, 202, "there are places again");
}

fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.set_nonblocking(true).unwrap();
    let closed = matches!(stream.peek(&mut byte), Ok(0));
    stream.set_nonblocking(false).unwrap();
    closed
}

#[test]
fn many_connections_keep_no_hook_out() {
    let scene = Scene::new();
    let _running = scene.start();
    let mut idle = Vec::new();
    for number in 0..10_000 {
        let mut stream = connect(scene.port);
        let _ = stream.write_all(b"POST /push HTTP/1.1\r\n");
        idle.push(stream);
        if idle.len() > 300 {
            idle.clear();
        }
        if number % 1000 == 999 {
            assert_eq!(scene.post_signed(&[], "").0, 202);
        }
    }
    let commit = scene.repo.commit(&[("file", "two\n")]);
    assert_eq!(scene.post_signed(&[], "").0, 202);
    scene.wait_for(&commit);
}

#[test]
fn requests_that_are_no_hooks_are_refused() {
    let scene = Scene::new();
    let _running = scene.start();
    let ask = |text: String| answer(connect(scene.port), text.as_bytes()).0;
    for method in ["GET", "PUT", "HEAD", "DELETE"] {
        let request = format!("{method} /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut stream = connect(scene.port);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.to_lowercase().contains("allow: post"),
            "{answer}"
        );
    }
    for path in ["/", "/push/", "/push/x", "/PUSH", "/push%20", "/status", "/metrics"] {
        assert_eq!(post(scene.port, path, &[("X-Gitlab-Token", SECRET)], "").0, 404, "{path}");
    }
    // The other listener takes no hooks.
    let looks = scene.looks();
    assert_eq!(post(scene.http, "/push", &[("X-Gitlab-Token", SECRET)], "").0, 200, "git-sync's readiness");
    assert_eq!(scene.looks(), looks);
    // Two lengths: one reading of it, or none.
    let both = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Gitlab-Token: {SECRET}\r\nTransfer-Encoding: chunked\r\n\
         Content-Length: 5\r\n\r\n0\r\n\r\nGET /push HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let mut stream = connect(scene.port);
    stream.write_all(both.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert_eq!(ask(format!("POST /push HTTP/1.1\r\nX-Fill: {}\r\n\r\n", "x".repeat(20_000))), 431);
}

#[test]
fn bodies_of_any_shape_are_at_most_a_look() {
    let scene = Scene::new();
    let running = scene.start();
    let head = scene.repo.head();
    let json: Vec<Vec<u8>> = [
        r#"{"ref":1}"#,
        r#"{"ref":["refs/heads/main"]}"#,
        r#"{"ref":null}"#,
        r#"{"push":{"changes":[]}}"#,
        r#"{"changes":[]}"#,
        r#"{"changes":[null]}"#,
        r#"{"resource":{"refUpdates":[]}}"#,
        r#"{"repository":{"links":{"clone":{}}}}"#,
        r#"{"repository":null,"project":[],"ref":"refs/heads/main"}"#,
        "{\"ref\":\"refs/heads/main\u{0}\"}",
        "null",
        "{",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let nested = ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)].map(String::into_bytes);
    let bytes = [b"\xff\xfe\0".to_vec(), b"{\"ref\":\"\xff\"}".to_vec(), vec![0; 300_000]];
    for body in json.into_iter().chain(nested).chain(bytes) {
        for event in [("X-GitHub-Event", "push"), ("X-Event-Key", "repo:push"), ("X-Any", "x")] {
            let status = scene.post_signed(&[event], &body).0;
            assert!([200, 202].contains(&status), "{status}: {}", body[..body.len().min(100)].escape_ascii());
        }
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for body in
        ["payload=x&".repeat(1000), "payload=%".into(), "payload=%4".into(), "payload".into(), "%&=%".into()]
    {
        let status = scene.post_signed(&[form, ("X-GitHub-Event", "push")], &body).0;
        assert_eq!(status, 202, "{body}");
    }
    let commit = scene.repo.commit(&[("file", "two\n")]);
    assert_eq!(scene.post_signed(&[], "").0, 202);
    scene.wait_for(&commit);
    assert_ne!(commit, head);
    assert!(!running.log().contains("panicked"), "{}", running.log());
}

/// Whatever URL a body names.
#[test]
fn nothing_connects_to_a_url_of_a_body() {
    let scene = Scene::new();
    let _running = scene.start();
    let stranger = Canned::status("200 OK");
    let url = stranger.url("x");
    let names = [
        "github-push",
        "gitlab-push",
        "gitea-push",
        "bitbucket-cloud",
        "bitbucket-server",
        "azure",
        "codecommit-confirmation",
    ];
    for (name, event) in
        names.iter().flat_map(|name| [(name, ("X-GitHub-Event", "push")), (name, ("X-Any", "x"))])
    {
        let body = recorded(name, &scene.repo.head());
        let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
        replace_urls(&mut body, &url);
        assert!(body.to_string().contains(&url), "{body}");
        let status = scene.post_signed(&[event], body.to_string()).0;
        assert!([200, 202].contains(&status), "{name}: {status}");
    }
    let commit = scene.repo.commit(&[("file", "two\n")]);
    assert_eq!(scene.post_signed(&[], "").0, 202);
    scene.wait_for(&commit);
    assert_eq!(stranger.requests(), [""; 0]);
}

fn replace_urls(value: &mut serde_json::Value, url: &str) {
    match value {
        serde_json::Value::String(text) if text.contains("://") || text.starts_with('@') => {
            url.clone_into(text)
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| replace_urls(value, url)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| replace_urls(value, url)),
        _ => {}
    }
}

/// Somebody who does not know the secret can send much, and memory stays.
#[test]
fn large_bodies_with_wrong_signatures_take_no_memory() {
    let scene = Scene::new();
    let running = scene.start();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let body = vec![b' '; 2 << 20];
    let signature = format!("sha256={}", sign("another secret of hooks", b""));
    let send = || scene.post(&[("X-Hub-Signature-256", &signature)], &body).0;
    assert_eq!(send(), 401);
    let before = resident();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| assert!([401, 503].contains(&send()))));
        }
    });
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB more");
}
