//! Programs that are run before or after a commit is published.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::*;

/// A program that appends a line to the file `told` and then does as the script says.
fn script(env: &Env, name: &str, body: &str) -> String {
    let path = env.path(name);
    let told = env.path("told");
    let text = format!(
        "#!/bin/sh\necho \"{name} $GITSYNC_HASH $(pwd) $# $GITSYNC_PASSWORD\" >> {}\n{body}\n",
        told.display()
    );
    write_program(&path, text);
    path.to_str().unwrap().to_owned()
}

fn told(env: &Env) -> Vec<String> {
    fs::read_to_string(env.path("told")).unwrap_or_default().lines().map(Into::into).collect()
}

#[test]
fn the_exechook_runs_in_the_new_tree_with_its_hash() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "hook", "");
    let first = repo.head();
    env.syncline(repo.url()).arg("--exechook-command").arg(&hook).env("PATH", "/usr/bin:/bin").sync();
    // A new process tells again, although nothing is new.
    let again = env.syncline(repo.url()).arg("--exechook-command").arg(&hook).env("PATH", "/usr/bin:/bin");
    again.arg("--exechook-arg=a b").arg("--exechook-arg=-c").sync();
    let tree = fs::canonicalize(env.link()).unwrap();
    assert_eq!(told(&env), [0, 2].map(|arguments| format!("hook {first} {} {arguments} ", tree.display())));
}

#[test]
fn a_failing_hook_of_a_one_time_run_fails_it_but_the_tree_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    for option in ["--exechook-command", "--pre-publish-exechook-command"] {
        let commit = repo.commit(&[("file", option)]);
        let hook = script(&env, "hook", "echo this is why >&2; exit 3");
        let log = env.syncline(repo.url()).arg(option).arg(&hook).env("PATH", "/bin:/usr/bin").fail();
        assert!(log.contains("exit code 3") && log.contains("this is why"), "{log}");
        env.assert_published(&repo, &commit);
    }
    assert_eq!(told(&env).len(), 2, "one attempt each");
    let log = env.syncline(repo.url()).arg("--exechook-command=/nonexistent/hook").fail();
    assert!(log.contains("cannot run /nonexistent/hook"), "{log}");
}

#[test]
fn a_hook_is_tried_again_and_hears_of_the_newest() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "hook", &format!("test -e {}", env.path("ready").display()));
    let running = env
        .syncline(repo.url())
        .arg("--period=10ms")
        .arg("-v1")
        .arg("--exechook-backoff=1s")
        .arg("--exechook-command")
        .arg(&hook)
        .env("PATH", "/bin:/usr/bin")
        .spawn();
    running.wait_for("delivery failed");
    let mut newest = String::new();
    for content in ["2", "3", "4"] {
        newest = repo.commit(&[("file", content)]);
        eventually("publication", || (env.published()? == newest).then_some(()));
    }
    fs::write(env.path("ready"), "").unwrap();
    running.wait_for("\"delivered\"");
    let told = told(&env);
    assert!(told.last().unwrap().contains(&newest), "{told:?}");
    assert!(told.len() <= 4, "{told:?}");
    running.wait_for_more("nothing new", 3);
    assert_eq!(running.log().matches("\"delivered\"").count(), 1);
}

#[test]
fn a_hook_past_its_time_is_ended_with_all_that_it_started() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "hook", &sleeping(&env));
    let started = Instant::now();
    let syncline = env.syncline(repo.url()).arg("--exechook-timeout=1s").arg("--exechook-command").arg(&hook);
    let log = syncline.env("PATH", "/bin:/usr/bin").fail();
    assert!(log.contains("was killed after 1s"), "{log}");
    assert!(started.elapsed() < SOON);
    assert_sleeper_ends(&env);
}

/// The text of a script that waits for a sleeper, of which it tells first.
fn sleeping(env: &Env) -> String {
    let pid = env.path("pid");
    format!("sleep 300 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display())
}

#[track_caller]
fn assert_sleeper_ends(env: &Env) {
    let sleeper = fs::read_to_string(env.path("pid")).unwrap();
    eventually("the sleeper's end", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_required_pre_publish_hook_ends_with_the_time_of_the_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "gate", &sleeping(&env));
    let syncline = env.syncline(repo.url()).arg("--sync-timeout=1s").arg("--pre-publish-exechook-required");
    let syncline = syncline.arg("--pre-publish-exechook-timeout=5m").arg("--pre-publish-exechook-command");
    let log = syncline.arg(&hook).env("PATH", "/bin:/usr/bin").fail();
    let expected = "ask the pre-publish exechook about";
    assert!(log.contains(expected) && log.contains("timed out after 1s (--sync-timeout)"), "{log}");
    assert!(!log.contains("while"), "{log}");
    assert_sleeper_ends(&env);
    assert_eq!(env.published(), None);
}

#[test]
fn signals_end_every_hook_with_all_that_it_started() {
    for options in [
        &["--exechook-command"][..],
        &["--pre-publish-exechook-command"],
        &["--pre-publish-exechook-required", "--pre-publish-exechook-command"],
        &["--one-time", "--exechook-command"],
    ] {
        let env = Env::new();
        let repo = env.repo("up");
        let hook = script(&env, "hook", &sleeping(&env));
        let syncline = options.iter().fold(env.syncline(repo.url()), |syncline, option| syncline.arg(option));
        let mut running = syncline.arg(&hook).env("PATH", "/bin:/usr/bin").spawn();
        eventually("the sleeper", || env.path("pid").exists().then_some(()));
        running.signal(Signal::TERM);
        assert_eq!(running.wait().0, Some(0), "{options:?}: {}", running.log());
        assert_sleeper_ends(&env);
    }
}

#[test]
fn a_killed_hook_says_what_it_printed_and_what_went_on() {
    let env = Env::new();
    let repo = env.repo("up");
    for (body, expected) in [
        ("echo waiting for the lock >&2; sleep 300", "was killed after 1s, its timeout; stdout"),
        ("echo waiting for the lock >&2; sleep 300 &", "ended, but its child processes kept the output open"),
    ] {
        let hook = script(&env, "hook", body);
        let syncline = env.syncline(repo.url()).arg("--exechook-timeout=1s").arg("--exechook-command");
        let log = syncline.arg(&hook).env("PATH", "/bin:/usr/bin").fail();
        assert!(log.contains(expected) && log.contains("waiting for the lock"), "{log}");
    }
}

#[test]
fn hooks_do_not_see_the_password() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let hook = script(&env, "hook", "");
    env.syncline(nginx.url("login/up/.git"))
        .arg("--username=user")
        .env("GITSYNC_PASSWORD", "p@ss")
        .env("PATH", "/bin:/usr/bin")
        .arg("--exechook-command")
        .arg(&hook)
        .sync();
    env.assert_published(&repo, &repo.head());
    assert!(!told(&env)[0].contains("p@ss"), "{:?}", told(&env));
}

#[test]
fn hooks_see_the_proxies_that_are_everybodys_and_not_ours() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "hook", &format!("env > {}", env.path("seen").display()));
    let proxies = ["HTTP_PROXY", "https_proxy", "ALL_PROXY"];
    let syncline = env.syncline(repo.url()).env("PATH", "/bin:/usr/bin").arg("--exechook-command").arg(&hook);
    let syncline = proxies.iter().fold(syncline, |syncline, name| syncline.env(name, "http://u:p@h"));
    let ours = ["HTTP", "HTTPS", "ALL", "SSH"].map(|name| format!("GITSYNC_{name}_PROXY"));
    ours.iter().fold(syncline, |syncline, name| syncline.env(name, "http://u:p@h")).sync();
    let seen = fs::read_to_string(env.path("seen")).unwrap();
    assert!(proxies.iter().all(|name| seen.contains(&format!("{name}="))), "{seen}");
    assert!(ours.iter().all(|name| !seen.contains(name)), "{seen}");
}

#[test]
fn a_slow_hook_delays_no_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(&env, "hook", "sleep 60");
    let running = env.syncline(repo.url()).arg("--period=10ms").arg("--exechook-command").arg(&hook);
    let _running = running.env("PATH", "/bin:/usr/bin").spawn();
    eventually("the first hook", || (told(&env).len() == 1).then_some(()));
    let commit = repo.commit(&[("file", "meanwhile")]);
    let started = Instant::now();
    eventually("publication", || (env.published()? == commit).then_some(()));
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_required_pre_publish_hook_decides() {
    let env = Env::new();
    let repo = env.repo("up");
    let allowed = repo.head();
    let hook = script(&env, "gate", "test \"$(cat file)\" != forbidden");
    let gated = || {
        let syncline =
            env.syncline(repo.url()).arg("--pre-publish-exechook-required").env("PATH", "/bin:/usr/bin");
        syncline.arg("--pre-publish-exechook-command").arg(&hook)
    };
    gated().sync();
    repo.commit(&[("file", "forbidden")]);
    let log = gated().fail();
    assert!(log.contains("ask the pre-publish exechook"), "{log}");
    env.assert_published(&repo, &allowed);
    let commit = repo.commit(&[("file", "fine")]);
    gated().sync();
    env.assert_published(&repo, &commit);
    assert_eq!(told(&env).len(), 3);
}

#[test]
fn a_hook_may_print_without_end_and_sees_no_secret_of_any_option() {
    let env = Env::new();
    let repo = env.repo("up");
    let hook = script(
        &env,
        "hook",
        &format!(
            "env > {}; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end; exit 1",
            env.path("seen").display()
        ),
    );
    let credential = r#"{"url":"https://h/","username":"u","password":"canary-1"}"#;
    let log = env
        .syncline(repo.url())
        .env("PATH", "/bin:/usr/bin")
        .env("GITSYNC_CREDENTIAL", credential)
        .env("GITSYNC_GIT_CONFIG", "http.extraHeader:canary-2")
        .env("GIT_SYNC_PASSWORD", "canary-3")
        .env("GITSYNC_USERNAME", "u")
        .arg("--exechook-command")
        .arg(&hook)
        .fail();
    assert!(log.contains("xxxx\\\\nend"), "{}", &log[log.len() - 300..]);
    assert!(log.len() < 10_000);
    assert!(!fs::read_to_string(env.path("seen")).unwrap().contains("canary"));
}

#[test]
fn a_commit_that_comes_back_after_a_failed_hook_is_told_of_again() {
    for option in ["--exechook-command", "--pre-publish-exechook-command"] {
        let env = Env::new();
        let repo = env.repo("up");
        let good = repo.head();
        let hook = script(&env, "hook", "test \"$(cat file)\" != bad");
        let syncline = env
            .syncline(repo.url())
            .arg("--period=10ms")
            .arg(format!("{}-backoff=1s", option.trim_end_matches("-command")));
        let running = syncline.arg(option).arg(&hook).env("PATH", "/bin:/usr/bin").spawn();
        running.wait_for("\"delivered\"");
        let bad = repo.commit(&[("file", "bad")]);
        running.wait_for("delivery failed");
        repo.git(&["reset", "--quiet", "--hard", &good]);
        running.wait_for_times("\"delivered\"", 2);
        let told = told(&env);
        assert!(told[0].contains(&good) && told[1].contains(&bad), "{told:?}");
        assert!(told.last().unwrap().contains(&good), "{told:?}");
    }
}
