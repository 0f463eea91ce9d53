//! What the environment says besides options: git's own variables, older names, and names that are none.

use std::fs;

use crate::support::*;

#[test]
fn gits_variables_say_whom_to_trust() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let (ca, directory) = (nginx.ca_file(), env.path("authorities"));
    fs::create_dir(&directory).unwrap();
    fs::copy(&ca, directory.join("one.pem")).unwrap();
    fs::write(directory.join("README"), "no certificate").unwrap();
    let ca = ca.to_str().unwrap();
    for variables in [
        &[("GIT_SSL_CAINFO", ca)][..],
        &[("CURL_CA_BUNDLE", ca)],
        &[("SSL_CERT_FILE", ca)],
        &[("GIT_SSL_CAPATH", directory.to_str().unwrap())],
        &[("SSL_CERT_DIR", directory.to_str().unwrap())],
        &[("GIT_SSL_NO_VERIFY", "1"), ("GITSYNC_GIT_CONFIG", "http.sslVerify:true")],
        &[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "http.sslCAInfo"), ("GIT_CONFIG_VALUE_0", ca)],
    ] {
        let run = || {
            let syncline = env.syncline(nginx.tls_url("up/.git"));
            variables.iter().fold(syncline, |syncline, (name, value)| syncline.env(name, value))
        };
        repo.commit(&[("file", variables[0].0)]);
        run().sync();
        env.assert_published(&repo, &repo.head());
    }
    let nowhere = env.syncline(nginx.tls_url("up/.git")).env("GIT_SSL_CAINFO", "/nowhere/ca.pem").fail();
    assert!(nowhere.contains("/nowhere/ca.pem"), "what is named has to be there: {nowhere}");
}

#[test]
fn gits_variables_say_who_asks_and_how() {
    let env = Env::new();
    let server = Canned::status("404 Not Found");
    env.syncline(server.url("x"))
        .env("GIT_HTTP_USER_AGENT", "me\n")
        .arg("--git-config=http.userAgent:you")
        .fail();
    assert_eq!(header(&server.requests()[0], "User-Agent"), "me");
    let log = env.syncline(server.url("x")).env("GIT_ALLOW_PROTOCOL", "https:ssh").fail();
    assert!(log.contains("which GIT_ALLOW_PROTOCOL forbids"), "{log}");
    let log = env.syncline(server.url("x")).env("GIT_CONFIG_COUNT", "x").arg("--depth=-1").fail();
    assert!(log.contains("GIT_CONFIG_COUNT: \"x\" is not a number") && log.contains("--depth: "), "{log}");
    let log = env.syncline(server.url("x")).env("GIT_SSH_COMMAND", "ssh -v").env("GIT_ASKPASS", "x").fail();
    assert!(log.contains("GIT_SSH_COMMAND, GIT_ASKPASS: variables of Git that have no effect here"), "{log}");
}

#[test]
fn a_line_break_at_the_end_of_a_secret_is_no_part_of_it() {
    let env = Env::new();
    let server = Canned::status("401 Unauthorized");
    let token = || env.syncline(server.url("x"));
    token().env("GITSYNC_USERNAME", "u\n").env("GITSYNC_PASSWORD", "p\r\n").fail();
    token().env("GITSYNC_BEARER_TOKEN", "t\n").fail();
    let credential = format!(r#"{{"url":"{}","username":"u\n","password":"p\n"}}"#, server.url(""));
    token().env("GITSYNC_CREDENTIAL", credential).fail();
    let sent: Vec<_> = server.requests().iter().map(|request| header(request, "Authorization")).collect();
    assert_eq!(sent, [basic("u", "p"), "Bearer t".into(), basic("u", "p")]);
}

#[test]
fn a_name_that_is_no_option_gets_a_hint_whether_or_not_it_works() {
    let env = Env::new();
    let repo = env.repo("up");
    let hint = "GITSYNC_URL: there is no such option; did you mean GITSYNC_REPO?";
    let log = Syncline::new().env("GITSYNC_URL", repo.url()).env("GITSYNC_ROOT", env.root()).run().stderr;
    assert!(log.contains("--repo: must be given") && log.contains(hint), "{log}");
    let log = env.syncline(repo.url()).env("GITSYNC_URL", "x").env("GITSYNC_SERVICE_HOST", "x").sync().stderr;
    assert!(log.contains(hint) && !log.contains("SERVICE_HOST"), "{log}");
}
