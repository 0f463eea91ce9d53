//! GitHub Apps, by a stand-in for GitHub's API that checks what it is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::*;

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A private key in PKCS#8 (`key.pem`) and PKCS#1 (`old.pem`), and its public part.
fn make_key(env: &Env) -> PathBuf {
    let path = |name: &str| env.path(name).to_str().unwrap().to_owned();
    let (key, old, public) = (path("key.pem"), path("old.pem"), path("public.pem"));
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key]);
    openssl(&["rsa", "-in", &key, "-traditional", "-out", &old]);
    openssl(&["rsa", "-in", &key, "-pubout", "-out", &public]);
    key.into()
}

/// The claims of a JWT, once OpenSSL has found its signature good.
fn verified(jwt: &str, public: &Path) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    fs::write(path("signed"), signed).unwrap();
    fs::write(path("signature"), URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let public = public.to_str().unwrap();
    openssl(&["dgst", "-sha256", "-verify", public, "-signature", &path("signature"), &path("signed")]);
    let decode =
        |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    assert_eq!(decode(head), json!({ "alg": "RS256", "typ": "JWT" }));
    decode(claims)
}

/// GitHub's API for installation 42 of the app `Iv1.app`: hands out `t1`, `t2` and so on.
fn github(env: &Env, life: Duration) -> Canned {
    let (public, count) = (env.path("public.pem"), AtomicUsize::new(0));
    Canned::start(move |request| {
        let jwt = header(request, "authorization");
        let claims = verified(jwt.strip_prefix("Bearer ").unwrap(), &public);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!(claims["iss"] == "Iv1.app" && issued <= now && now < expires && expires <= now + 600);
        assert!(
            request.starts_with("POST /api/app/installations/42/access_tokens HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(header(request, "accept"), "application/vnd.github+json");
        assert!(header(request, "user-agent").contains("syncline"));
        let token = format!("t{}", count.fetch_add(1, Ordering::SeqCst) + 1);
        let end = humantime::format_rfc3339_seconds(SystemTime::now() + life).to_string();
        response("201 Created", &json!({ "token": token, "expires_at": end }).to_string())
    })
}

/// An upstream behind a login, and a key.
fn setup() -> (Env, Repo, PathBuf, Nginx) {
    let env = Env::new();
    let repo = env.repo("up");
    let key = make_key(&env);
    let nginx = Nginx::start(&env.path(""));
    nginx.admit(&basic("-", "t1"));
    (env, repo, key, nginx)
}

fn app(env: &Env, url: String, api: &Canned) -> Syncline {
    env.syncline(url)
        .arg("--github-app-client-id=Iv1.app")
        .arg("--github-app-installation-id=42")
        .arg(format!("--github-base-url={}", api.url("api/")))
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_github_app_logs_in_by_a_key_of_either_form() {
    let (env, repo, key, nginx) = setup();
    let syncline = |api: &Canned| app(&env, nginx.url("token/up/.git"), api);
    let api = || github(&env, HOUR);
    syncline(&api()).arg("--github-app-private-key-file").arg(&key).sync();
    env.assert_published(&repo, &repo.head());
    syncline(&api()).arg("--github-app-private-key-file").arg(env.path("old.pem")).sync();
    let pem = fs::read_to_string(&key).unwrap();
    syncline(&api()).env("GITSYNC_GITHUB_APP_PRIVATE_KEY", &pem).sync();
}

#[test]
fn a_token_is_minted_once_and_again_when_it_is_refused() {
    let (env, repo, key, nginx) = setup();
    let (api, port) = (github(&env, HOUR), free_port());
    let running = app(&env, nginx.url("token/up/.git"), &api)
        .arg("--github-app-private-key-file")
        .arg(&key)
        .arg("--period=20ms")
        .arg("-v1")
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for_times("nothing new", 5);
    assert_eq!(api.requests().len(), 1, "kept over polls");
    nginx.admit(&basic("-", "t2"));
    nginx.refuse(&basic("-", "t1"));
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    running.wait_for_times("nothing new", 8);
    assert_eq!(api.requests().len(), 2);
    let log = running.log();
    assert!(log.matches("trying another").count() == 1 && !log.contains("sync failed"), "{log}");
    let (_, page) = get(port, "/metrics");
    let expected = "# TYPE git_sync_refresh_github_app_token_count counter\n\
                    git_sync_refresh_github_app_token_count{status=\"success\"} 2\n";
    assert!(page.contains(expected), "{page}");
}

#[test]
fn a_token_is_renewed_shortly_before_it_expires() {
    let (env, repo, key, nginx) = setup();
    // git-sync's margin is half a minute, and the API tells whole seconds.
    let api = github(&env, Duration::from_secs(33));
    let running = app(&env, nginx.url("token/up/.git"), &api)
        .arg("--github-app-private-key-file")
        .arg(&key)
        .arg("--period=20ms")
        .arg("-v1")
        .spawn();
    running.wait_for_times("nothing new", 3);
    assert_eq!(api.requests().len(), 1);
    nginx.admit(&basic("-", "t2"));
    eventually("the next token", || (api.requests().len() == 2).then_some(()));
    nginx.refuse(&basic("-", "t1"));
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    assert!(!running.log().contains("refused"), "{}", running.log());
}

#[test]
fn what_goes_wrong_with_a_github_app_is_named() {
    let env = Env::new();
    let _repo = env.repo("up");
    let key = make_key(&env);
    let with = |api: &Canned, key: &Path| {
        app(&env, "http://127.0.0.1:1/x".into(), api).arg("--github-app-private-key-file").arg(key).fail()
    };
    each_row(
        [
            (
                "401 Unauthorized",
                r#"{"message":"Bad credentials"}"#,
                "the answer is HTTP 401: Bad credentials",
            ),
            ("200 OK", r#"{"token":"canary"}"#, "the answer is HTTP 200"),
            ("201 Created", "canary", "the answer is not a JSON object with \\\"token\\\""),
            ("302 Found", "", "the answer is HTTP 302"),
        ],
        |(status, body, said)| {
            let api = Canned::answer(status, body);
            let log = with(&api, &key);
            let step = format!("get a token from {}", api.url("api/app/installations/42/access_tokens"));
            assert!(log.contains(&step) && log.contains(said) && !log.contains("canary"), "{log}");
            assert_eq!(api.requests().len(), 1);
        },
    );
    let api = Canned::status("500 Internal Server Error");
    let log = with(&api, &env.path("nonexistent.pem"));
    assert!(log.contains("read the GitHub App's private key") && log.contains("nonexistent.pem"), "{log}");
    let elliptic = env.path("ec.pem");
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        elliptic.to_str().unwrap(),
    ]);
    fs::write(env.path("text"), "canary").unwrap();
    for (key, said) in [("ec.pem", "the private key cannot be used"), ("text", "is not an RSA key in PEM")] {
        let log = with(&api, &env.path(key));
        assert!(log.contains("sign as the GitHub App") && log.contains(said), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
    assert_eq!(api.requests().len(), 0);
}

#[test]
fn a_key_that_is_mended_needs_no_restart() {
    let env = Env::new();
    let repo = env.repo("up");
    let key = make_key(&env);
    let nginx = Nginx::start(&env.path(""));
    let api = github(&env, HOUR);
    nginx.admit(&basic("-", "t1"));
    let mounted = env.path("mounted.pem");
    let running = app(&env, nginx.url("token/up/.git"), &api)
        .arg("--github-app-private-key-file")
        .arg(&mounted)
        .arg("--period=20ms")
        .arg("--max-failures=-1")
        .spawn();
    running.wait_for("read the GitHub App's private key");
    fs::copy(&key, &mounted).unwrap();
    eventually("publication", || (env.published()? == repo.head()).then_some(()));
}
