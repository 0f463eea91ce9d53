//! `/v1/changes`: waiting for a commit over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::Value;

use crate::support::*;

fn serving(env: &Env, repo: &Repo, port: u16) -> Running {
    env.syncline(repo.url())
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--period=20ms")
        .arg("--max-failures=-1")
        .spawn()
}

fn changes(port: u16, query: &str) -> (u16, String) {
    get(port, &format!("/v1/changes?{query}"))
}

fn commit(answer: &(u16, String)) -> String {
    assert_eq!(answer.0, 200, "{answer:?}");
    serde_json::from_str::<Value>(&answer.1).unwrap()["commit"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_published_is_told_at_once_unless_it_is_known() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let _running = serving(&env, &repo, port);
    for query in ["", "after=", &format!("after={}", "0".repeat(40)), &format!("after={}", "0".repeat(64))] {
        assert_eq!(commit(&changes(port, query)), repo.head(), "{query}");
    }
    let status: Value = serde_json::from_str(&get(port, "/status").1).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&changes(port, "").1).unwrap(), status["published"]);
    for seconds in [0, 1] {
        let known = format!("after={}&timeout={seconds}", repo.head());
        assert_eq!(changes(port, &known), (204, String::new()));
    }
}

#[test]
fn whoever_knows_it_waits_for_the_next() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let _running = serving(&env, &repo, port);
    let mut seen = commit(&changes(port, ""));
    for content in ["2", "3"] {
        let known = format!("after={seen}");
        let waiting = thread::spawn(move || changes(port, &known));
        let next = repo.commit(&[("file", content)]);
        seen = commit(&waiting.join().unwrap());
        assert_eq!(seen, next);
        assert_eq!(env.read("file"), content, "it is published when it is told");
    }
}

#[test]
fn before_the_first_success_it_waits_too() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    let running = serving(&env, &repo, port);
    running.wait_for("sync failed");
    assert_eq!(changes(port, "timeout=0"), (204, String::new()));
    let waiting = thread::spawn(move || changes(port, ""));
    std::fs::rename(env.path("away"), &repo.path).unwrap();
    assert_eq!(commit(&waiting.join().unwrap()), repo.head());
}

#[test]
fn a_query_that_means_nothing_is_refused_in_one_line() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let _running = serving(&env, &repo, port);
    for (query, fault) in [
        ("after=main", "after: \"main\" is not a full commit id"),
        ("after=012345", "after: \"012345\" is not a full commit id"),
        ("timeout=1m", "timeout: \"1m\" is not a number of seconds"),
        ("since=1", "\"since\" is unknown"),
    ] {
        let (code, body) = changes(port, query);
        assert!(
            code == 400 && body.starts_with(fault) && body.trim_end().lines().count() == 1,
            "{code} {body}"
        );
    }
}

/// 64 may wait; the others are sent away, so that connections are left for probes.
#[test]
fn many_that_wait_keep_no_probe_from_its_answer() {
    let env = Env::new();
    let repo = env.repo("up");
    let port = free_port();
    let _running = serving(&env, &repo, port);
    let seen = commit(&changes(port, ""));
    let mut waiting: Vec<TcpStream> = (0..64).map(|_| poll(port, &seen, "close")).collect();
    let no_place = format!("after={seen}&timeout=0");
    eventually("no place", || (changes(port, &no_place).0 == 503).then_some(()));
    for _ in 0..200 {
        let answer = read(poll(port, &seen, "keep-alive")).to_lowercase();
        assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
        assert_eq!(get(port, "/readyz").0, 200);
    }
    // Whoever goes makes room.
    drop(waiting.pop());
    eventually("a place", || (changes(port, &no_place).0 == 204).then_some(()));
    let next = repo.commit(&[("file", "two")]);
    for stream in waiting {
        let answer = read(stream);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&next), "{answer}");
    }
}

/// A request that is not waited for.
fn poll(port: u16, seen: &str, connection: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("GET /v1/changes?after={seen} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The whole answer, up to the connection's end.
fn read(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
