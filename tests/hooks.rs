//! Telling others: programs, requests, and the two small files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

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
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
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
    std::thread::sleep(Duration::from_millis(100));
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
    assert!(started.elapsed() < Duration::from_secs(10));
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
        ("echo waiting for the lock >&2; sleep 300", "was killed after 1s, its time-out; stdout"),
        ("echo waiting for the lock >&2; sleep 300 &", "ended, but what it started kept its output open"),
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
    let hook = script(&env, "hook", "sleep 20");
    let running = env.syncline(repo.url()).arg("--period=10ms").arg("--exechook-command").arg(&hook);
    let _running = running.env("PATH", "/bin:/usr/bin").spawn();
    eventually("the first hook", || (told(&env).len() == 1).then_some(()));
    let commit = repo.commit(&[("file", "meanwhile")]);
    let started = Instant::now();
    eventually("publication", || (env.published()? == commit).then_some(()));
    assert!(started.elapsed() < Duration::from_secs(10));
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
    assert!(log.contains("answered HTTP 204 in place of 200"), "{log}");
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
    std::thread::sleep(Duration::from_millis(50));
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

#[test]
fn a_signal_starts_a_sync() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=1h").arg("--sync-on-signal=SIGHUP").spawn();
    running.wait_for("published");
    let commit = repo.commit(&[("file", "two")]);
    running.signal(Signal::HUP);
    eventually("publication", || (env.published()? == commit).then_some(()));
}

#[test]
fn group_write_lets_the_group_write() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let mode = |file: &str| fs::metadata(env.link().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("file"), mode("dir")), (0o644, 0o755));
    repo.commit(&[("new", "x")]);
    env.syncline(repo.url()).arg("--group-write").sync();
    assert_eq!((mode("file"), mode("dir"), mode("new")), (0o664, 0o775, 0o664));
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
fn an_altered_tree_is_mended_while_running() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=20ms").arg("--worktree-check-period=100ms").spawn();
    running.wait_for("published");
    fs::write(env.link().join("file"), "tampered").unwrap();
    running.wait_for("published files were altered");
    eventually("the mended file", || (env.read("file") == "one\n").then_some(()));
    drop(running);
    env.assert_published(&repo, &repo.head());
}

/// The tree's HEAD is no longer the commit; git-sync sees that at its next poll.
#[test]
fn a_tree_that_lost_its_commit_is_made_again_at_the_next_poll() {
    type Deed = fn(&std::path::Path);
    let deeds: [(&str, Deed); 4] = [
        ("commits", |tree| {
            fs::write(tree.join("file"), "committed\n").unwrap();
            git(tree, &["commit", "--quiet", "--all", "--message=a consumer's"]);
        }),
        ("checks out", |tree| {
            git(tree, &["checkout", "--quiet", "--orphan", "another"]);
        }),
        ("removes .git", |tree| fs::remove_file(tree.join(".git")).unwrap()),
        ("points .git elsewhere", |tree| fs::write(tree.join(".git"), "gitdir: /nowhere\n").unwrap()),
    ];
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=20ms").arg("--worktree-check-period=1h").spawn();
    running.wait_for("published");
    for (number, (name, deed)) in deeds.iter().enumerate() {
        deed(&fs::canonicalize(env.link()).unwrap());
        running.wait_for_times("\"published\"", number + 2);
        assert_eq!(env.published(), Some(repo.head()), "{name}");
        assert_eq!(env.read("file"), "one\n", "{name}");
        assert_eq!(git(&env.link(), &["rev-parse", "HEAD"]), repo.head(), "{name}");
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "{name}");
    }
    drop(running);
    repo.commit(&[("file", "folded\n")]);
    env.syncline(repo.url()).arg("--git-gc=aggressive").sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_v3_environment_works_unchanged() {
    let env = Env::new();
    let repo = env.repo("site.git");
    let other = {
        repo.git(&["switch", "--quiet", "--create", "stable"]);
        repo.commit(&[("file", "stable")])
    };
    repo.git(&["switch", "--quiet", "main"]);
    let finished = Syncline::new()
        .env("GIT_SYNC_REPO", repo.url())
        .env("GIT_SYNC_BRANCH", "stable")
        .env("GIT_SYNC_ROOT", env.root())
        .env("GIT_SYNC_ONE_TIME", "true")
        .run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let target = fs::read_link(env.root().join("site.git")).unwrap();
    assert!(target.ends_with(&other));
    assert!(finished.stderr.contains("GIT_SYNC_BRANCH: an older name; use --ref"), "{}", finished.stderr);
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
