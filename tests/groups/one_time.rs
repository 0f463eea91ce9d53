//! Groups of one-time runs.

use crate::support::groups::Group;
use crate::support::*;

fn run(group: &Group) -> Finished {
    group.write(&group.names());
    group.syncline().one_time().run()
}

#[track_caller]
fn succeed(group: &Group) -> String {
    let finished = run(group);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stderr
}

#[track_caller]
fn fail(group: &Group) -> String {
    let finished = run(group);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    finished.stderr
}

#[test]
fn a_one_time_run_shows_the_newest_set() {
    let group = Group::new(&["dags", "docs", "site"]).group("settle: 1h, max-wait: 1h");
    for number in 0..3 {
        group.push(number);
        let log = succeed(&group);
        assert_eq!(log.matches("\"published together\"").count(), 1, "{log}");
        group.assert_shows(&[number; 3]);
        group.wait_for_members();
        group.assert_no_leftovers("after a run");
    }
    assert!(!succeed(&group).contains("published together"), "nothing is new");
    group.assert_sound("at last");
}

#[test]
fn a_required_member_that_fails_fails_the_run_and_the_last_set_stays() {
    let group = Group::new(&["dags", "docs", "site"]);
    group.take_away("docs");
    let log = fail(&group);
    assert!(!group.link().exists() && log.contains(r#""repos":"#) && log.contains("docs"), "{log}");
    group.bring_back("docs");
    succeed(&group);
    group.take_away("docs");
    for name in ["dags", "site"] {
        group.push_to(name, 1);
    }
    fail(&group);
    group.assert_shows(&[0; 3]);
    group.wait_for_members();
    group.bring_back("docs");
    succeed(&group);
    group.assert_shows(&[1, 0, 1]);
    group.assert_sound("at last");
}

#[test]
fn a_member_that_is_not_required_may_be_missing_or_stay_as_it_is() {
    let group = Group::new(&["dags", "site"]).option("dags", "required: false");
    group.take_away("dags");
    succeed(&group);
    group.assert_shows(&[0]);
    group.bring_back("dags");
    succeed(&group);
    group.assert_shows(&[0, 0]);
    group.take_away("dags");
    group.push_to("site", 1);
    succeed(&group);
    group.assert_shows(&[0, 1]);
}

#[test]
fn a_hook_of_a_group_that_fails_fails_the_run_but_the_set_is_shown() {
    let group = Group::new(&["dags", "site"]).group("exechook-command: /bin/false");
    let log = fail(&group);
    assert!(log.contains("/bin/false"), "{log}");
    group.assert_shows(&[0, 0]);
}

#[test]
fn a_one_time_run_follows_pins() {
    let group = Group::new(&["dags", "docs", "site"]).group("pins: {from: site, file: pins.yaml}");
    let mut pinned = Vec::new();
    for number in 0..3 {
        let [dags, docs] = ["dags", "docs"].map(|name| group.push_to(name, number));
        pinned.push(format!("dags: {dags}\ndocs: {docs}\n"));
        // What nobody pinned does not count.
        for name in ["dags", "docs"] {
            group.push_to(name, 100 + number);
        }
        group.repos["site"].write("pins.yaml", pinned.last().unwrap());
        group.push_to("site", number);
        succeed(&group);
        group.assert_shows(&[number; 3]);
        group.wait_for_members();
    }
    group.repos["site"].write("pins.yaml", &pinned[0]);
    group.push_to("site", 7);
    succeed(&group);
    group.assert_shows(&[0, 0, 7]);
    group.assert_sound("at last");
}

#[test]
fn pins_that_cannot_be_followed_end_a_one_time_run() {
    let group = Group::new(&["dags", "site"]).group("pins: {from: site, file: pins.yaml}");
    let unknown = format!("dags: {}\n", "1".repeat(40));
    let texts = ["dags: main\n", "- x\n", "other: x\n", unknown.as_str()];
    let log = fail(&group);
    assert!(log.contains("cannot use the pins"), "{log}");
    for text in texts {
        group.repos["site"].write("pins.yaml", text);
        group.push_to("site", 1);
        fail(&group);
        assert!(!group.link().exists(), "{text}");
    }
    let good = group.push_to("dags", 3);
    group.repos["site"].write("pins.yaml", format!("dags: {good}\n"));
    group.push_to("site", 2);
    succeed(&group);
    for text in texts {
        group.repos["site"].write("pins.yaml", text);
        group.push_to("site", 4);
        fail(&group);
        group.assert_shows(&[3, 2]);
    }
    group.take_away("site");
    fail(&group);
    group.assert_shows(&[3, 2]);
    group.assert_sound("at last");
}
