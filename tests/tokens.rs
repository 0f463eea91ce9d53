//! Tokens of OAuth, by token endpoints that check what they are asked.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::*;

/// The fields of a form.
fn form(request: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    body.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// A token endpoint that hands out `t1`, `t2` and so on for the form that it expects.
fn endpoint(expected: &[(&str, &str)], life: u64) -> Canned {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let count = AtomicUsize::new(0);
    Canned::start(move |request| {
        assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(request, "content-type"), "application/x-www-form-urlencoded");
        if form(request) != expected {
            let why =
                json!({ "error": "invalid_request", "error_description": format!("{:?}", form(request)) });
            return response("400 Bad Request", &why.to_string());
        }
        let token = format!("t{}", count.fetch_add(1, Ordering::SeqCst) + 1);
        let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": life });
        response("200 OK", &body.to_string())
    })
}

fn client(env: &Env, url: String, endpoint: &Canned) -> Syncline {
    env.syncline(url).arg(format!("--oauth-token-url={}", endpoint.url("token")))
}

/// The forms that Azure and most others, and Google and GitLab's kind, want.
#[test]
fn each_oauth_grant_sends_its_form_and_uses_the_token_as_told() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    fs::write(env.path("secret"), "s+c&t=\n").unwrap();
    fs::write(env.path("assertion"), "j.w.t\n").unwrap();
    let file = |option: &str, name: &str| format!("--oauth-{option}-file={}", env.path(name).display());
    type Case = (&'static [(&'static str, &'static str)], Vec<String>, String);
    let cases: [Case; 3] = [
        (
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "me"),
                ("client_secret", "s+c&t="),
                ("scope", "a/.default b"),
            ],
            vec![
                file("client-secret", "secret"),
                "--oauth-client-id=me".into(),
                "--oauth-scope=a/.default b".into(),
            ],
            "Bearer t1".into(),
        ),
        (
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "me"),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", "j.w.t"),
            ],
            vec![file("assertion", "assertion"), "--oauth-client-id=me".into()],
            "Bearer t1".into(),
        ),
        (
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", "j.w.t"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ("audience", "//iam/x=y"),
            ],
            vec![
                file("assertion", "assertion"),
                "--oauth-grant=token-exchange".into(),
                "--oauth-parameter=audience=//iam/x=y".into(),
                "--oauth-username=oauth2".into(),
            ],
            basic("oauth2", "t1"),
        ),
    ];
    each_row(cases, |(expected, options, shown)| {
        let _ = fs::remove_dir_all(env.root());
        nginx.admit(&shown);
        let endpoint = endpoint(expected, 3600);
        let syncline = client(&env, nginx.url("token/up/.git"), &endpoint);
        options.iter().fold(syncline, |syncline, option| syncline.arg(option)).sync();
        env.assert_published(&repo, &repo.head());
        nginx.refuse(&shown);
    });
}

#[test]
fn an_oauth_token_is_kept_renewed_and_replaced() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let assertion = env.path("assertion");
    fs::write(&assertion, "first").unwrap();
    let count = AtomicUsize::new(0);
    let endpoint = Canned::start(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        // The first lives for a second beyond the margin, those that follow for long.
        let life = if number == 1 { 31 } else { 3600 };
        let token = format!("{}{number}", form(request)["client_assertion"]);
        response("200 OK", &json!({ "access_token": token, "expires_in": life }).to_string())
    });
    for token in ["Bearer first1", "Bearer second2"] {
        nginx.admit(token);
    }
    let port = free_port();
    let running = client(&env, nginx.url("token/up/.git"), &endpoint)
        .arg("--oauth-client-id=me")
        .arg("--oauth-assertion-file")
        .arg(&assertion)
        .arg("--period=20ms")
        .arg("-v1")
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for("published");
    fs::write(&assertion, "second").unwrap();
    eventually("the next token", || (endpoint.requests().len() == 2).then_some(()));
    let before = running.log().matches("nothing new").count();
    running.wait_for_times("nothing new", before + 5);
    assert_eq!(endpoint.requests().len(), 2, "kept over polls");
    nginx.admit("Bearer third3");
    fs::write(&assertion, "third").unwrap();
    nginx.refuse("Bearer second2");
    running.wait_for("trying another");
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    assert_eq!(endpoint.requests().len(), 3);
    assert!(!running.log().contains("sync failed"), "{}", running.log());
    let (_, page) = get(port, "/metrics");
    assert!(page.contains("syncline_oauth_token_requests_total{status=\"success\"} 3\n"), "{page}");
}

/// No flood of tokens or of refused requests.
#[test]
fn a_server_that_refuses_every_token_is_asked_once_an_attempt() {
    let env = Env::new();
    fs::write(env.path("assertion"), "j.w.t").unwrap();
    let endpoint = Canned::answer("200 OK", r#"{"access_token":"t"}"#);
    let git = Canned::status("401 Unauthorized");
    let log = client(&env, git.url("x"), &endpoint)
        .arg("--oauth-client-id=me")
        .arg("--oauth-assertion-file")
        .arg(env.path("assertion"))
        .arg("--max-failures=4")
        .arg("--period=10ms")
        .fail();
    assert_eq!(log.matches("sync failed").count(), 4, "{log}");
    assert_eq!((git.requests().len(), endpoint.requests().len()), (4, 4), "{log}");
}

#[test]
fn what_goes_wrong_with_oauth_is_named_without_the_secrets() {
    let env = Env::new();
    fs::write(env.path("assertion"), "canary-jwt\n").unwrap();
    let run = |endpoint: &Canned| {
        client(&env, "http://127.0.0.1:1/x".into(), endpoint)
            .arg("--oauth-client-id=me")
            .arg("--oauth-parameter=key=canary-parameter")
            .arg("--oauth-assertion-file")
            .arg(env.path("assertion"))
            .fail()
    };
    let echoed = r#"{"error":"invalid_client","error_description":"AADSTS7: canary-jwt, canary-parameter"}"#;
    each_row(
        [
            ("400 Bad Request", echoed, "the answer is HTTP 400: invalid_client: AADSTS7: …, …"),
            ("500 Oops", "<html>canary</html>", "the answer is HTTP 500\""),
            ("200 OK", r#"{"token":"canary"}"#, "the answer is not a JSON object with \\\"access_token\\\""),
            ("200 OK", "canary", "the answer is not a JSON object with \\\"access_token\\\""),
            ("307 Temporary Redirect", "", "the answer is HTTP 307"),
        ],
        |(status, body, said)| {
            let endpoint = Canned::answer(status, body);
            let log = run(&endpoint);
            assert!(log.contains("get a token from") && log.contains(said), "{log}");
            assert!(!log.contains("canary"), "{log}");
            assert_eq!(endpoint.requests().len(), 1);
        },
    );
    let endpoint = Canned::status("200 OK");
    fs::write(env.path("assertion"), "").unwrap();
    let log = run(&endpoint);
    assert!(log.contains("read the OAuth assertion") && log.contains("the file is empty"), "{log}");
    fs::remove_file(env.path("assertion")).unwrap();
    assert!(run(&endpoint).contains("read the OAuth assertion"));
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn a_token_endpoint_that_hangs_is_left_after_the_time_of_a_sync() {
    let env = Env::new();
    fs::write(env.path("assertion"), "j.w.t").unwrap();
    let hung = Arc::new(AtomicUsize::new(0));
    let seen = hung.clone();
    let endpoint = Canned::start(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PATIENCE);
        String::new()
    });
    let started = std::time::Instant::now();
    let log = client(&env, "http://127.0.0.1:1/x".into(), &endpoint)
        .arg("--oauth-client-id=me")
        .arg("--oauth-assertion-file")
        .arg(env.path("assertion"))
        .arg("--sync-timeout=1s")
        .fail();
    assert!(log.contains("get a token from") && log.contains("time"), "{log}");
    assert!(started.elapsed() < SOON && hung.load(Ordering::SeqCst) == 1);
}
