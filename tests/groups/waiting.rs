//! How long a group waits, and for whom.

use std::time::{Duration, Instant};

use crate::support::groups::Group;
use crate::support::*;

#[test]
fn commits_within_the_time_to_settle_appear_together() {
    let group = Group::new(&["dags", "site"]).group("settle: 2s, max-wait: 1h");
    group.write(&group.names());
    let running = group.syncline().arg("-v1").spawn();
    group.wait_for(&[0, 0]);
    let ready = running.log().matches("ready for the group").count();
    let later = group.commit("site", 1);
    group.push_to("dags", 1);
    running.wait_for_times("ready for the group", ready + 1);
    group.show("site", &later);
    group.wait_for(&[1, 1]);
    group.assert_flips(&running, 2);
}

#[test]
fn a_commit_that_stays_the_only_new_one_appears_with_the_old_ones() {
    let group = Group::new(&["dags", "docs", "site"]).group("settle: 100ms, max-wait: 1h");
    let _running = group.spawn();
    group.wait_for(&[0, 0, 0]);
    group.push_to("docs", 1);
    group.wait_for(&[0, 1, 0]);
    group.wait_for_members();
}

#[test]
fn members_are_asked_at_once_however_long_their_period_is() {
    let group =
        Group::new(&["dags", "site"]).option("site", "period: 1h").group("settle: 100ms, max-wait: 1h");
    let _running = group.spawn();
    group.wait_for(&[0, 0]);
    for number in 1..3 {
        group.push(number);
        group.wait_for(&[number, number]);
    }
}

#[test]
fn a_member_that_fails_is_waited_for_until_the_longest_wait_is_over() {
    let group = Group::new(&["dags", "site"]).group("settle: 100ms, max-wait: 1500ms");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.take_away("site");
    let started = Instant::now();
    group.push_to("dags", 1);
    group.wait_for(&[1, 0]);
    assert!(started.elapsed() >= Duration::from_millis(1500), "{:?}", started.elapsed());
    assert!(running.log().contains("sync failed"), "{}", running.log());
    group.bring_back("site");
    group.push_to("site", 1);
    group.wait_for(&[1, 1]);
    group.wait_for_members();
}

#[test]
fn a_group_may_wait_for_all_however_long_it_takes() {
    let group = Group::new(&["dags", "site"]);
    let group = group.group("settle: 50ms, max-wait: 100ms, incomplete: hold-forever");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.take_away("site");
    running.wait_for("sync failed");
    group.push_to("dags", 1);
    running.wait_for_more("sync failed", 3);
    group.push_to("dags", 2);
    running.wait_for_more("sync failed", 1);
    group.assert_shows(&[0, 0]);
    group.bring_back("site");
    group.push_to("site", 1);
    group.wait_for(&[2, 1]);
}

#[test]
fn a_member_whose_program_refuses_its_commit_is_waited_for_until_the_longest_wait_is_over() {
    let group = Group::new(&["dags", "site"]).group("settle: 100ms, max-wait: 1s");
    let gate = group.env.path("gate");
    write_program(&gate, "#!/bin/sh\n! grep -qx 1 number\n");
    let options =
        format!("pre-publish-exechook-command: '{}', pre-publish-exechook-required: true", gate.display());
    let group = group.option("site", &options);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    let started = Instant::now();
    group.push(1);
    group.wait_for(&[1, 0]);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(running.log().contains("pre-publish exechook"), "{}", running.log());
    group.push_to("site", 2);
    group.wait_for(&[1, 2]);
    group.wait_for_members();
    group.assert_sound("at last");
}

#[test]
fn the_first_set_has_all_members_that_are_required() {
    let group = Group::new(&["dags", "site"]).group("settle: 50ms, max-wait: 100ms");
    group.take_away("site");
    group.write(&group.names());
    let running = group.syncline().arg("-v1").spawn();
    running.wait_for("ready for the group");
    running.wait_for_times("sync failed", 3);
    assert!(!group.link().exists());
    assert_eq!(group.published("dags"), None, "members appear with the group");
    group.bring_back("site");
    group.wait_for(&[0, 0]);
    group.wait_for_members();
}

#[test]
fn the_first_set_does_without_members_that_are_not_required() {
    let group = Group::new(&["dags", "site"]).group("settle: 50ms, max-wait: 100ms");
    let group = group.option("site", "required: false");
    group.take_away("site");
    let _running = group.spawn();
    group.wait_for(&[0]);
    assert_eq!(group.numbers().into_keys().collect::<Vec<_>>(), ["dags"]);
    group.bring_back("site");
    group.wait_for(&[0, 0]);
}

#[test]
fn a_commit_that_was_taken_back_before_it_appeared_is_not_shown() {
    let group = Group::new(&["dags", "site"]).group("settle: 2s, max-wait: 1h");
    group.write(&group.names());
    let running = group.syncline().arg("-v1").spawn();
    group.wait_for(&[0, 0]);
    let before = group.commits()["dags"].clone();
    let ready = running.log().matches("ready for the group").count();
    group.push_to("dags", 1);
    running.wait_for_times("ready for the group", ready + 1);
    group.show("dags", &before);
    group.push_to("site", 2);
    group.wait_for(&[0, 2]);
    group.assert_flips(&running, 2);
    group.wait_for_members();
    group.assert_sound("at last");
}
