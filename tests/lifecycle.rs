//! Starting, stopping, failing, being killed, and sharing a root.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

#[test]
fn one_time_ends_with_success_or_failure() {
    let env = Env::new();
    let repo = env.repo("up");
    assert_eq!(env.syncline(repo.url()).one_time().run().code, Some(0));
    assert_eq!(env.syncline(env.path("gone").to_str().unwrap()).one_time().run().code, Some(1));
    env.assert_published(&repo, &repo.head());
}

#[test]
fn new_commits_are_published_as_they_come() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let running = env.syncline(nginx.url("up/.git")).arg("--period=20ms").spawn();
    for number in 0..5 {
        let commit = repo.commit(&[("file", &number.to_string())]);
        eventually("publication", || (env.published()? == commit).then_some(()));
    }
    drop(running);
    env.assert_published(&repo, &repo.head());
}

#[test]
fn signals_end_it_while_it_waits() {
    for signal in [Signal::TERM, Signal::INT] {
        let env = Env::new();
        let repo = env.repo("up");
        let mut running = env.syncline(repo.url()).arg("--period=1h").spawn();
        running.wait_for("published");
        running.signal(signal);
        let (code, took) = running.wait();
        assert_eq!(code, Some(0));
        assert!(took < SOON, "{took:?}");
    }
}

#[test]
fn signals_end_it_in_the_middle_of_a_fetch_and_nothing_is_left() {
    let env = Env::new();
    let repo = env.repo("up");
    let before = repo.head();
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    repo.commit_incompressible(4 << 20);
    for bytes in [0, 100, 700, 50_000, 2_000_000] {
        let slow = Meddler::start(nginx.port(), Trouble::Stall(bytes));
        let mut running = env.syncline(slow.url("http", "up/.git")).spawn();
        eventually("the connection", || (slow.connections() > 0).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
        running.signal(Signal::TERM);
        let (code, took) = running.wait();
        assert_eq!(code, Some(0), "{}", running.log());
        assert!(took < SOON, "stalled after {bytes} bytes: {took:?}");
        env.assert_no_leftovers();
        env.assert_published(&repo, &before);
    }
    env.syncline(nginx.url("up/.git")).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_kill_at_any_moment_is_recovered_from_without_help() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    env.syncline(nginx.url("up/.git")).sync();
    for round in 0..24 {
        let before = env.published().unwrap();
        for file in 0..40 {
            repo.write(&format!("many/{file}"), format!("{round} {file}").repeat(500));
        }
        let commit = repo.commit(&[]);
        let running = env.syncline(nginx.url("up/.git")).spawn();
        std::thread::sleep(Duration::from_millis(4 * round));
        running.kill();
        let now = env.published().unwrap();
        assert!(now == before || now == commit, "round {round}");
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "round {round}");

        env.syncline(nginx.url("up/.git")).sync();
        env.assert_published(&repo, &commit);
        env.assert_no_leftovers();
    }
}

#[test]
fn a_first_sync_killed_at_any_moment_is_begun_again_without_help() {
    let env = Env::new();
    let repo = env.repo("up");
    for file in 0..300 {
        repo.write(&format!("many/{}/{file}", file % 30), noise(file, 3000));
    }
    repo.write("large", noise(1, 1_200_000));
    let commit = repo.commit(&[]);
    let nginx = Nginx::start(&env.path(""));
    for round in 0..20 {
        let _ = fs::remove_dir_all(env.root());
        let running = env.syncline(nginx.url("up/.git")).spawn();
        std::thread::sleep(Duration::from_millis(3 * round));
        running.kill();
        assert!(env.published().is_none_or(|published| published == commit), "round {round}");
        env.syncline(nginx.url("up/.git")).sync();
        env.assert_published(&repo, &commit);
        env.assert_no_leftovers();
    }
}

#[test]
fn what_a_killed_process_left_is_cleared() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let git = env.root().join(".git");
    let id = env.published().unwrap();
    let leftovers = [
        git.join("shallow.lock"),
        git.join("index.lock"),
        git.join("config.lock"),
        git.join("HEAD.lock"),
        git.join("packed-refs.lock"),
        git.join("refs/heads/git-sync.lock"),
        git.join("worktrees").join(&id).join("index.lock"),
        git.join("objects/pack/.tmpAbCdEf"),
        git.join("objects/pack/tmp_pack_x"),
        git.join("objects/pack/tmp_pack_x.idx"),
        git.join("objects/pack/pack-0123.keep"),
        git.join("objects/pack/pack-0123.pack"),
        git.join("objects/pack/pack-4567.idx"),
        git.join("tmp-worktree-x/HEAD"),
        env.root().join(".worktrees/.tmp-x/file"),
        env.root().join(".worktrees/.tmp-old-x/file"),
    ];
    for path in &leftovers {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    for link in ["tmp-link", ".link.tmp-0123"] {
        let way = format!(".worktrees/{}", "0123456789".repeat(4));
        std::os::unix::fs::symlink(way, env.root().join(link)).unwrap();
    }
    let commit = repo.commit(&[("file", "two")]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
    env.assert_no_leftovers();
    for path in &leftovers {
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn a_second_process_is_told_who_owns_the_root() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).spawn();
    running.wait_for("published");
    let log = env.syncline(repo.url()).fail();
    assert!(log.contains("in use by another syncline (pid ") && log.contains("--wait-for-lock"), "{log}");
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_second_process_may_wait_for_the_root() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = env.syncline(repo.url()).spawn();
    first.wait_for("published");
    let mut second = env.syncline(repo.url()).one_time().arg("--wait-for-lock").spawn();
    second.wait_for("waiting for another syncline");
    first.kill();
    assert_eq!(second.wait().0, Some(0), "{}", second.log());

    let first = env.syncline(repo.url()).spawn();
    first.wait_for("starting");
    let mut second = env.syncline(repo.url()).arg("--wait-for-lock").spawn();
    second.wait_for("waiting");
    second.signal(Signal::TERM);
    assert_eq!(second.wait().0, Some(0));
}

#[test]
fn keeps_serving_after_upstream_is_gone() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut nginx = Some(Nginx::start(&env.path("")));
    let url = nginx.as_ref().unwrap().url("up/.git");
    let mut running = env.syncline(&url).arg("--period=20ms").spawn();
    running.wait_for("published");
    nginx.take();
    running.wait_for_times("sync failed", 4);
    assert!(running.log().contains("the published tree stays"), "{}", running.log());
    env.assert_published(&repo, &repo.head());
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0));

    // A new process keeps serving too, since there is something to serve.
    let running = env.syncline(&url).arg("--period=20ms").spawn();
    running.wait_for_times("sync failed", 2);
}

#[test]
fn recovers_when_upstream_comes_back() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=20ms").spawn();
    running.wait_for("published");
    fs::rename(&repo.path, env.path("away")).unwrap();
    running.wait_for("sync failed");
    fs::rename(env.path("away"), &repo.path).unwrap();
    let commit = repo.commit(&[("file", "back")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
}

#[test]
fn a_limit_of_failures_ends_it() {
    let env = Env::new();
    let gone = env.path("gone");
    for (limit, failures) in [("0", 1), ("1", 1), ("3", 3)] {
        let syncline =
            env.syncline(gone.to_str().unwrap()).arg("--period=10ms").arg("--max-failures").arg(limit);
        let finished = syncline.run();
        assert_eq!(finished.code, Some(1));
        assert_eq!(finished.stderr.matches("sync failed").count(), failures, "{}", finished.stderr);
    }
    // Nothing is served yet and no limit is given: whoever started it should hear of it.
    assert_eq!(env.syncline(gone.to_str().unwrap()).run().code, Some(1));
    let running = env.syncline(gone.to_str().unwrap()).arg("--period=10ms").arg("--max-failures=-1").spawn();
    running.wait_for_times("sync failed", 3);
}

#[test]
fn an_unwritable_root_is_one_clear_line() {
    let env = Env::new();
    let repo = env.repo("up");
    fs::write(env.root(), "a file").unwrap();
    let log = env.syncline(repo.url()).fail();
    assert!(log.contains("cannot start") && log.contains(env.root().to_str().unwrap()), "{log}");
}

#[test]
fn a_tree_caught_between_two_names_is_put_back() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let id = env.published().unwrap();
    let trees = env.root().join(".worktrees");
    fs::rename(trees.join(&id), trees.join(format!(".tmp-{id}.old"))).unwrap();
    fs::rename(&repo.path, env.path("away")).unwrap();
    env.syncline(repo.url()).fail();
    assert_eq!(env.read("file"), "one\n");
}

#[test]
fn probes_are_answered_while_the_root_is_waited_for() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = env.syncline(repo.url()).spawn();
    first.wait_for("published");
    let port = free_port();
    let second =
        env.syncline(repo.url()).arg("--wait-for-lock").arg(format!("--http-bind=127.0.0.1:{port}")).spawn();
    second.wait_for("waiting for another syncline");
    let check = || Syncline::new().arg("healthcheck").arg("/livez").arg(format!("--http-bind=:{port}")).run();
    eventually("an answer", || (check().code == Some(0)).then_some(()));
}

/// gix returns Ok for a checkout that was interrupted.
#[test]
fn whenever_the_time_is_over_nothing_half_made_is_published() {
    let env = Env::new();
    let repo = env.repo("up");
    for number in 0..3000 {
        repo.write(&format!("dir{}/file{number}", number % 30), format!("{number}\n").repeat(50));
    }
    let commit = repo.commit(&[]);
    let mut failures = 0;
    for limit in (10..).step_by(10) {
        let finished = env.syncline(repo.url()).one_time().arg(format!("--sync-timeout={limit}ms")).run();
        env.assert_no_leftovers();
        if finished.code == Some(0) {
            break;
        }
        assert!(finished.stderr.contains("timed out after"), "{}", finished.stderr);
        assert_eq!(env.published(), None);
        failures += 1;
    }
    assert!(failures > 0);
    env.assert_published(&repo, &commit);
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
