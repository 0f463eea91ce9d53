//! Members that come and go, groups that change, and processes that are killed.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::groups::{Group, set_age};
use crate::support::*;

/// Give the running program another file.
#[track_caller]
fn reload(group: &Group, running: &Running, members: &[&str]) {
    group.write(members);
    loaded(running);
}

#[track_caller]
fn loaded(running: &Running) {
    let times = running.log().matches("loaded the configuration again").count();
    running.signal(Signal::HUP);
    running.wait_for_times("loaded the configuration again", times + 1);
}

#[test]
fn a_member_that_is_removed_is_not_in_the_next_set_and_may_come_back() {
    let group = Group::new(&["dags", "docs", "site"]);
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    for number in 1..4 {
        reload(&group, &running, &["dags", "site"]);
        group.push(2 * number - 1);
        eventually("the next set", || (!group.link().join("docs").exists()).then_some(()));
        group.wait_for(&[2 * number - 1; 2]);
        let alone = group.repos["docs"].git(&["rev-parse", "main"]);
        eventually("it goes on alone", || (group.published("docs")? == alone).then_some(()));
        reload(&group, &running, &["dags", "docs", "site"]);
        group.push(2 * number);
        group.wait_for(&[2 * number; 3]);
        group.wait_for_members();
    }
    drop(running);
    group.assert_sound("at last");
}

#[test]
fn a_member_that_is_removed_is_not_waited_for_any_more() {
    let group = Group::new(&["dags", "docs", "site"]).group("settle: 50ms, incomplete: hold-forever");
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    group.take_away("docs");
    running.wait_for("sync failed");
    for name in ["dags", "site"] {
        group.push_to(name, 1);
    }
    running.wait_for_more("sync failed", 2);
    group.assert_shows(&[0; 3]);
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[1, 1]);
    // It is waited for again, and shown as soon as there is something.
    reload(&group, &running, &["dags", "docs", "site"]);
    running.wait_for_more("sync failed", 2);
    group.assert_shows(&[1, 1]);
    group.bring_back("docs");
    group.wait_for(&[1, 0, 1]);
    group.wait_for_members();
}

#[test]
fn other_waits_count_at_once() {
    let mut group = Group::new(&["dags", "site"]).group("settle: 50ms, max-wait: 1h");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.take_away("site");
    running.wait_for("sync failed");
    group.push_to("dags", 1);
    running.wait_for_more("sync failed", 2);
    group.assert_shows(&[0, 0]);
    group.group = "settle: 50ms, max-wait: 100ms".into();
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[1, 0]);
}

#[test]
fn a_group_that_is_removed_leaves_its_set_and_its_members_go_on_alone() {
    let group = Group::new(&["dags", "site"]);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.wait_for_members();
    group.write_with("");
    loaded(&running);
    for number in 1..3 {
        let commits = ["dags", "site"].map(|name| (name, group.push_to(name, number)));
        for (name, commit) in commits {
            eventually("the new commit", || (group.published(name)? == commit).then_some(()));
        }
    }
    group.assert_shows(&[0, 0]);
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[2, 2]);
    group.push(3);
    group.wait_for(&[3, 3]);
    group.wait_for_members();
    drop(running);
    group.assert_sound("at last");
}

#[test]
fn a_group_that_is_added_shows_what_its_members_have() {
    let group = Group::new(&["dags", "site"]);
    group.write_with("");
    let running = group.syncline().spawn();
    for name in ["dags", "site"] {
        eventually("a commit", || group.published(name));
    }
    assert!(!group.link().exists());
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[0, 0]);
    // Members may change the group.
    group.write_with(
        "groups:\n  other: {members: [dags], settle: 50ms}\n  all: {members: [site], settle: 50ms}\n",
    );
    loaded(&running);
    group.push(1);
    group.wait_for(&[1]);
    let other = group.env.root().join("other/dags/number");
    eventually("the other group", || (fs::read_to_string(&other).ok()? == "1\n").then_some(()));
}

#[test]
fn a_repository_that_is_removed_with_its_place_in_the_group_leaves_old_sets_whole() {
    let mut group = Group::new(&["dags", "docs", "site"]);
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    let opened = group.opened().unwrap();
    let (before, docs) = (opened.numbers(), group.repos.remove("docs").unwrap());
    reload(&group, &running, &["dags", "site"]);
    for number in 1..3 {
        group.push(number);
        group.wait_for(&[number, number]);
    }
    assert_eq!(opened.numbers(), before);
    group.repos.insert("docs", docs);
    reload(&group, &running, &["dags", "docs", "site"]);
    group.push(3);
    group.wait_for(&[3; 3]);
    assert_eq!(opened.numbers(), before);
}

#[test]
fn files_of_a_removed_repository_are_deleted_only_when_no_set_leads_to_them() {
    let mut group = Group::new(&["dags", "docs", "site"]);
    group.write(&group.names());
    let running = group.syncline().arg("--removed=delete").spawn();
    group.wait_for(&[0; 3]);
    let (opened, old) = (group.opened().unwrap(), group.generation().unwrap());
    let before = opened.numbers();
    // It leaves the group, and is no member any more when it is removed.
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[0; 2]);
    group.repos.remove("docs");
    reload(&group, &running, &["dags", "site"]);
    running.wait_for("removed; its files are deleted");
    for number in 1..4 {
        group.push(number);
        group.wait_for(&[number, number]);
    }
    assert_eq!(opened.numbers(), before);
    // As if a minute were over.
    set_age(&old, Duration::from_secs(61));
    group.push(4);
    group.wait_for(&[4, 4]);
    eventually("the end of its files", || (!group.env.root().join("docs").exists()).then_some(()));
}

#[test]
fn pins_hold_only_while_the_group_has_them() {
    let mut group = Group::new(&["dags", "site"]);
    let pinned = "pins: {from: site, file: pins.yaml}";
    let dags = group.push_to("dags", 1);
    group.repos["site"].write("pins.yaml", format!("dags: {dags}\n"));
    group.push_to("site", 1);
    group.push_to("dags", 2);
    group.group = pinned.into();
    let running = group.spawn();
    group.wait_for(&[1, 1]);
    group.group = "settle: 50ms".into();
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[2, 1]);
    group.push_to("dags", 3);
    group.wait_for(&[3, 1]);
    group.group = pinned.into();
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[1, 1]);
    // The other one leads.
    group.repos["dags"].write("pins.yaml", format!("site: {}\n", group.commits()["site"]));
    group.push_to("dags", 4);
    group.push_to("site", 5);
    group.group = "pins: {from: dags, file: pins.yaml}".into();
    reload(&group, &running, &["dags", "site"]);
    group.wait_for(&[4, 1]);
    group.wait_for_members();
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_set_and_the_next_start_needs_no_help() {
    let group = Group::new(&["dags", "docs", "site"]).group("settle: 50ms");
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    running.kill();
    for round in 1..=20 {
        let running = group.spawn();
        group.wait_for(&[round - 1; 3]);
        group.push(round);
        std::thread::sleep(Duration::from_millis(12 * round as u64));
        running.kill();
        let case = format!("round {round}");
        group.assert_sound(&case);
        let known = [round - 1, round].map(|number| number.to_string());
        let numbers = group.numbers();
        assert!(numbers.len() == 3 && numbers.values().all(|number| known.contains(number)), "{numbers:?}");
        // Sets are replaced as eagerly as possible.
        group.age(Duration::from_secs(61));
    }
    let mut running = group.syncline().arg("-v1").spawn();
    running.wait_for_times("nothing new", 3);
    group.wait_for(&[20; 3]);
    group.wait_for_members();
    eventually("old sets are over", || (group.generations().len() < 3).then_some(()));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0));
    group.assert_sound("at last");
    group.assert_no_leftovers("at last");
}

#[test]
fn members_follow_a_set_that_was_shown_by_a_process_which_was_killed_at_once() {
    let group = Group::new(&["dags", "site"]).group("settle: 50ms");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.wait_for_members();
    group.push(1);
    group.wait_for(&[1, 1]);
    running.kill();
    // They follow it although nothing can be asked of their upstreams.
    for name in ["dags", "site"] {
        group.take_away(name);
    }
    let _running = group.spawn();
    group.wait_for_members();
    group.assert_shows(&[1, 1]);
}

/// As when a volume goes from one pod to the next.
#[test]
fn a_process_that_waited_for_another_goes_on_from_the_set_that_is_shown_then() {
    let mut group = Group::new(&["dags", "site"]).group("settle: 50ms");
    group.defaults.push_str(", wait-for-lock: true");
    let first = group.spawn();
    group.wait_for(&[0, 0]);
    let second = group.syncline().spawn();
    second.wait_for_times("waiting for another syncline", 2);
    for number in 1..3 {
        group.push(number);
        group.wait_for(&[number, number]);
        group.wait_for_members();
    }
    let commits = group.commits();
    first.kill();
    for _ in 0..100 {
        for (name, commit) in &commits {
            assert_eq!(group.published(name).as_ref(), Some(commit), "{}", second.log());
        }
        group.assert_shows(&[2, 2]);
        std::thread::sleep(Duration::from_millis(5));
    }
    group.push(3);
    group.wait_for(&[3, 3]);
    group.wait_for_members();
    group.assert_flips(&second, 1);
}
