//! Where the batch API sends clients, and with which headers.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

const CONTENT: &str = "content\n";

fn with_href(href: String) -> impl Fn(&str, Answer) -> Answer + Send + 'static {
    with_action(move |action| action["href"] = href.as_str().into())
}

fn with_action(
    change: impl Fn(&mut Value) + Send + 'static,
) -> impl Fn(&str, Answer) -> Answer + Send + 'static {
    move |request, answer| match is_batch(request) {
        true => answer.alter(|body| change(&mut body["objects"][0]["actions"]["download"])),
        false => answer,
    }
}

/// Another server that has the content.
fn elsewhere() -> Canned {
    Canned::answer("200 OK", CONTENT)
}

#[test]
fn places_that_no_server_may_name_are_refused() {
    let rig = Rig::new();
    let other = elsewhere();
    let port = other.port();
    std::fs::write(rig.env.path("beside"), CONTENT).unwrap();
    let file = format!("file://{}", rig.env.path("beside").display());
    each_row(
        [
            file.as_str(),
            "file:///etc/passwd",
            "/etc/passwd",
            "ftp://127.0.0.1/x",
            "ssh://127.0.0.1/x",
            "data:,content%0A",
            &format!("http://user:canary@127.0.0.1:{port}/x"),
            &format!("http://canary@127.0.0.1:{port}/x"),
            &format!("//127.0.0.1:{port}/x"),
            &format!("http:/127.0.0.1:{port}/x"),
            "http://",
            "http:///x",
            "",
            &format!("http://127.0.0.1:{port}/x\r\nX-Evil: 1"),
            &format!("http://127.0.0.1:{port}/x\ny"),
            &format!("http://127.0.0.1:{port}/x\0"),
            &format!("http://127.0.0.1:{port}\\@evil/x"),
            &format!("http://127.0.0.1:{}/", "9".repeat(10)),
            &format!("http://127.0.0.1:{port}/{}", "x".repeat(100_000)),
        ],
        |href| {
            rig.assert_refused(CONTENT, &[], with_href(href.to_owned()));
            std::fs::remove_dir_all(rig.env.root()).unwrap();
        },
    );
    assert_eq!(other.requests(), [""; 0]);
    each_row([json!(7), json!(null), json!(["x"]), json!({})], |href| {
        rig.assert_refused(CONTENT, &[], with_action(move |action| action["href"] = href.clone()));
        std::fs::remove_dir_all(rig.env.root()).unwrap();
    });
}

#[test]
fn another_server_may_have_the_objects() {
    let rig = Rig::new();
    let other = elsewhere();
    let commit = rig.prepare(CONTENT);
    rig.lfs.spoil(with_href(other.url("signed?X-Amz-Signature=canary&x=%2F")));
    let log = rig.syncline().arg("-v9").sync().stderr;
    rig.env.assert_lfs_published(&rig.repo, &commit);
    let requests = other.requests();
    assert!(requests[0].starts_with("GET /signed?X-Amz-Signature=canary&x=%2F HTTP/1.1"), "{requests:?}");
    assert!(!log.contains("canary"), "{log}");
    // And when it fails, its secrets are not told either.
    let refusing = Canned::status("403 Forbidden");
    rig.prepare(CONTENT);
    std::fs::remove_file(rig.env.lfs_object(CONTENT)).ok();
    rig.lfs.spoil(with_href(refusing.url("signed?X-Amz-Signature=canary")));
    let fault = fault(&rig.syncline().arg("-v9").fail());
    assert!(fault.contains("403") && fault.contains("/signed") && !fault.contains("canary"), "{fault}");
}

#[test]
fn headers_are_sent_as_they_are_given() {
    let rig = Rig::new();
    let commit = rig.prepare(CONTENT);
    rig.lfs.spoil(with_action(|action| {
        action["header"] = json!({
            "authorization": "RemoteAuth canary",
            "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
            "Accept": "application/octet-stream",
            "x-empty": "",
        });
    }));
    let log = rig.syncline().arg("-v9").sync().stderr;
    rig.env.assert_lfs_published(&rig.repo, &commit);
    let get = rig.lfs.gets().pop().unwrap();
    assert_eq!(header(&get, "authorization"), "RemoteAuth canary");
    assert_eq!(header(&get, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
    assert_eq!(header(&get, "accept"), "application/octet-stream");
    assert_eq!(get.to_lowercase().matches("\r\naccept:").count(), 1, "{get}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn headers_that_steer_a_connection_are_refused() {
    let many: serde_json::Map<_, _> = (0..33).map(|number| (format!("x-{number}"), json!("x"))).collect();
    let rows = [
        json!({ "Host": "evil" }),
        json!({ "hOsT": "evil" }),
        json!({ "Content-Length": "5" }),
        json!({ "Transfer-Encoding": "chunked" }),
        json!({ "Connection": "close" }),
        json!({ "Upgrade": "h2c" }),
        json!({ "TE": "trailers" }),
        json!({ "Proxy-Authorization": "Basic canary" }),
        json!({ "X-A": "x\r\nX-Evil: canary" }),
        json!({ "X-A": "x\ncanary" }),
        json!({ "X-A": "x\0canary" }),
        json!({ "X-A\r\nX-Evil": "canary" }),
        json!({ "X A": "canary" }),
        json!({ "": "canary" }),
        json!({ "X-A": 7 }),
        json!({ "X-A": "x".repeat(17 << 10) }),
        json!(["X-A: x"]),
        Value::Object(many),
    ];
    let rig = Rig::new();
    each_row(rows, |headers| {
        rig.prepare(CONTENT);
        let before = rig.lfs.gets().len();
        rig.lfs.spoil(with_action(move |action| action["header"] = headers.clone()));
        let fault = fault(&rig.syncline().arg("-v9").fail());
        assert!(fault.contains("new.bin") && !fault.contains("canary"), "{fault}");
        assert_eq!(rig.lfs.gets().len(), before);
        std::fs::remove_dir_all(rig.env.root()).unwrap();
    });
}

#[test]
fn redirects_are_followed_a_few_times_and_without_logins() {
    let rig = Rig::new();
    let other = elsewhere();
    let redirect = |to: String| {
        move |request: &str, answer: Answer| match is_batch(request) {
            true => answer.alter(|body| {
                let action = &mut body["objects"][0]["actions"]["download"];
                action["header"] = json!({ "Authorization": "RemoteAuth canary", "X-Kept": "yes" });
            }),
            false if request.contains("/lfs/objects/") => {
                Answer::new("302 Found", "").with(format!("Location: {to}"))
            }
            false => Answer::new("200 OK", CONTENT),
        }
    };
    // The same server, by a path and by a URL.
    for to in ["/elsewhere".to_owned(), rig.lfs.url("elsewhere")] {
        rig.prepare(CONTENT);
        rig.lfs.spoil(redirect(to));
        rig.syncline().sync();
        rig.env.assert_file("new.bin", CONTENT);
        let get = rig.lfs.gets().pop().unwrap();
        assert!(get.starts_with("GET /elsewhere "), "{get}");
        assert_eq!(header(&get, "authorization"), "RemoteAuth canary");
        std::fs::remove_dir_all(rig.env.root()).unwrap();
    }
    // Another host, and another port of this one.
    for to in [other.url("x").replace("127.0.0.1", "localhost"), other.url("x")] {
        rig.prepare(CONTENT);
        rig.lfs.spoil(redirect(to));
        rig.syncline().sync();
        rig.env.assert_file("new.bin", CONTENT);
        let get = other.requests().pop().unwrap();
        assert_eq!(header(&get, "authorization"), "", "{get}");
        std::fs::remove_dir_all(rig.env.root()).unwrap();
    }
    each_row(
        ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://u:canary@127.0.0.1:1/x", "//", "http:///", ""],
        |to| {
            rig.assert_refused(CONTENT, &[], redirect(to.to_owned()));
            std::fs::remove_dir_all(rig.env.root()).unwrap();
        },
    );
    let endless = |request: &str, answer: Answer| match is_batch(request) {
        true => answer,
        false => Answer::new("302 Found", "").with("Location: /again"),
    };
    let before = rig.lfs.gets().len();
    rig.assert_refused(CONTENT, &["redirect"], endless);
    assert!(rig.lfs.gets().len() - before < 15);
    // Of the batch, too.
    rig.assert_refused("another\n", &[], |request, answer| match is_batch(request) {
        true => Answer::new("302 Found", "").with("Location: /up/.git/info/lfs/objects/batch"),
        false => answer,
    });
}

/// What came by https goes on by https.
#[test]
fn encryption_is_never_lost() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let lfs = LfsServer::start(&env.path(""));
    let plain = Canned::answer("200 OK", "content of a\n");
    let tls = Nginx::with(&env.path(""), 2, &format!(
        "location ^~ /lead/ {{ return 302 {}; }}
         location ~ ^/(.*/info/lfs/objects/batch)$ {{ proxy_pass {}$1; proxy_set_header Host $http_host; proxy_set_header X-Scheme https; }}
         location ~ ^/objects/(.*)$ {{ alias {}/$1; }}",
        plain.url("x"),
        lfs.url(""),
        env.path("").display(),
    ));
    let sync = || {
        let ca = format!("--git-config=http.sslCAInfo:{}", tls.ca_file().display());
        env.with_lfs(tls.tls_url("up/.git")).arg(ca)
    };
    for href in [plain.url("x"), tls.url("objects/x"), tls.tls_url("lead/x")] {
        lfs.spoil(with_all_hrefs(href));
        let fault = fault(&sync().fail());
        // Two threads fetch them; one fails first.
        assert!(["a.bin", "dir/b.bin"].iter().any(|file| fault.contains(file)), "{fault}");
        assert_eq!(plain.requests(), [""; 0]);
        assert_eq!(env.published(), None);
    }
    lfs.mend();
    sync().sync();
    env.assert_lfs_published(&repo, &repo.head());
}

fn with_all_hrefs(href: String) -> impl Fn(&str, Answer) -> Answer + Send + 'static {
    move |request, answer| match is_batch(request) {
        false => answer,
        true => answer.alter(|body| {
            for object in body["objects"].as_array_mut().unwrap() {
                object["actions"]["download"]["href"] = href.as_str().into();
            }
        }),
    }
}

#[test]
fn an_action_that_expired_is_asked_for_once_more() {
    let rig = Rig::new();
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let commit = rig.prepare(status);
        // The first action that is given is good for nothing.
        let first = Arc::new(Mutex::new(true));
        rig.lfs.spoil(move |request, answer| {
            let mut first = first.lock().unwrap();
            match is_batch(request) {
                true if std::mem::take(&mut *first) => answer.alter(|body| {
                    let href = &mut body["objects"][0]["actions"]["download"]["href"];
                    *href = format!("{}?expired", href.as_str().unwrap()).into();
                }),
                false if request.contains("?expired ") => Answer::new(status, ""),
                _ => answer,
            }
        });
        let before = rig.lfs.batches().len();
        rig.syncline().sync();
        rig.env.assert_lfs_published(&rig.repo, &commit);
        assert_eq!(rig.lfs.batches().len() - before, 2);

        // For good, it is a failure.
        let before = rig.lfs.batches().len() + 1;
        rig.assert_refused(format!("never {status}\n"), &[&status[..3]], move |request, answer| {
            if is_batch(request) { answer } else { Answer::new(status, "") }
        });
        // One for the good commit, two for the refused one, one for what follows.
        assert!(rig.lfs.batches().len() - before <= 4);
    }
}
