//! What HTTP servers and gateways answer in place of Git, and what they call Git.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::*;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const RESULT: &str = "application/x-git-upload-pack-result";

const ADVERTISED: &[u8] =
    b"001e# service=git-upload-pack\n0000000eversion 2\n0013ls-refs=unborn\n0012fetch=shallow\n0000";

/// A whole answer of a real server to a request.
pub fn ask(port: u16, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // Of the older version it closes the connection after the answer.
    stream.write_all(request.replacen("HTTP/1.1\r\n", "HTTP/1.0\r\n", 1).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

/// A success with this header lines and this content.
pub fn success(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[test]
fn git_is_accepted_under_whatever_content_type() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for (advertisement, result, version) in [
        (format!("{ADVERTISEMENT}; charset=utf-8"), format!("{RESULT};charset=utf-8"), 2),
        (ADVERTISEMENT.to_uppercase(), RESULT.to_uppercase(), 2),
        (ADVERTISEMENT.into(), ADVERTISEMENT.into(), 2),
        ("text/plain".into(), "application/octet-stream".into(), 2),
        ("text/html".into(), "text/html".into(), 0),
        (String::new(), String::new(), 0),
    ] {
        let (port, shown) = (nginx.port(), format!("{advertisement} {result}"));
        let server = Canned::bytes(move |request| {
            let kind = if request.starts_with("GET") { &advertisement } else { &result };
            let field = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
            let lower = request.to_lowercase();
            let request = match lower.find("git-protocol:") {
                Some(at) if version == 0 => request[..at].to_owned() + "X-" + &request[at..],
                _ => request.to_owned(),
            };
            success(&field, &ask(port, &request))
        });
        repo.commit(&[("file", &shown)]);
        env.syncline(server.url("up/.git")).sync();
        env.assert_published(&repo, &repo.head());
    }
}

#[test]
fn an_answer_that_is_no_git_is_named() {
    let page = "<!DOCTYPE html>\n<HTML><head><Title>\n Sign in </title>";
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    let dumb = format!("{}\trefs/heads/main\n", "0123456789".repeat(4));
    let a_page = "answered with a web page (Sign in), not Git; if that is a sign-in page,";
    let cases: [(&str, &[u8], &str); 12] = [
        (html, page.as_bytes(), a_page),
        ("", page.as_bytes(), a_page),
        ("Content-Type: text/plain\r\n", page.as_bytes(), a_page),
        ("Content-Type: {git}\r\n", page.as_bytes(), a_page),
        ("Content-Type: application/xhtml+xml\r\n", b"<?xml?><x/>", "answered with a web page, not Git"),
        ("Content-Type: {git}\r\n", b"", "answered HTTP 200 OK with nothing in it; is the URL right?"),
        ("", b"", "answered HTTP 200 OK with nothing in it"),
        (
            "Content-Type: text/plain\r\n",
            b"come back later\n",
            "answered with text/plain (come back later), not Git",
        ),
        (
            "Content-Type: application/json\r\n",
            b"{\"a\":1}",
            "answered with application/json ({\"a\":1}), not Git",
        ),
        ("", b"\x1f\x8b\0\0", "answered with something, not Git"),
        (
            "Content-Type: {git}\r\nContent-Encoding: gzip\r\n",
            b"no gzip at all",
            "the server's gzip data is damaged",
        ),
        (
            "Content-Type: {git}\r\nTransfer-Encoding: chunked\r\n",
            b"zz\r\n",
            "the server's answer is not valid HTTP",
        ),
    ];
    let env = Env::new();
    each_row(cases, |(fields, body, words)| {
        for is_result in [false, true] {
            let git = if is_result { RESULT } else { ADVERTISEMENT };
            let spoiled = success(&fields.replace("{git}", git), body);
            let server = Canned::bytes(move |request| match request.starts_with("GET") && is_result {
                true => success(&format!("Content-Type: {ADVERTISEMENT}\r\n"), ADVERTISED),
                false => spoiled.clone(),
            });
            let fault = fault(&env.syncline(server.url("x")).arg("--sync-timeout=10s").fail());
            assert!(fault.contains(words) && fault.contains(&server.url("x")), "{fields:?}: {fault}");
        }
    });
    let server = Canned::bytes(move |_| success("Content-Type: text/plain\r\n", dumb.as_bytes()));
    let fault = fault(&env.syncline(server.url("x")).fail());
    assert!(fault.contains("git's 'dumb' protocol, which is not supported"), "{fault}");
}

#[test]
fn a_page_or_nothing_is_named_under_any_successful_status() {
    let env = Env::new();
    each_row(
        [
            (
                "203 Non-Authoritative Information",
                "<html><title>Proxy</title>",
                "with a web page (Proxy), not Git",
            ),
            ("204 No Content", "", "answered HTTP 204 No Content with nothing in it"),
        ],
        |(status, body, words)| {
            let fault = fault(&env.syncline(Canned::answer(status, body).url("x")).fail());
            assert!(fault.contains(words), "{fault}");
        },
    );
}

#[test]
fn what_a_failing_server_says_is_passed_on_in_short() {
    let env = Env::new();
    each_row(
        [
            (
                "Content-Type: application/json; charset=utf-8",
                "{\"message\":\"gone fishing\"}",
                "gone fishing".to_owned(),
            ),
            ("Content-Type: text/html", "<TITLE>Gone\nfishing</TITLE>", "(Gone fishing)".into()),
            ("Content-Type: text/plain; charset=x", &"x".repeat(1000), format!("({}…)", "x".repeat(300))),
            ("Content-Type: application/x-git", "canary", "HTTP 500 Internal Server Error\"".into()),
        ],
        |(fields, body, words)| {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 500 Internal Server Error\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let log = env.syncline(Canned::start(move |_| answer.clone()).url("x")).fail();
            assert!(log.contains(&words) || fault(&log).contains(&words), "{log}");
        },
    );
}

#[test]
fn a_redirect_in_the_middle_is_named() {
    let env = Env::new();
    let server = Canned::bytes(|request| match request.starts_with("GET") {
        true => success("", ADVERTISED),
        false => {
            b"HTTP/1.1 302 Found\r\nLocation: https://sso.example/login#canary\r\nContent-Length: 0\r\n\r\n"
                .into()
        }
    });
    let fault = fault(&env.syncline(server.url("x")).fail());
    assert!(
        fault.contains("redirects to https://sso.example/login, which") && !fault.contains("canary"),
        "{fault}"
    );
}

#[test]
fn an_answer_that_ends_early_is_named() {
    let env = Env::new();
    env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for at in [0, 20, 400] {
        let meddler = Meddler::start(nginx.port(), Trouble::Cut(at));
        let fault = fault(&env.syncline(meddler.url("http", "up/.git")).fail());
        assert!(fault.contains("the server hung up"), "{at}: {fault}");
    }
}

#[test]
fn ways_to_log_in_that_are_not_spoken_are_named() {
    let env = Env::new();
    for (status, field, words) in [
        (
            "401 Unauthorized",
            "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM",
            "offers Negotiate, NTLM, which is not",
        ),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Digest realm=\"a, Basic b\", qop=\"auth\"",
            "offers Digest, which is not",
        ),
        (
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: NTLM",
            "other credentials; it offers NTLM, which is not",
        ),
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"", "the server wants other credentials\""),
    ] {
        let server =
            Canned::start(move |_| format!("HTTP/1.1 {status}\r\n{field}\r\nContent-Length: 0\r\n\r\n"));
        let log = env.syncline(server.url("x")).fail();
        assert!(log.contains(words), "{log}");
    }
}

#[test]
fn relative_redirects_are_followed() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let port = nginx.port();
    for location in [
        format!("//127.0.0.1:{port}/up/.git/info/refs"),
        "../../../up/.git/info/refs".into(),
        "/up/./.git/info/refs".into(),
    ] {
        let server = Canned::bytes(move |request| {
            if request.contains(" /moved/") {
                let tail = "?service=git-upload-pack";
                return format!(
                    "HTTP/1.1 302 Found\r\nLocation: {location}{tail}\r\nContent-Length: 0\r\n\r\n"
                )
                .into();
            }
            success("", &ask(port, request))
        });
        repo.commit(&[("file", &server.url(""))]);
        env.syncline(server.url("moved/x")).sync();
        env.assert_published(&repo, &repo.head());
    }
}
