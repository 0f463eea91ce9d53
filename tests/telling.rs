//! Telling others without a program: web hooks, and the two small files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::*;

#[test]
fn the_webhook_carries_the_hash_and_wants_its_status() {
    let env = Env::new();
    let repo = env.repo("up");
    let server = Canned::status("204 No Content");
    let hook = server.url("hook?a=b");
    env.syncline(repo.url()).arg("--webhook-url").arg(&hook).arg("--webhook-success-status=204").sync();
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /hook?a=b HTTP/1.1"), "{request}");
    assert!(request.to_lowercase().contains(&format!("gitsync-hash: {}", repo.head())), "{request}");

    env.syncline(repo.url()).arg("--webhook-url").arg(&hook).arg("--webhook-success-status=0").sync();
    let log = env.syncline(repo.url()).arg("--webhook-url").arg(&hook).arg("--webhook-method=GET").fail();
    assert!(log.contains("answered HTTP 204, expected 200"), "{log}");
    assert!(server.requests().last().unwrap().starts_with("GET "));
    fs::write(env.path("key"), "secret\n").unwrap();
    let signed = env.syncline(repo.url()).arg("--webhook-url").arg(&hook).arg("--webhook-success-status=0");
    signed.arg("--webhook-json").arg("--webhook-secret-file").arg(env.path("key")).sync();
    let request = server.requests().last().unwrap().to_lowercase();
    let body = format!("{{\"hash\":\"{}\",\"ref\":\"HEAD\",\"repo\":\"{}\"}}", repo.head(), repo.url());
    assert!(request.contains(&format!("content-length: {}", body.len())), "{request}");
    fs::write(env.path("body"), body).unwrap();
    let digest = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "secret"])
        .arg(env.path("body"))
        .output();
    let digest = text(&digest.unwrap().stdout).trim().rsplit(' ').next().unwrap().to_owned();
    assert!(request.contains(&format!("x-hub-signature-256: sha256={digest}")), "{request}");
    let log = env.syncline(repo.url()).arg("--webhook-url=http://127.0.0.1:1/x").fail();
    assert!(log.contains("refused"), "{log}");
}

#[test]
fn a_webhook_is_tried_again_until_it_succeeds() {
    let env = Env::new();
    let repo = env.repo("up");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Canned::start(move |_| {
        let status =
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 { "500 No" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    });
    let running = env
        .syncline(repo.url())
        .arg("--webhook-url")
        .arg(server.url("x"))
        .arg("--webhook-backoff=1s")
        .spawn();
    running.wait_for("answered HTTP 500");
    running.wait_for("\"delivered\"");
    assert_eq!(server.requests().len(), 2, "{:#?}", server.requests());
}

#[test]
fn the_touch_file_is_touched_when_something_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    let file = env.root().join("deep/touched");
    let modified = || fs::metadata(&file).unwrap().modified().unwrap();
    let running =
        env.syncline(repo.url()).arg("--touch-file=deep/touched").arg("--period=10ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 3);
    eventually("the first touch", || file.exists().then_some(()));
    let first = modified();
    running.wait_for_more("nothing new", 3);
    assert_eq!(modified(), first, "a poll does not touch");
    repo.commit(&[("file", "two")]);
    eventually("the touch", || (modified() > first).then_some(()));
}

#[test]
fn the_error_file_holds_the_last_error_until_a_success() {
    let env = Env::new();
    let repo = env.repo("up");
    let file = env.root().join("error.json");
    let syncline = || env.syncline(repo.url()).arg("--error-file=error.json");
    syncline().arg("--ref=gone").fail();
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["Msg"], "sync failed");
    assert!(report["Err"].as_str().unwrap().contains("couldn't find remote ref gone"), "{report}");
    assert!(report["Args"].is_object());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    syncline().sync();
    assert!(!file.exists());
    // Faults of the command line are plain text.
    assert_eq!(syncline().arg("--depth=x").run().code, Some(1));
    assert!(fs::read_to_string(&file).unwrap().starts_with("--depth: "));
}
