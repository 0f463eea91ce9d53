//! A server or a network that misbehaves: one pass fails in bounded time, says where, and the next works.

use std::time::Instant;

use crate::support::*;

/// Bytes until the end of the first answer, in the middle of the second, and in the middle of the pack.
const PLACES: [usize; 5] = [0, 60, 500, 900, 200_000];

fn upstream(env: &Env) -> Repo {
    let repo = env.repo("up");
    repo.commit_incompressible(1 << 20);
    repo
}

#[test]
fn a_server_that_stalls_anywhere_ends_at_the_time_limit() {
    let env = Env::new();
    let repo = upstream(&env);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for (scheme, port) in [("http", nginx.port()), ("git", daemon.port())] {
        for (bytes, drip) in PLACES.into_iter().flat_map(|bytes| [(bytes, false), (bytes, true)]) {
            let trouble = if drip { Trouble::Drip(bytes) } else { Trouble::Stall(bytes) };
            let meddler = Meddler::start(port, trouble);
            let started = Instant::now();
            let log = env.syncline(meddler.url(scheme, "up/.git")).arg("--sync-timeout=500ms").fail();
            assert!(started.elapsed() < SOON, "{scheme} {trouble:?}: {log}");
            assert!(
                log.contains("timed out after 500ms (--sync-timeout) while"),
                "{scheme} {trouble:?}: {log}"
            );
            env.assert_no_leftovers();
        }
    }
    let meddler = Meddler::start(nginx.port(), Trouble::Stall(200_000));
    let log = env.syncline(meddler.url("http", "up/.git")).arg("--sync-timeout=500ms").fail();
    assert!(log.contains("while receiving objects"), "{log}");
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn the_next_pass_of_the_same_process_works() {
    let env = Env::new();
    let repo = upstream(&env);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for (scheme, port) in [("http", nginx.port()), ("git", daemon.port())] {
        let meddler = Meddler::start(port, Trouble::None);
        let running = env
            .syncline(meddler.url(scheme, "up/.git"))
            .arg("--period=10ms")
            .arg("--sync-timeout=500ms")
            .arg("--max-failures=-1")
            .spawn();
        eventually("publication", || (env.published()? == repo.head()).then_some(()));
        let mut failures = 0;
        for trouble in [Trouble::Stall(0), Trouble::Cut(0), Trouble::Cut(60), Trouble::Drip(0)] {
            meddler.set(trouble);
            failures += 1;
            running.wait_for_times("sync failed", failures);
            failures = running.log().matches("sync failed").count();
            meddler.set(Trouble::None);
            let commit = repo.commit(&[("file", &format!("{scheme} {trouble:?}"))]);
            eventually("publication", || (env.published()? == commit).then_some(()));
        }
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_connection_cut_anywhere_fails_and_leaves_nothing() {
    let env = Env::new();
    let repo = upstream(&env);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for (scheme, port) in [("http", nginx.port()), ("git", daemon.port())] {
        for bytes in PLACES {
            let meddler = Meddler::start(port, Trouble::Cut(bytes));
            let log = env.syncline(meddler.url(scheme, "up/.git")).fail();
            assert!(log.contains("sync failed"), "{log}");
            env.assert_no_leftovers();
            assert_eq!(env.published(), None);
        }
    }
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_corrupted_pack_is_refused() {
    let env = Env::new();
    let repo = upstream(&env);
    let nginx = Nginx::start(&env.path(""));
    for at in [100_000, 400_000, 900_000] {
        let meddler = Meddler::start(nginx.port(), Trouble::Flip(at));
        let log = env.syncline(meddler.url("http", "up/.git")).fail();
        assert!(log.contains("fetch HEAD from"), "{log}");
        env.assert_no_leftovers();
        assert_eq!(env.published(), None);
    }
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn an_answer_other_than_success_is_named() {
    let env = Env::new();
    for (status, hint) in [
        ("401 Unauthorized", "wants other credentials"),
        ("403 Forbidden", "access denied"),
        ("404 Not Found", "is the URL right"),
        ("429 Too Many Requests", "429"),
        ("500 Internal Server Error", "500"),
        ("503 Service Unavailable", "503"),
    ] {
        let server = Canned::status(status);
        let log = env.syncline(server.url("x")).fail();
        assert!(log.contains(hint) && log.contains(&server.url("x")), "{log}");
        assert_eq!(server.requests().len(), 1, "one failure asks once");
    }
}

#[test]
fn servers_that_are_no_git_servers_are_named() {
    let env = Env::new();
    let answers = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 9\r\n\r\nzzzz\0\0\0\0\0",
            "this is not the answer of a Git server",
        ),
        ("complete garbage\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
    ];
    for (answer, expected) in answers {
        let server = Canned::start(move |_| answer.to_owned());
        let log = env.syncline(server.url("x")).fail();
        assert!(log.contains("sync failed") && log.contains(expected), "{log}");
    }
}

#[test]
fn redirects_are_followed_without_the_login() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let (target, seen) = (nginx.url("up/.git"), Canned::status("404 Not Found"));
    let redirect = move |head: &str| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let tail = path.strip_prefix("/moved").unwrap_or_default();
        format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {target}{tail}\r\nContent-Length: 0\r\n\r\n")
    };
    let server = Canned::start(redirect);
    env.syncline(server.url("moved").replace("://", "://user:secret@")).sync();
    env.assert_published(&repo, &repo.head());
    assert!(server.requests()[0].to_lowercase().contains("authorization: basic"));

    // To another origin the login does not go.
    let elsewhere = seen.url("x");
    let server = Canned::start(move |_| {
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {elsewhere}/info/refs?service=git-upload-pack\r\nContent-Length: 0\r\n\r\n"
        )
    });
    env.syncline(server.url("x").replace("://", "://user:secret@")).fail();
    assert_eq!(seen.requests().len(), 1);
    assert!(!seen.requests()[0].to_lowercase().contains("authorization"), "{:?}", seen.requests());
}

#[test]
fn endless_and_foreign_redirects_are_refused() {
    let env = Env::new();
    let here = Canned::start(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        format!("HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n")
    });
    let log = env.syncline(here.url("x")).fail();
    assert!(log.contains("redirects more than"), "{log}");
    assert!(here.requests().len() < 10);
    let login =
        Canned::start(|_| "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".into());
    let log = env.syncline(login.url("x")).fail();
    assert!(log.contains("there is no repository"), "{log}");
}

#[test]
fn an_unreachable_server_is_named() {
    let env = Env::new();
    for url in ["http://127.0.0.1:1/x", "git://127.0.0.1:1/x"] {
        let log = env.syncline(url).fail();
        assert!(log.contains("connect to") && log.contains("refused"), "{log}");
    }
    let log = env.syncline("https://no-such-host.invalid/x").fail();
    assert!(log.contains("cannot resolve no-such-host.invalid"), "{log}");
}

#[test]
fn what_the_server_says_is_passed_on() {
    let env = Env::new();
    let _repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let unknown = "0123456789012345678901234567890123456789";
    let log = env.syncline(nginx.url("up/.git")).arg("--ref").arg(unknown).fail();
    assert!(log.contains("the server says: upload-pack: not our ref"), "{log}");
}
