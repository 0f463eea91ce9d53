//! Whatever fails, at whatever verbosity: no secret comes out anywhere.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::*;

/// Part of every secret below.
const CANARY: &str = "canary";

/// The canary as it is, and its heart wherever it stands in base64.
fn traces() -> Vec<String> {
    let encoded = (0..3).map(|before| {
        let text = STANDARD.encode(format!("{}{CANARY}", " ".repeat(before)));
        let clean = text.trim_end_matches('=');
        clean[[0, 2, 3][before]..clean.len() - usize::from(clean.len() < text.len())].to_owned()
    });
    encoded.chain([CANARY.to_owned()]).collect()
}

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for trace in traces() {
        let at = text.find(&trace);
        assert!(at.is_none(), "{what} holds {trace}: {}", &text[at.unwrap().saturating_sub(200)..]);
    }
}

/// Everything that holds a secret beside the one way to log in.
fn planted(env: &Env, syncline: Syncline, hook: &str) -> Syncline {
    let write = |name: &str, text: &str| {
        fs::write(env.path(name), text).unwrap();
        env.path(name).display().to_string()
    };
    let credential = r#"{"url":"http://127.0.0.2/","username":"u","password":"canary-credential"}"#;
    let token = format!(
        r#"{{"url":"http://127.0.0.3/","bearer-token-file":"{}"}}"#,
        write("other-token", "canary-token")
    );
    let jar = write("jar", "127.0.0.1\tFALSE\t/\tFALSE\t0\tname\tcanary-cookie\n");
    let netrc = write("netrc", "machine 127.0.0.4 login u password canary-netrc");
    let key = write("webhook-key", "canary-key");
    syncline
        .env("PATH", "/bin:/usr/bin")
        .env("GITSYNC_CREDENTIAL", credential)
        .env(
            "GITSYNC_GIT_CONFIG",
            "http.extraHeader:X-Token: canary-header,http.proxyAuthToken:canary-setting,\
             \"http.http://u:canary-scope@h/.pinnedPubkey\":canary-key,\"user.canary.name\":x",
        )
        .env("GITSYNC_HTTPS_PROXY", "http://u:canary-https@127.0.0.1:1")
        .env("GITSYNC_ALL_PROXY", "http://u:canary-all@127.0.0.1:1")
        .env("GITSYNC_SSH_PROXY", "http://u:canary-ssh@127.0.0.1:1")
        .arg(format!("--credential={token}"))
        .arg(format!("--cookie-file={jar}"))
        .arg(format!("--netrc-file={netrc}"))
        .arg(format!("--webhook-secret-file={key}"))
        .arg("--webhook-url=http://u:canary-webhook@127.0.0.1:1/x?token=canary-query")
        .arg(format!("--exechook-command={hook}"))
        .arg("-v9")
}

/// Makes a command line for a URL.
type Start = Box<dyn Fn(&Env, &str) -> Syncline>;

/// Each way to log in at a repository, and those that fail before it is reached.
fn ways(dir: &Env) -> Vec<(&'static str, Start)> {
    fs::write(dir.path("secret"), "canary-file\n").unwrap();
    let secret = dir.path("secret").display().to_string();
    let file = move |option: &str| format!("--{option}={secret}");
    let (password, bearer, client, assertion) = (
        file("password-file"),
        file("bearer-token-file"),
        file("oauth-client-secret-file"),
        file("oauth-assertion-file"),
    );
    let with_login = |url: &str| url.replacen("://", "://user:canary-url@", 1);
    let askpass = move |server: String| -> Start {
        let asked = with_login(&server) + "ask?key=canary-ask";
        Box::new(move |env, url| env.syncline(url).arg(format!("--askpass-url={asked}")))
    };
    let github = |pem: &'static str| -> Start {
        Box::new(move |env, url| {
            env.syncline(url)
                .arg("--github-app-client-id=c")
                .arg("--github-app-installation-id=1")
                .env("GITSYNC_GITHUB_APP_PRIVATE_KEY", pem)
        })
    };
    let oauth = move |option: &str, server: String| -> Start {
        let option = option.to_owned();
        Box::new(move |env, url| {
            env.syncline(url)
                .arg(format!("--oauth-token-url={server}token?key=canary-endpoint"))
                .arg("--oauth-client-id=me")
                .env("GITSYNC_OAUTH_PARAMETER", "key=canary-parameter")
                .arg(&option)
        })
    };
    let answer = |status: &str, body: &str| Canned::answer(status, body).url("");
    let nobody = || "http://127.0.0.1:1/".to_owned();
    let echo = r#"{"error":"e","error_description":"canary-file, canary-parameter"}"#;
    vec![
        ("a URL", Box::new(move |env, url| env.syncline(with_login(url)))),
        (
            "a password",
            Box::new(|env, url| {
                env.syncline(url).arg("--username=u").env("GITSYNC_PASSWORD", "canary-password")
            }),
        ),
        ("a password file", Box::new(move |env, url| env.syncline(url).arg("--username=u").arg(&password))),
        ("a token", Box::new(|env, url| env.syncline(url).env("GITSYNC_BEARER_TOKEN", "canary-bearer"))),
        ("a token file", Box::new(move |env, url| env.syncline(url).arg(&bearer))),
        ("askpass", askpass(answer("200 OK", "username=u\npassword=canary-answer\n"))),
        ("failing askpass", askpass(answer("500 No", "password=canary-answer"))),
        ("unreachable askpass", askpass(nobody())),
        ("unreadable key", github("-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n")),
        ("no key", github("canary-key")),
        ("oauth", oauth(&assertion, answer("200 OK", r#"{"access_token":"canary-access"}"#))),
        ("failing oauth", oauth(&assertion, answer("400 No", echo))),
        ("bad oauth", oauth(&client, answer("200 OK", r#""canary-access"#))),
        ("unreachable oauth", oauth(&client, nobody())),
        (
            "an unreachable proxy",
            Box::new(|env, url| env.syncline(url).arg("--http-proxy=http://u:canary-proxy@127.0.0.1:1")),
        ),
    ]
}

/// Let it fail a few times and look at everything that can be seen from outside.
fn watch(what: &str, way: &dyn Fn(&Env, &str) -> Syncline, url: &str, failure: &str) {
    let env = Env::new();
    let hook = env.path("hook");
    let script = format!("#!/bin/sh\nenv > {0}; env; env >&2; exit 1\n", env.path("seen").display());
    write_program(&hook, script);
    let port = free_port();
    let mut running = planted(&env, way(&env, url), hook.to_str().unwrap())
        .arg("--max-failures=-1")
        .arg("--period=10ms")
        .arg("--sync-timeout=300ms")
        .arg("--error-file=error")
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for_times(failure, 2);
    for path in ["/metrics", "/status", "/readyz", "/"] {
        assert_clean(&format!("{path} of {what}"), &get(port, path).1);
    }
    running.signal(rustix::process::Signal::TERM);
    running.wait();
    assert_clean(&format!("the log of {what}"), &running.log());
    if failure == "delivery failed" {
        assert_clean(&format!("the hook of {what}"), &fs::read_to_string(env.path("seen")).unwrap());
    } else {
        assert!(env.root().join("error").exists(), "{}", running.log());
    }
    walk(&env.root(), &mut |path| {
        if path.is_file() {
            let text = fs::read(path).map(|bytes| text(&bytes)).unwrap_or_default();
            assert_clean(&format!("{} of {what}", path.display()), &text);
        }
    });
}

/// Repeats whatever it was told.
fn parrot() -> Canned {
    Canned::start(|head| {
        let told = head.trim().replace('\r', "");
        format!("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{told}", told.len())
    })
}

#[test]
fn no_secret_is_ever_emitted() {
    let dir = Env::new();
    let _repo = dir.repo("up");
    let nginx = Nginx::start(&dir.path(""));
    let refusing = Canned::status("401 Unauthorized");
    let ways = ways(&dir);
    for (what, way) in &ways {
        watch(what, way, &refusing.url("x"), "sync failed");
    }
    // Hooks run after a success.
    for (what, way) in ways.iter().filter(|(what, _)| !what.contains(' ') || what.starts_with("a ")) {
        watch(what, way, &nginx.url("up/.git"), "delivery failed");
    }
    let failing = Canned::status("500 Internal Server Error");
    let garbage = Canned::start(|_| "garbage\r\n\r\n".into());
    let hanging = Canned::start(|_| {
        std::thread::sleep(PATIENCE);
        String::new()
    });
    let parrot = parrot();
    for (what, way) in ways.iter().filter(|(what, _)| what.starts_with("a ") || *what == "askpass") {
        watch(what, way, &parrot.url("x"), "sync failed");
    }
    for url in [failing.url("x"), garbage.url("x"), hanging.url("x"), "http://127.0.0.1:1/x".into()] {
        let (_, way) = &ways[0];
        watch(&url, way, &url, "sync failed");
    }
}

#[test]
fn faults_of_the_command_line_quote_no_secret() {
    let env = Env::new();
    let root = env.root();
    fs::create_dir(&root).unwrap();
    let finished = Syncline::new()
        .arg("--repo=https://user:canary@good?@evil/x")
        .arg("--root")
        .arg(&root)
        .arg("--error-file=error")
        .arg("--credential={\"password\":\"canary\"")
        .arg("--git-config=http.extraHeader:\"canary")
        .arg("--git-config-add=canary")
        .arg("--credential={\"url\":\"canary\",\"username\":\"u\",\"password\":\"canary\"}")
        .arg("--askpass-url=canary")
        .arg("--webhook-url=canary")
        .arg("--bearer-token=canary")
        .arg("--oauth-token-url=https://u:canary@h/")
        .arg("--oauth-parameter=canary")
        .arg("--github-app-private-key=canary")
        .arg("--github-app-client-id=c")
        .env("GITSYNC_PASSWORD", "canary")
        .run();
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.lines().count() > 10, "{}", finished.stderr);
    for text in [&finished.stdout, &finished.stderr, &fs::read_to_string(root.join("error")).unwrap()] {
        assert_clean("a fault", text);
    }
    let settings = "http.proxy:ftp://canary,protocol.canary.allow:canary,\"http.u:canary@h.sslVerify\":no";
    let finished = env.syncline("https://h/x").env("GITSYNC_GIT_CONFIG", settings).run();
    assert_eq!((finished.code, finished.stderr.lines().count()), (Some(1), 4), "{}", finished.stderr);
    assert_clean("a fault", &finished.stderr);
}

#[test]
fn an_error_repeats_no_login_of_a_submodules_url() {
    let env = Env::new();
    let repo = env.repo("up");
    let parrot = parrot();
    let url = parrot.url("x").replacen("://", "://u:canary@", 1);
    repo.git(&["config", "-f", ".gitmodules", "submodule.one.path", "one"]);
    repo.git(&["config", "-f", ".gitmodules", "submodule.one.url", &url]);
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},one", repo.head())]);
    repo.git(&["commit", "--quiet", "--message=module"]);
    let log = env.syncline(repo.url()).fail();
    assert!(log.contains("authorization: Basic"), "{log}");
    assert_clean("the log", &log);
}
