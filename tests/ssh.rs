//! SSH against the stock server: sessions and URLs.

use std::time::Instant;

use crate::support::*;

#[test]
fn ssh_is_synced_and_polled_over_one_session() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 3);
    for content in ["two", "three"] {
        let commit = repo.commit(&[("file", content)]);
        running.wait_for(&commit);
        eventually("publication", || (env.published()? == commit).then_some(()));
        env.assert_published(&repo, &commit);
    }
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
    assert!(!running.log().contains("\"WARN\"") && !running.log().contains("ERROR"), "{}", running.log());
}

#[test]
fn a_dropped_session_is_made_anew_without_a_failed_sync() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    sshd.drop_sessions();
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    env.assert_published(&repo, &commit);
    assert_eq!(sshd.logins(), 2, "{}", sshd.log());
    assert!(!running.log().contains("ERROR") && !running.log().contains("failed"), "{}", running.log());
}

#[test]
fn no_program_waits_on_the_server_between_polls() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let syncline = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=1h");
    let running = syncline.arg("--sync-on-signal=SIGHUP").arg("-v1").spawn();
    running.wait_for("published");
    for polls in 1..=3 {
        eventually("the end of the program", || (sshd.programs() == 0).then_some(()));
        running.signal(rustix::process::Signal::HUP);
        running.wait_for_times("nothing new", polls);
    }
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
    assert!(!running.log().contains("ERROR") && !running.log().contains("failed"), "{}", running.log());
}

#[test]
fn a_session_outlives_its_session_keys() {
    let env = Env::new();
    let repo = env.repo("up");
    let sshd = Sshd::with(&env, &["ed25519"], "AcceptEnv GIT_PROTOCOL\nRekeyLimit 1M 1s");
    sshd.authorized_key();
    let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=300ms").arg("-v1").spawn();
    for number in 1..4 {
        repo.write("noise", noise(number, 3 << 20));
        let commit = repo.commit(&[]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        running.wait_for_more("nothing new", 4);
    }
    env.assert_published(&repo, &repo.head());
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
    assert!(!running.log().contains("ERROR"), "{}", running.log());
}

#[test]
fn a_server_that_speaks_only_version_0_is_synced_at_the_depth_asked_for() {
    let env = Env::new();
    let repo = env.repo("up");
    for content in ["2", "3", "4"] {
        repo.commit(&[("file", content)]);
    }
    let sshd = Sshd::with(&env, &["ed25519"], "");
    sshd.authorized_key();
    let running = sshd.syncline(&env, sshd.url(&repo.path)).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    for content in ["5", "6"] {
        let commit = repo.commit(&[("file", content)]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        env.assert_published(&repo, &commit);
        assert_eq!(git(&env.link(), &["rev-list", "--count", "HEAD"]), "1");
    }
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
    assert!(!running.log().contains("ERROR"), "{}", running.log());
}

#[test]
fn what_the_program_on_the_server_says_is_passed_on() {
    let env = Env::new();
    let sshd = Sshd::start(&env);
    sshd.authorized_key();
    let log = sshd.syncline(&env, sshd.url("/no/such/repo")).fail();
    assert!(
        log.contains("the server says: fatal: '/no/such/repo' does not appear to be a git repo"),
        "{log}"
    );
    let log = sshd.syncline(&env, sshd.url("/~nobody-here/x")).fail();
    assert!(log.contains("'~nobody-here/x'"), "{log}");
    let log = sshd.syncline(&env, sshd.url("/it's%20a!b")).fail();
    assert!(log.contains("the server says: fatal: ") && log.contains("it's a!b"), "{log}");
}

#[test]
fn a_server_that_stalls_anywhere_ends_at_the_time_limit() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let key = sshd.authorized_key();
    for bytes in [0, 30, 1500, 2500, 2800, 3000] {
        let stalling = Meddler::start(sshd.port(), Trouble::Stall(bytes));
        let url = stalling.url("ssh", repo.path.strip_prefix("/").unwrap().to_str().unwrap());
        let url = url.replace("://", &format!("://{}@", user()));
        let started = Instant::now();
        let syncline = env.syncline(url).arg("--ssh-known-hosts=false").arg("--ssh-key-file").arg(&key);
        let log = syncline.arg("--sync-timeout=500ms").fail();
        assert!(started.elapsed() < SOON, "{bytes}: {:?}", started.elapsed());
        assert!(log.contains("timed out after 500ms (--sync-timeout) while"), "{bytes}: {log}");
    }
}

#[test]
fn a_session_that_stalls_is_left_for_a_new_one() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    let key = sshd.authorized_key();
    let meddler = Meddler::start(sshd.port(), Trouble::None);
    let url = meddler.url("ssh", repo.path.strip_prefix("/").unwrap().to_str().unwrap());
    let url = url.replace("://", &format!("://{}@", user()));
    let syncline = env.syncline(url).arg("--ssh-known-hosts=false").arg("--ssh-key-file").arg(&key);
    let running = syncline.arg("--sync-timeout=500ms").arg("--period=50ms").arg("-v1").spawn();
    running.wait_for("nothing new");
    meddler.set(Trouble::Stall(0));
    running.wait_for("timed out after 500ms");
    meddler.set(Trouble::None);
    let commit = repo.commit(&[("file", "two")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    env.assert_published(&repo, &commit);
}

#[test]
fn short_urls_and_home_directories_are_understood() {
    let env = Env::new();
    let (repo, sshd) = (env.repo("up"), Sshd::start(&env));
    sshd.authorized_key();
    let (home, user) = (sshd.path("home"), user());
    repo.git(&["clone", "--quiet", "--bare", ".", home.join("it's!.git").to_str().unwrap()]);
    let place = format!("{user}@[127.0.0.1:{}]", sshd.port());
    for url in [
        format!("{place}:it's!.git"),
        format!("{place}:~/it's!.git"),
        format!("{place}:{}/it's!.git", home.display()),
        format!("[{user}@127.0.0.1:{}]:it's!", sshd.port()),
        sshd.url("/~/it's!.git"),
    ] {
        let finished = sshd.syncline(&env, &url).one_time().run();
        assert_eq!(finished.code, Some(0), "{url}: {}", finished.stderr);
    }
    env.assert_published(&repo, &repo.head());
}

#[test]
fn submodules_are_found_beside_an_ssh_repository() {
    let env = Env::new();
    let (repo, sub, sshd) = (env.repo("up"), env.repo("sub"), Sshd::start(&env));
    sshd.authorized_key();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "module"]);
    repo.commit(&[]);
    let place = format!("[{}@127.0.0.1:{}]:{}", user(), sshd.port(), repo.path.display());
    for url in [sshd.url(&repo.path), place] {
        let commit = sub.commit(&[("file", &url)]);
        git(&repo.path.join("module"), &["pull", "--quiet"]);
        repo.commit(&[]);
        sshd.syncline(&env, &url).sync();
        assert_eq!(env.read("module/file"), url);
        assert_eq!(git(&env.link().join("module"), &["rev-parse", "HEAD"]), commit);
    }
    // The session serves the submodule too.
    assert_eq!(sshd.logins(), 2, "{}", sshd.log());
}

#[test]
fn submodules_on_another_ssh_server_share_a_session() {
    let (env, other) = (Env::new(), Env::new());
    let (repo, sshd, far) = (env.repo("up"), Sshd::start(&env), Sshd::start(&other));
    far.authorize(&sshd.authorized_key());
    for name in ["a", "b", "c"] {
        let sub = other.repo(name);
        repo.git(&[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            sub.path.to_str().unwrap(),
            name,
        ]);
        repo.git(&["config", "--file=.gitmodules", &format!("submodule.{name}.url"), &far.url(&sub.path)]);
    }
    repo.commit(&[]);
    let lines = [sshd.host_line("ed25519"), far.host_line("ed25519")].concat();
    sshd.knowing(&env, sshd.url(&repo.path), &lines).arg("--ssh-key-file").arg(sshd.path("key")).sync();
    assert!(env.link().join("c/file").exists());
    assert_eq!((sshd.logins(), far.logins()), (1, 1), "{}", far.log());
}

#[test]
fn a_user_name_is_not_given_twice() {
    let env = Env::new();
    let syncline = env.syncline("ssh://me@host/x").arg("--username=me").env("GITSYNC_PASSWORD", "hunter2");
    let log = syncline.fail();
    assert!(
        log.contains("--username: cannot be combined with a login in the URL") && !log.contains("hunter2"),
        "{log}"
    );
}
