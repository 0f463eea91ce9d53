//! What a poll costs that finds nothing new.

use crate::support::*;

/// How many polls there were, at least `count`, and the requests that they made: client port, method and URI of each.
fn polls(env: &Env, nginx: &Nginx, url: &str, count: usize) -> (usize, Vec<Vec<String>>) {
    let running =
        env.syncline(url).arg("--ca-file").arg(nginx.ca_file()).arg("--period=10ms").arg("-v1").spawn();
    running.wait_for("published");
    let before = nginx.requests().len();
    running.wait_for_times("nothing new", count);
    running.signal(rustix::process::Signal::TERM);
    running.wait_for("stopping");
    let polls = running.log().matches("nothing new").count();
    drop(running);
    let requests = nginx.requests();
    (polls, requests[before..].iter().map(|line| line.split(' ').map(Into::into).collect()).collect())
}

#[test]
fn a_poll_is_one_request_on_one_connection() {
    let env = Env::new();
    let repo = env.repo("up");
    for number in 0..200 {
        repo.git(&["branch", &format!("other-{number}")]);
    }
    let nginx = Nginx::start(&env.path(""));
    for url in [nginx.url("up/.git"), nginx.tls_url("up/.git")] {
        let _ = std::fs::remove_dir_all(env.root());
        let (polls, requests) = polls(&env, &nginx, &url, 20);
        // The signal may come between a request and its answer, or between the first sync and its place in the log.
        assert!(requests.len() <= polls + 2 && requests.len() >= 20, "{polls} polls: {requests:?}");
        for request in &requests {
            assert_eq!(request[0], requests[0][0], "one connection: {requests:?}");
            assert_eq!((request[1].as_str(), request[2].as_str()), ("POST", "/up/.git/git-upload-pack"));
            assert!(request[4].parse::<usize>().unwrap() < 500, "bytes up: {request:?}");
            assert!(request[5].parse::<usize>().unwrap() < 500, "bytes down: {request:?}");
        }
    }
}

/// What a number of polls that find nothing new write, none of them failed.
fn good_polls(running: &Running, count: usize) {
    running.wait_for_times("nothing new", count);
    let log = running.log();
    assert!(!log.contains("sync failed"), "{log}");
}

#[test]
fn a_connection_that_ends_just_when_it_is_used_is_made_anew_within_the_pass() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let meddler = Meddler::start(nginx.port(), Trouble::HangUp);
    let running = env.syncline(meddler.url("http", "up/.git")).arg("--period=10ms").arg("-v1").spawn();
    good_polls(&running, 20);
    assert!(meddler.connections() >= 20, "{} connections", meddler.connections());
    let commit = repo.commit(&[("file", "after")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    good_polls(&running, 30);
}

#[test]
fn a_connection_that_ends_between_polls_is_made_anew_within_the_pass() {
    let env = Env::new();
    env.repo("up");
    let nginx = Nginx::with(&env.path(""), 2, "keepalive_timeout 10ms;");
    for url in [nginx.url("up/.git"), nginx.tls_url("up/.git")] {
        let _ = std::fs::remove_dir_all(env.root());
        let since = nginx.requests().len();
        let ca = nginx.ca_file();
        let running = env.syncline(&url).arg("--ca-file").arg(ca).arg("--period=100ms").arg("-v1").spawn();
        good_polls(&running, 10);
        let requests = nginx.requests().split_off(since);
        let mut ports: Vec<_> = requests.iter().map(|line| line.split(' ').next().unwrap()).collect();
        ports.dedup();
        assert!(ports.len() > 5, "{requests:?}");
    }
}

#[test]
fn a_restart_of_the_server_costs_no_failed_pass() {
    let env = Env::new();
    env.repo("up");
    let mut nginx = Nginx::start(&env.path(""));
    let syncline = env.syncline(nginx.tls_url("up/.git")).arg("--ca-file").arg(nginx.ca_file());
    let running = syncline.arg("--period=1h").arg("--sync-on-signal=SIGHUP").arg("-v1").spawn();
    running.wait_for("published");
    for restarts in 1..=3 {
        nginx.stop();
        nginx.go_on();
        running.signal(rustix::process::Signal::HUP);
        good_polls(&running, restarts);
    }
}

/// git's own server goes on naming a branch as it first read it, for as long as its program lives.
#[test]
fn a_branch_is_followed_over_every_transport() {
    let env = Env::new();
    let repo = env.repo("up");
    let (nginx, daemon, sshd) =
        (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")), Sshd::start(&env));
    sshd.authorized_key();
    for url in [nginx.url("up/.git"), daemon.url("up/.git"), sshd.url(&repo.path)] {
        let running = sshd.syncline(&env, &url).arg("--ref=main").arg("--period=10ms").arg("-v1").spawn();
        for _ in 0..2 {
            running.wait_for_more("nothing new", 2);
            let commit = repo.commit(&[("file", &url)]);
            eventually("publication", || (env.published()? == commit).then_some(()));
        }
    }
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
}

#[test]
fn a_server_that_answers_with_a_failure_is_asked_once() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let running = env.syncline(nginx.url("up/.git")).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    std::fs::rename(&repo.path, env.path("away")).unwrap();
    running.wait_for_times("sync failed", 4);
    drop(running);
    let failed =
        nginx.requests().iter().filter(|line| line.contains(" 404 ") || line.contains(" 500 ")).count();
    assert!((4..=6).contains(&failed), "{failed} requests: {:?}", nginx.requests());
}
