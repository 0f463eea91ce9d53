//! Ways to log in over HTTP, and settings of git that a fetch heeds.

use std::fs;

use crate::support::*;

fn credential(url: &str, password: &str) -> String {
    format!(r#"{{"url":"{url}","username":"user","password":"{password}"}}"#)
}

#[test]
fn credentials_are_for_what_begins_with_their_url() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("login/up/.git");
    // The longest counts, whatever the order, and only whole parts of a path do.
    let right = credential(&nginx.url("login/up"), "p@ss");
    let list = format!(
        "[{},{right},{}]",
        credential(&nginx.url(""), "wrong"),
        credential(&nginx.url("login/u"), "wrong")
    );
    let finished = env.syncline(&url).arg(format!("--credential={list}")).arg("-v9").sync();
    env.assert_published(&repo, &repo.head());
    assert!(!finished.stderr.contains("p@ss"), "{}", finished.stderr);

    fs::write(env.path("password"), "p@ss\n").unwrap();
    let file = env.path("password");
    let from_file =
        format!(r#"{{"url":"{}","username":"user","password-file":"{}"}}"#, nginx.url(""), file.display());
    env.syncline(&url).env("GITSYNC_CREDENTIAL", from_file).sync();
    for (bad, fault) in [("{", "is not JSON"), ("{}", "needs one of password and password-file")] {
        let log = env.syncline(&url).arg("--credential").arg(bad).fail();
        assert!(log.contains(&format!("--credential: {fault}")), "{log}");
    }
    let log = env.syncline(&url).arg("--credential").arg(credential("http://127.0.0.2/", "p@ss")).fail();
    assert!(log.contains("401"), "{log}");
}

#[test]
fn submodules_on_other_servers_have_their_own_credentials() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    let (open, closed) =
        (Nginx::start(&env.path("")), Nginx::start(&env.path("up/..").canonicalize().unwrap()));
    up.git(&["config", "-f", ".gitmodules", "submodule.one.path", "one"]);
    up.git(&["config", "-f", ".gitmodules", "submodule.one.url", &closed.url("login/one/.git")]);
    up.git(&["add", ".gitmodules"]);
    up.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},one", one.head())]);
    up.git(&["commit", "--quiet", "--message=module"]);
    let url = open.url("up/.git");
    assert!(env.syncline(&url).fail().contains("401"));
    env.syncline(&url).arg("--credential").arg(credential(&closed.url(""), "p@ss")).sync();
    assert_eq!(env.read("one/file"), "one\n");
}

#[test]
fn the_askpass_url_is_asked_before_every_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let answers =
        ["username=user\npassword=old\npassword=p@ss\nother=x\n", "username=user\npassword=wrong\n"];
    for (answer, succeeds) in answers.into_iter().zip([true, false]) {
        let server = Canned::start(move |_| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
        });
        let finished = env
            .syncline(nginx.url("login/up/.git"))
            .arg("--askpass-url")
            .arg(server.url("ask"))
            .one_time()
            .run();
        assert_eq!(finished.code == Some(0), succeeds, "{}", finished.stderr);
        assert_eq!(server.requests().len(), 1);
        assert!(!finished.stderr.contains("p@ss"));
    }
    env.assert_published(&repo, &repo.head());
    let elsewhere =
        Canned::start(|_| "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".into());
    let log = env.syncline(nginx.url("login/up/.git")).arg("--askpass-url").arg(elsewhere.url("ask")).fail();
    assert!(log.contains("ask for the password") && log.contains("302"), "{log}");
    assert_eq!(elsewhere.requests().len(), 1);
}

#[test]
fn settings_of_git_are_heeded_or_named() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let token = "Authorization: Basic dXNlcjpwQHNz";
    let header = format!("http.{}.extraHeader:{token}", nginx.url("login"));
    // Unquoted, the key ends at the first colon, as in git-sync.
    let log = env.syncline(nginx.url("login/up/.git")).arg(format!("--git-config={header}")).fail();
    assert!(log.contains("means nothing here"), "{log}");
    let quoted = format!("\"http.{}.extraHeader\":\"{token}\",user.name:me", nginx.url("login"));
    let finished = env.syncline(nginx.url("login/up/.git")).arg(format!("--git-config={quoted}")).sync();
    env.assert_published(&repo, &repo.head());
    assert!(finished.stderr.contains("user.name means nothing here"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("dXNlcjpwQHNz"), "{}", finished.stderr);

    let unverified = env.syncline(nginx.tls_url("up/.git")).arg("--git-config=http.sslVerify:false").sync();
    assert!(unverified.stderr.contains("http.sslVerify is off"), "{}", unverified.stderr);
    let ca = format!("--git-config-add=http.sslCAInfo:{}", nginx.ca_file().display());
    env.syncline(nginx.tls_url("up/.git")).arg(ca).sync();

    let instead = format!("--git-config=\"url.{}.insteadOf\":\"https://example.com/\"", nginx.url(""));
    env.syncline("https://example.com/up/.git").arg(instead).sync();
    env.assert_published(&repo, &repo.head());
    let log = env.syncline(nginx.url("up/.git")).arg("--git-config=key").fail();
    assert!(log.contains("--git-config: the key \"key\" has no colon"), "{log}");
}

#[test]
fn what_is_missing_says_so() {
    let env = Env::new();
    let repo = env.repo("up");
    let log = env.syncline(repo.url()).arg("--cookie-file").arg("--github-app-client-id=x").fail();
    for option in ["--cookie-file", "--github-app-client-id"] {
        assert!(log.contains(&format!("{option}: is not supported yet")), "{log}");
    }
    // What ssh would need is not looked at where there is none.
    env.syncline(repo.url()).env("GIT_SSH_KEY_FILE", "/key").arg("--cookie-file=false").sync();
}
