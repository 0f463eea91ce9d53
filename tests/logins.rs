//! Ways to log in over HTTP, and settings of git that a fetch heeds.

use std::fs;

use crate::login_files::cookie;
use crate::support::*;

pub fn credential(url: &str, password: &str) -> String {
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
    for (bad, fault) in [("{", "is not JSON"), ("{}", "needs one of password, password-file, bearer-token")] {
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
fn submodules_on_the_same_server_have_the_servers_login() {
    let env = Env::new();
    let (up, one) = (env.repo("up"), env.repo("one"));
    let nginx = Nginx::start(&env.path(""));
    let absolute = nginx.url("login/one/.git").replace("http://127.0.0.1:", "http://other@127.0.0.1:");
    for (path, url) in [("near", "../../one/.git"), ("whole", &absolute)] {
        up.git(&["config", "-f", ".gitmodules", &format!("submodule.{path}.path"), path]);
        up.git(&["config", "-f", ".gitmodules", &format!("submodule.{path}.url"), url]);
        up.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},{path}", one.head())]);
    }
    up.git(&["add", ".gitmodules"]);
    up.git(&["commit", "--quiet", "--message=modules"]);
    env.syncline(nginx.url("login/up/.git")).arg("--username=user").env("GITSYNC_PASSWORD", "p@ss").sync();
    assert_eq!((env.read("near/file"), env.read("whole/file")), ("one\n".into(), "one\n".into()));
}

#[test]
fn the_closest_login_counts_and_a_credential_before_other_ways() {
    let env = Env::new();
    let server = Canned::status("401 Unauthorized");
    let asked = Canned::answer("200 OK", "username=own\npassword=own");
    let token = Canned::answer("200 OK", r#"{"access_token":"own"}"#);
    fs::write(env.path("assertion"), "j.w.t").unwrap();
    fs::write(env.path("netrc"), "machine 127.0.0.1 login netrc password netrc").unwrap();
    let url = server.url("a/x");
    let in_url = url.replacen("://", "://typed:typed@", 1);
    let plain = |syncline: Syncline| syncline.arg(format!("--netrc-file={}", env.path("netrc").display()));
    let own = || plain(env.syncline(&url));
    let bearer = "Bearer own".to_owned();
    let ways: [(&dyn Fn() -> Syncline, &str); 4] = [
        (&|| own().arg("--username=own").env("GITSYNC_PASSWORD", "own"), &basic("own", "own")),
        (&|| own().env("GITSYNC_BEARER_TOKEN", "own"), &bearer),
        (
            &|| {
                own()
                    .arg(format!("--oauth-token-url={}", token.url("")))
                    .arg("--oauth-grant=token-exchange")
                    .arg(format!("--oauth-assertion-file={}", env.path("assertion").display()))
            },
            &bearer,
        ),
        (&|| plain(env.syncline(&in_url)), &basic("typed", "typed")),
    ];
    let near = server.url("").to_uppercase();
    for (way, shown) in ways {
        for (scope, expected) in [
            (near.as_str(), basic("user", "p@ss").as_str()),
            (&server.url("a"), &basic("user", "p@ss")),
            (&server.url("b"), shown),
        ] {
            way().arg("--credential").arg(credential(scope, "p@ss")).fail();
            assert_eq!(header(server.requests().last().unwrap(), "authorization"), expected, "{scope}");
        }
    }
    // What is asked for counts before all that is as close.
    let asking = env.syncline(&in_url).arg(format!("--askpass-url={}", asked.url("")));
    asking.arg("--credential").arg(credential(&near, "p@ss")).fail();
    assert_eq!(header(server.requests().last().unwrap(), "authorization"), basic("own", "own"));
}

#[test]
fn redirects_are_refused_where_gits_setting_says_so() {
    let env = Env::new();
    let _repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let target = nginx.url("up/.git");
    let server = Canned::start(move |_| {
        let location = format!("{target}/info/refs?service=git-upload-pack");
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    });
    env.syncline(server.url("x")).arg("--git-config=http.followRedirects:initial").sync();
    let requests = nginx.requests().len();
    let scoped = format!("--git-config=\"http.{}.followRedirects\":false", server.url(""));
    let log = env.syncline(server.url("x")).arg(scoped).fail();
    assert!(log.contains("the server redirects, which http.followRedirects refuses"), "{log}");
    assert_eq!(nginx.requests().len(), requests);
}

#[test]
fn the_askpass_url_is_asked_before_every_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let answers =
        ["username=user\npassword=old\npassword=p@ss\nother=x\n", "username=user\npassword=wrong\n"];
    for (answer, succeeds) in answers.into_iter().zip([true, false]) {
        let server = Canned::answer("200 OK", answer);
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
    let page = Canned::answer("200 OK", "\n<!doctype html><a href='x?username=canary'>");
    let log = env.syncline(nginx.url("login/up/.git")).arg("--askpass-url").arg(page.url("ask")).fail();
    assert!(log.contains("the answer is a web page in place of lines") && !log.contains("canary"), "{log}");
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
    assert!(log.contains("has no effect here"), "{log}");
    let quoted = format!("\"http.{}.extraHeader\":\"{token}\",user.name:me", nginx.url("login"));
    let finished = env.syncline(nginx.url("login/up/.git")).arg(format!("--git-config={quoted}")).sync();
    env.assert_published(&repo, &repo.head());
    assert!(finished.stderr.contains("user.name has no effect here"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("dXNlcjpwQHNz"), "{}", finished.stderr);

    let unverified = env.syncline(nginx.tls_url("up/.git")).arg("--git-config=http.sslVerify:false").sync();
    assert!(unverified.stderr.contains("http.sslVerify is off"), "{}", unverified.stderr);
    let ca = format!("--git-config-add=http.sslCAInfo:{}", nginx.ca_file().display());
    env.syncline(nginx.tls_url("up/.git")).arg(ca).sync();

    let instead = format!("--git-config=\"url.{}.insteadOf\":\"https://example.com/\"", nginx.url(""));
    env.syncline("https://example.com/up/.git").arg(instead).sync();
    env.assert_published(&repo, &repo.head());
    let log = env.syncline(nginx.url("up/.git")).arg("--git-config=key").fail();
    assert!(log.contains("--git-config: pair 1 has no colon after its key"), "{log}");
}

#[test]
fn a_bearer_token_comes_from_a_file_the_environment_or_a_credential() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    nginx.admit("Bearer t0ken");
    let url = nginx.url("token/up/.git");
    let file = env.path("token");
    fs::write(&file, "t0ken \r\nignored\n").unwrap();
    let credential =
        |key: &str, value: &str| format!(r#"{{"url":"{}","{key}":"{value}"}}"#, nginx.url("token"));
    let named = format!("--bearer-token-file={}", file.display());
    for (argument, variable) in [
        (named.as_str(), ("", "")),
        ("-v0", ("GITSYNC_BEARER_TOKEN", "t0ken")),
        ("-v0", ("GITSYNC_CREDENTIAL", &*credential("bearer-token", "t0ken"))),
        ("-v0", ("GITSYNC_CREDENTIAL", &*credential("bearer-token-file", file.to_str().unwrap()))),
    ] {
        let _ = fs::remove_dir_all(env.root());
        let finished =
            env.syncline(&url).arg(argument).env(&format!("_{}", variable.0)[1..], variable.1).sync();
        env.assert_published(&repo, &repo.head());
        assert!(!finished.stderr.contains("t0ken"), "{}", finished.stderr);
    }
    assert!(env.syncline(&url).env("GITSYNC_BEARER_TOKEN", "wrong").fail().contains("401"));
    fs::write(&file, "\n \n").unwrap();
    let log = env.syncline(&url).arg(&named).fail();
    assert!(log.contains("read the bearer token") && log.contains("the file is empty"), "{log}");
    let log = env.syncline(&url).arg("--bearer-token-file=/nonexistent/token").fail();
    assert!(log.contains("read the bearer token") && log.contains("/nonexistent/token"), "{log}");
}

#[test]
fn a_rotated_bearer_token_needs_no_restart() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    nginx.admit("Bearer t1");
    let file = env.path("token");
    fs::write(&file, "t1").unwrap();
    let running = env
        .syncline(nginx.url("token/up/.git"))
        .arg("--period=20ms")
        .arg("--bearer-token-file")
        .arg(&file)
        .spawn();
    running.wait_for("published");
    nginx.admit("Bearer t2");
    fs::write(env.path("new"), "t2").unwrap();
    fs::rename(env.path("new"), &file).unwrap();
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    assert!(!running.log().contains("sync failed"), "{}", running.log());
}

#[test]
fn a_password_file_is_read_for_every_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    fs::write(env.path("password"), "wrong\n").unwrap();
    let running = env
        .syncline(nginx.url("login/up/.git"))
        .arg("--username=user")
        .arg("--password-file")
        .arg(env.path("password"))
        .arg("--period=50ms")
        .arg("--max-failures=-1")
        .spawn();
    running.wait_for("wants other credentials");
    fs::write(env.path("password"), "p@ss\nignored\n").unwrap();
    eventually("publication", || (env.published()? == repo.head()).then_some(()));
    assert!(!running.log().contains("p@ss") && !running.log().contains("wrong"), "{}", running.log());
}

#[test]
fn a_refused_login_is_tried_again_only_with_another() {
    let env = Env::new();
    let file = env.path("password");
    fs::write(&file, "old").unwrap();
    let syncline =
        |server: &Canned| env.syncline(server.url("x")).arg("--username=u").arg("--password-file").arg(&file);
    let never = Canned::status("401 Unauthorized");
    let log = syncline(&never).arg("--max-failures=3").arg("--period=10ms").fail();
    assert_eq!((never.requests().len(), log.matches("sync failed").count()), (3, 3), "{log}");
    // Rotated between reading and asking.
    let rotated = file.clone();
    let server = Canned::start(move |_| {
        fs::write(&rotated, "new").unwrap();
        response("401 Unauthorized", "")
    });
    let log = syncline(&server).fail();
    let shown: Vec<String> =
        server.requests().iter().map(|request| header(request, "authorization")).collect();
    assert_eq!(shown, [basic("u", "old"), basic("u", "new")], "{log}");
    assert!(log.contains("the login was refused: trying another"), "{log}");
}

#[test]
fn no_login_follows_a_redirect_to_another_host() {
    let env = Env::new();
    let seen = Canned::status("404 Not Found");
    let elsewhere = seen.url("x").replace("127.0.0.1", "localhost");
    let server = Canned::start(move |_| {
        let location = format!("{elsewhere}/info/refs?service=git-upload-pack");
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    });
    fs::write(env.path("jar"), cookie("127.0.0.1", "0", "c00kie")).unwrap();
    fs::write(env.path("netrc"), "machine 127.0.0.1 login user password p@ss").unwrap();
    let with_jar = |syncline: Syncline| syncline.arg(format!("--cookie-file={}", env.path("jar").display()));
    with_jar(env.syncline(server.url("x"))).env("GITSYNC_BEARER_TOKEN", "t0ken").fail();
    with_jar(env.syncline(server.url("x"))).arg("--netrc-file").arg(env.path("netrc")).fail();
    let shown: Vec<String> =
        server.requests().iter().map(|request| header(request, "authorization")).collect();
    assert_eq!(shown, ["Bearer t0ken".to_owned(), basic("user", "p@ss")]);
    assert!(server.requests().iter().all(|request| header(request, "cookie") == "session=c00kie"));
    assert_eq!(seen.requests().len(), 2);
    for request in seen.requests() {
        assert_eq!((header(&request, "authorization"), header(&request, "cookie")), Default::default());
    }
}

#[test]
fn logins_that_contradict_are_told_together() {
    let env = Env::new();
    let finished = env
        .syncline("https://example.com/x")
        .arg("--username=u")
        .arg("--password-file=/var/run/secrets/kubernetes.io/serviceaccount/token")
        .arg("--askpass-url=http://h/")
        .arg("--github-app-client-id=c")
        .arg("--oauth-token-url=http://h/")
        .env("GITSYNC_BEARER_TOKEN", "canary")
        .run();
    assert_eq!(finished.code, Some(1));
    for fault in [
        "--password-file: is where Kubernetes keeps the pod's own token",
        "--askpass-url: cannot be combined with --username",
        "--github-app-installation-id: must be given for a GitHub App",
        "--github-app-private-key-file: or GITSYNC_GITHUB_APP_PRIVATE_KEY must be given",
        "--oauth-token-url: must be an https URL",
        "--oauth-client-id: must be given",
        "GITSYNC_BEARER_TOKEN: cannot be combined with --username",
    ] {
        assert!(finished.stderr.contains(fault), "{fault}\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("canary"));
    assert!(!env.root().exists());
}
