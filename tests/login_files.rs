//! Logins in files of other programs: cookies and netrc.

use std::fs;

use crate::logins::credential;
use crate::support::*;

pub fn cookie(host: &str, expiry: &str, value: &str) -> String {
    format!("# Netscape HTTP Cookie File\n#HttpOnly_{host}\tFALSE\t/\tFALSE\t{expiry}\tsession\t{value}\n")
}

#[test]
fn cookies_are_sent_to_whom_they_are_for_until_they_expire() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    nginx.admit("session=c00kie");
    let (url, jar) = (nginx.url("cookie/up/.git"), env.path("jar"));
    let named = format!("--cookie-file={}", jar.display());
    let configured = format!("--git-config=http.cookieFile:{}", jar.display());
    fs::write(&jar, cookie("127.0.0.1", "0", "c00kie")).unwrap();
    for option in [&named, &configured] {
        let _ = fs::remove_dir_all(env.root());
        let finished = env.syncline(&url).arg(option).arg("-v9").sync();
        env.assert_published(&repo, &repo.head());
        assert!(!finished.stderr.contains("c00kie"), "{}", finished.stderr);
    }
    for (host, expiry) in [("127.0.0.1", "1700000000"), ("127.0.0.2", "0")] {
        fs::write(&jar, cookie(host, expiry, "c00kie")).unwrap();
        assert!(env.syncline(&url).arg(&named).fail().contains("401"), "{host} {expiry}");
    }
    fs::remove_file(&jar).unwrap();
    let log = env.syncline(&url).arg(&configured).fail();
    assert!(log.contains("http.cookieFile names does not exist") && log.contains("401"), "{log}");
    fs::write(&jar, "session=c00kie\n").unwrap();
    let log = env.syncline(&url).arg(&named).fail();
    assert!(log.contains("cannot start") && log.contains("line 1 is not a cookie"), "{log}");
    assert!(!log.contains("c00kie"), "{log}");
}

#[test]
fn the_cookie_file_has_to_be_there_at_start_and_for_every_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let log = env.syncline(nginx.url("up/.git")).arg("--cookie-file").arg("--max-failures=-1").fail();
    assert!(log.contains("cannot start") && log.contains("/etc/git-secret/cookie_file"), "{log}");
    let jar = env.path("jar");
    fs::write(&jar, cookie("127.0.0.1", "0", "old")).unwrap();
    nginx.admit("session=old");
    let named = format!("--cookie-file={}", jar.display());
    let running = env.syncline(nginx.url("cookie/up/.git")).arg(&named).arg("--period=20ms").spawn();
    running.wait_for("published");
    fs::remove_file(&jar).unwrap();
    running.wait_for("read the cookie file");
    nginx.refuse("session=old");
    nginx.admit("session=new");
    fs::write(&jar, cookie("127.0.0.1", "0", "new")).unwrap();
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
}

#[test]
fn a_netrc_logs_in_at_its_hosts() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("login/up/.git");
    let home = env.path("home");
    fs::create_dir(&home).unwrap();
    let usual = |syncline: Syncline| syncline.env("HOME", &home);
    let write = |text: &str| fs::write(home.join(".netrc"), text).unwrap();
    assert!(usual(env.syncline(&url)).fail().contains("401"), "an absent one is no fault");
    // The first of a host counts, and the one for all other hosts does not.
    write(
        "machine 127.0.0.1\n login user\n password \"p@ss\"\nmachine 127.0.0.1 login user password no\n\
         default login a password b\n",
    );
    let finished = usual(env.syncline(&url)).sync();
    env.assert_published(&repo, &repo.head());
    assert!(finished.stderr.contains("for all other hosts (default) is ignored"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("p@ss"), "{}", finished.stderr);
    for text in ["machine 127.0.0.2 login user password p@ss", "default login user password p@ss"] {
        write(text);
        assert!(usual(env.syncline(&url)).fail().contains("401"), "{text}");
    }
    write("machine 127.0.0.1 login user password wrong");
    let given = env.path("given");
    let named = format!("--netrc-file={}", given.display());
    let log = env.syncline(&url).arg(&named).fail();
    assert!(log.contains("read the logins (--netrc-file)") && log.contains("given"), "{log}");
    fs::write(&given, "machine 127.0.0.1 password \"p@ss").unwrap();
    let log = env.syncline(&url).arg(&named).fail();
    assert!(log.contains("a quotation mark is not closed") && !log.contains("p@ss"), "{log}");
    fs::write(&given, "machine 127.0.0.1 login user password p@ss").unwrap();
    usual(env.syncline(&url)).arg(&named).sync();
    // A closer login goes before.
    let closer = credential(&nginx.url(""), "wrong");
    assert!(env.syncline(&url).arg(&named).arg("--credential").arg(closer).fail().contains("401"));
}

#[test]
fn a_rotated_netrc_needs_no_restart() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let file = env.path("netrc");
    fs::write(&file, "machine 127.0.0.1 login user password old").unwrap();
    let running = env
        .syncline(nginx.url("login/up/.git"))
        .arg("--netrc-file")
        .arg(&file)
        .arg("--period=20ms")
        .arg("--max-failures=-1")
        .spawn();
    running.wait_for("wants other credentials");
    fs::write(&file, "machine 127.0.0.1 login user password p@ss").unwrap();
    eventually("publication", || (env.published()? == repo.head()).then_some(()));
}
