//! What a poll costs that finds nothing new.

use crate::support::*;

/// The requests that a number of polls made: client port, method and URI of each.
fn polls(env: &Env, nginx: &Nginx, url: &str, count: usize) -> Vec<Vec<String>> {
    let running =
        env.syncline(url).arg("--ca-file").arg(nginx.ca_file()).arg("--period=10ms").arg("-v1").spawn();
    running.wait_for("published");
    let before = nginx.requests().len();
    running.wait_for_times("nothing new", count);
    drop(running);
    let requests = nginx.requests();
    requests[before..].iter().map(|line| line.split(' ').map(Into::into).collect()).collect()
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
        let requests = polls(&env, &nginx, &url, 20);
        assert!((20..40).contains(&requests.len()), "{requests:?}");
        for request in &requests {
            assert_eq!(request[0], requests[0][0], "one connection: {requests:?}");
            assert_eq!((request[1].as_str(), request[2].as_str()), ("POST", "/up/.git/git-upload-pack"));
            assert!(request[4].parse::<usize>().unwrap() < 500, "bytes up: {request:?}");
            assert!(request[5].parse::<usize>().unwrap() < 500, "bytes down: {request:?}");
        }
    }
}

#[test]
fn a_dropped_connection_is_made_anew_without_a_failure() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut nginx = Some(Nginx::start(&env.path("")));
    let meddler = Meddler::start(nginx.as_ref().unwrap().port(), Trouble::None);
    let running = env.syncline(meddler.url("http", "up/.git")).arg("--period=50ms").arg("-v1").spawn();
    running.wait_for_times("nothing new", 2);
    let connections = meddler.connections();
    // Cutting after what was sent so far ends the kept connection at its next answer.
    meddler.set(Trouble::Cut(1));
    eventually("a new connection", || (meddler.connections() > connections).then_some(()));
    meddler.set(Trouble::None);
    let commit = repo.commit(&[("file", "after")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    nginx.take();
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
            running.wait_for_times("nothing new", running.log().matches("nothing new").count() + 2);
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
