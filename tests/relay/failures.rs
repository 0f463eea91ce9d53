//! What fails, and that the last good tree stays.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::relay::{Nats, assert_sound, feeder, follower, shown, wait_for_commit};
use crate::support::*;

#[test]
fn a_fleet_survives_the_loss_of_its_engine_and_of_its_feeders() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut nats = Nats::start(&env.path("nats"));
    let first = repo.commit(&[("version", "1\n")]);
    let feeding = feeder(&env, "feed", repo.url(), &nats.url()).spawn();
    let following = follower(&env, "follow", &nats.url()).spawn();
    wait_for_commit(&env, "follow", &first);
    nats.kill();
    let second = repo.commit(&[("version", "2\n")]);
    wait_for_commit(&env, "feed", &second);
    feeding.wait_for("the relay is not fed");
    assert_eq!(shown(&env, "follow"), Some(first.clone()));
    nats.go_on();
    wait_for_commit(&env, "follow", &second);
    // Everything at the relay is lost.
    nats.kill();
    fs::remove_dir_all(env.path("nats")).unwrap();
    nats.go_on();
    let third = repo.commit(&[("version", "3\n")]);
    wait_for_commit(&env, "follow", &third);
    // Feeders come and go.
    feeding.kill();
    let fourth = repo.commit(&[("version", "4\n")]);
    let _other = feeder(&env, "other", repo.url(), &nats.url()).spawn();
    wait_for_commit(&env, "follow", &fourth);
    following.kill();
    assert_sound(&env.path("follow/.git"));
}

#[test]
fn a_follower_asks_the_git_server_when_the_relay_is_lost_and_goes_back_to_it() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut nats = Nats::start(&env.path("nats"));
    let first = repo.commit(&[("version", "1\n")]);
    let _feeding = feeder(&env, "feed", repo.url(), &nats.url()).spawn();
    let following = follower(&env, "follow", &nats.url())
        .arg(format!("--repo={}", repo.url()))
        .arg("--ref=main")
        .arg("--relay-period=100ms")
        .arg("--relay-fallback=300ms")
        .spawn();
    wait_for_commit(&env, "follow", &first);
    nats.kill();
    let second = repo.commit(&[("version", "2\n")]);
    wait_for_commit(&env, "follow", &second);
    following.wait_for("the relay is out of reach: asking the git server");
    nats.go_on();
    following.wait_for("the relay can be asked again");
    let third = repo.commit(&[("version", "3\n")]);
    wait_for_commit(&env, "follow", &third);
}

#[test]
fn an_engine_that_hangs_is_waited_for() {
    let env = Env::new();
    let repo = env.repo("up");
    let nats = Nats::start(&env.path("nats"));
    let first = repo.commit(&[("version", "1\n")]);
    let feeding = feeder(&env, "feed", repo.url(), &nats.url()).spawn();
    let following = follower(&env, "follow", &nats.url()).arg("--relay-period=50ms").arg("-v1").spawn();
    wait_for_commit(&env, "follow", &first);
    let send = |signal| kill_process(Pid::from_raw(nats.id() as i32).unwrap(), signal).unwrap();
    let failures = following.log().matches("sync failed").count();
    send(Signal::STOP);
    let second = repo.commit(&[("version", "2\n")]);
    feeding.wait_for("the relay is not fed");
    assert_eq!(shown(&env, "follow"), Some(first));
    assert_eq!(following.log().matches("sync failed").count(), failures);
    send(Signal::CONT);
    wait_for_commit(&env, "follow", &second);
}

#[test]
fn feeders_that_are_killed_while_they_write_leave_a_relay_that_works() {
    let env = Env::new();
    let repo = env.repo("up");
    let relay = format!("file://{}", env.path("files").display());
    repo.commit(&[("version", "0\n")]);
    let following = follower(&env, "follow", &relay).arg("--relay-period=50ms").spawn();
    for number in 0..8_u64 {
        let commit = repo
            .commit(&[("version", &format!("{number}\n")), ("noise", &"x\n".repeat(number as usize * 1000))]);
        let feeding = feeder(&env, "feed", repo.url(), &relay).spawn();
        std::thread::sleep(Duration::from_millis(number * 15));
        feeding.kill();
        let feeding = feeder(&env, "feed", repo.url(), &relay).spawn();
        wait_for_commit(&env, "follow", &commit);
        feeding.kill();
    }
    following.kill();
    assert_sound(&env.path("follow/.git"));
    assert!(env.path("feed/.git").read_dir().unwrap().count() > 0);
}
