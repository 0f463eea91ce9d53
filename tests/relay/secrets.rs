//! Logins, and where they do not go.

use std::fs;

use crate::support::relay::{Nats, feeder, follower, wait_for_commit};
use crate::support::*;

#[test]
fn a_login_at_nats_is_read_from_its_files_and_shown_nowhere() {
    let env = Env::new();
    let repo = env.repo("up");
    let first = repo.commit(&[("version", "1\n")]);
    let nats = Nats::with(&env.path("nats"), &["--user", "fleet", "--pass", "tr0ub4dor-secret"]);
    let password = env.path("password");
    fs::write(&password, "tr0ub4dor-secret\n").unwrap();
    let login = |syncline: Syncline| {
        syncline
            .arg("--relay-username=fleet")
            .arg(format!("--relay-password-file={}", password.display()))
            .arg("--verbose=9")
    };
    let feeding = login(feeder(&env, "feed", repo.url(), &nats.url())).spawn();
    let following = login(follower(&env, "follow", &nats.url())).spawn();
    wait_for_commit(&env, "follow", &first);
    for log in [feeding.log(), following.log()] {
        assert!(!log.contains("tr0ub4dor"), "{log}");
    }
    fs::write(&password, "wr0ng-secret\n").unwrap();
    let log = login(follower(&env, "stranger", &nats.url()).arg("--init-max-failures=1")).one_time().fail();
    assert!(log.contains("login") || log.contains("uthorization"), "{log}");
    assert!(!log.contains("wr0ng"), "{log}");
}
