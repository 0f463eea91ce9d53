//! A member says which commits of the others belong to it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::groups::Group;
use crate::support::*;

fn pinned() -> Group {
    Group::new(&["dags", "site"]).group("pins: {from: site, file: conf/pins.yaml}")
}

/// The lead shows a new commit with a number, which pins the other.
fn pin(group: &Group, number: usize, text: &str) -> String {
    group.repos["site"].write("conf/pins.yaml", text);
    group.push_to("site", number)
}

#[test]
fn exactly_what_is_pinned_is_shown() {
    let group = pinned();
    let mut commits = vec![group.push_to("dags", 1)];
    pin(&group, 1, &format!("dags: {}\n", commits[0]));
    let running = group.spawn();
    group.wait_for(&[1, 1]);
    for number in 2..6 {
        commits.push(group.push_to("dags", number));
        // The newest of the other does not count before it is pinned.
        group.assert_shows(&[number - 1, number - 1]);
        pin(&group, number, &format!("# a comment\ndags: '{}'\n", commits[number - 1]));
        group.wait_for(&[number, number]);
    }
    group.assert_flips(&running, 5);
    group.wait_for_members();
    group.assert_sound("at last");
}

#[test]
fn an_older_set_comes_back_with_the_commit_that_pins_it() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    let first = pin(&group, 1, &format!("dags: {dags}\n"));
    let _running = group.spawn();
    group.wait_for(&[1, 1]);
    let generation = group.generation();
    let dags = group.push_to("dags", 2);
    let second = pin(&group, 2, &format!("dags: {dags}\n"));
    group.wait_for(&[2, 2]);
    for _ in 0..2 {
        group.show("site", &first);
        group.wait_for(&[1, 1]);
        assert_eq!(group.generation(), generation);
        group.show("site", &second);
        group.wait_for(&[2, 2]);
    }
    group.wait_for_members();
    group.assert_sound("at last");
}

#[test]
fn faulty_pins_are_told_and_the_last_set_stays() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    pin(&group, 1, &format!("dags: {dags}\n"));
    group.write(&group.names());
    let port = free_port();
    let running = group.syncline().arg(format!("--http-bind=127.0.0.1:{port}")).spawn();
    group.wait_for(&[1, 1]);
    let error = || {
        let status: serde_json::Value = serde_json::from_str(&get(port, "/status").1).unwrap();
        status["groups"]["all"]["error"].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(error(), None);
    let newest = group.push_to("dags", 2);
    let (short, other) = (format!("dags: {}\n", &newest[..12]), format!("other: {newest}\n"));
    let (list, twice) = (format!("dags: [{newest}]\n"), format!("dags: {newest}\ndags: {dags}\n"));
    let rows = [
        ("{", "conf/pins.yaml:"),
        ("dags\n", "conf/pins.yaml:1: must be lines NAME: COMMIT"),
        (&short, "conf/pins.yaml:1: dags: must be a full commit id"),
        (&other, "conf/pins.yaml: no commit for dags"),
        (&list, "conf/pins.yaml:1: dags: must be a full commit id"),
        (&twice, "conf/pins.yaml:2:"),
        ("", "conf/pins.yaml:1: must be lines NAME: COMMIT"),
    ];
    for (number, (text, words)) in rows.into_iter().enumerate() {
        let commit = pin(&group, 10 + number, text);
        running.wait_for(&format!(r#""commit":"{commit}""#));
        eventually(&format!("{words:?}, not {:?}", error()), || error()?.contains(words).then_some(()));
        group.assert_shows(&[1, 1]);
    }
    assert_eq!(running.log().matches("cannot use the pins of the lead").count(), 7, "{}", running.log());
    assert!(!running.log().contains("panicked"));
    pin(&group, 2, &format!("dags: {newest}\n"));
    group.wait_for(&[2, 2]);
    eventually("no error", || error().is_none().then_some(()));
}

#[test]
fn a_file_of_pins_that_is_missing_or_leads_out_of_the_tree_is_not_read() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    let good = format!("dags: {dags}\n");
    pin(&group, 1, &good);
    let running = group.spawn();
    group.wait_for(&[1, 1]);
    let newest = group.push_to("dags", 2);
    let outside = group.env.path("outside.yaml");
    fs::write(&outside, format!("dags: {newest}\n")).unwrap();
    let file = group.repos["site"].path.join("conf/pins.yaml");
    let deeds: [(&dyn Fn(), &str); 4] = [
        (&|| symlink(&outside, &file).unwrap(), "leads out of the tree"),
        (&|| symlink("/proc/self/environ", &file).unwrap(), "leads out of the tree"),
        (&|| symlink("pins.yaml", &file).unwrap(), "conf/pins.yaml"),
        (&|| (), "No such file"),
    ];
    for (number, (deed, words)) in (10..).zip(deeds) {
        fs::remove_file(&file).unwrap_or_default();
        deed();
        let commit = group.push_to("site", number);
        running.wait_for(&format!(r#""commit":"{commit}","error":"#));
        let log = running.log();
        assert!(log.lines().any(|line| line.contains(&commit) && line.contains(words)), "{words}: {log}");
        group.assert_shows(&[1, 1]);
    }
    pin(&group, 2, &format!("dags: {newest}\n"));
    group.wait_for(&[2, 2]);
}

/// A link inside the tree is one of its files.
#[test]
fn pins_may_name_more_than_the_members_and_lie_behind_a_link_in_the_tree() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    let text = format!("dags: {dags}\nsite: {}\nother: {}\n", "0".repeat(40), "1".repeat(40));
    fs::create_dir(group.repos["site"].path.join("conf")).unwrap();
    symlink("../real.yaml", group.repos["site"].path.join("conf/pins.yaml")).unwrap();
    group.repos["site"].write("real.yaml", text);
    group.push_to("site", 1);
    let _running = group.spawn();
    group.wait_for(&[1, 1]);
}

#[test]
fn a_pin_to_a_commit_that_does_not_exist_leaves_the_last_set() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    pin(&group, 1, &format!("dags: {dags}\n"));
    let running = group.spawn();
    group.wait_for(&[1, 1]);
    let unknown = "1".repeat(40);
    pin(&group, 2, &format!("dags: {unknown}\n"));
    running.wait_for("sync failed");
    assert!(running.log().contains(&unknown), "{}", running.log());
    group.assert_shows(&[1, 1]);
    let newest = group.push_to("dags", 3);
    pin(&group, 3, &format!("dags: {newest}\n"));
    group.wait_for(&[3, 3]);
}

/// Each commit of the other is pinned by two of the lead.
#[test]
fn no_set_is_shown_that_nobody_pinned_however_fast_the_lead_changes() {
    let group = pinned();
    let dags: Vec<String> = (0..12).map(|number| group.push_to("dags", number)).collect();
    let commit = |number: usize| {
        group.repos["site"].write("conf/pins.yaml", format!("dags: {}\n", dags[number / 2]));
        group.commit("site", number)
    };
    let lead: Vec<String> = (0..24).map(commit).collect();
    group.show("site", &lead[0]);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    for commit in &lead {
        group.show("site", commit);
        for _ in 0..20 {
            let shown: Vec<usize> = group.numbers().values().map(|number| number.parse().unwrap()).collect();
            assert!(shown.len() == 2 && shown[0] == shown[1] / 2, "{shown:?}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    group.wait_for(&[11, 23]);
    drop(running);
    group.assert_sound("at last");
}

#[test]
fn pins_that_a_killed_process_followed_are_followed_by_the_next() {
    let group = pinned();
    let dags = group.push_to("dags", 1);
    pin(&group, 1, &format!("dags: {dags}\n"));
    let running = group.spawn();
    group.wait_for(&[1, 1]);
    running.kill();
    group.push_to("dags", 2);
    let running = group.spawn();
    running.wait_for("starting");
    let dags = group.push_to("dags", 3);
    pin(&group, 3, &format!("dags: {dags}\n"));
    group.wait_for(&[3, 3]);
    group.assert_flips(&running, 1);
}
