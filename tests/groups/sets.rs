//! What the link of a group leads to, and for how long it stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::groups::{Group, numbers_in};
use crate::support::*;

const OVER: Duration = Duration::from_secs(61);

fn end(mut running: Running) {
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0), "{}", running.log());
}

#[test]
fn the_same_set_is_the_same_directory() {
    let group = Group::new(&["dags", "site"]);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    let (first, commits) = (group.generation().unwrap(), group.commits());
    let inode = fs::metadata(&first).unwrap().ino();
    group.push(1);
    group.wait_for(&[1, 1]);
    for (name, commit) in &commits {
        group.show(name, commit);
    }
    group.wait_for(&[0, 0]);
    assert_eq!(group.generation().unwrap(), first);
    assert_eq!(fs::metadata(&first).unwrap().ino(), inode);
    group.wait_for_members();
    // The next process shows it without a flip.
    end(running);
    let before = fs::symlink_metadata(group.link()).unwrap().ino();
    let running = group.spawn();
    group.push(2);
    group.wait_for(&[2, 2]);
    group.assert_flips(&running, 1);
    assert_ne!(fs::symlink_metadata(group.link()).unwrap().ino(), before);
}

#[test]
fn a_set_and_its_trees_stay_for_a_minute_after_it_was_replaced() {
    let group = Group::new(&["dags", "site"]);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    let first = group.generation().unwrap();
    for number in 1..4 {
        group.push(number);
        group.wait_for(&[number, number]);
        group.wait_for_members();
    }
    assert_eq!(group.generations().len(), 4);
    assert_eq!(numbers_in(&first).unwrap()["site"], "0");
    group.age(OVER);
    // The next flip finds that their time is over.
    group.push(4);
    group.wait_for(&[4, 4]);
    eventually("two sets", || (group.generations().len() == 2).then_some(()));
    assert!(!first.exists());
    // And so does the next start.
    end(running);
    group.age(OVER);
    let running = group.spawn();
    eventually("one set", || (group.generations().len() == 1).then_some(()));
    group.push(5);
    group.wait_for(&[5, 5]);
    group.wait_for_members();
    end(running);
    group.assert_sound("at last");
    group.assert_no_leftovers("at last");
}

#[test]
fn a_set_stays_as_long_as_the_longest_time_of_its_members_says() {
    let mut group = Group::new(&["dags", "site"]).option("site", "stale-worktree-timeout: 1h");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.push(1);
    group.wait_for(&[1, 1]);
    group.age(OVER);
    group.push(2);
    group.wait_for(&[2, 2]);
    assert_eq!(group.generations().len(), 3);
    // The time is another one in another configuration.
    group.options.clear();
    group.write(&group.names());
    running.signal(Signal::HUP);
    running.wait_for("loaded the configuration again");
    group.age(OVER);
    group.push(3);
    group.wait_for(&[3, 3]);
    eventually("two sets", || (group.generations().len() == 2).then_some(()));
}

#[test]
fn the_hook_of_a_group_runs_once_for_each_set_and_those_of_members_after_it() {
    let group = Group::new(&["dags", "site"]);
    let told = group.env.path("told");
    let hook = |name: &str, words: &str| {
        let path = group.env.path(name);
        write_program(&path, format!("#!/bin/sh\necho \"{words}\" >> {}\n", told.display()));
        path.display().to_string()
    };
    let of_group = hook(
        "of-group",
        "$SYNCLINE_GROUP $SYNCLINE_GENERATION $(pwd) ${GITSYNC_HASH-none} ${SYNCLINE_REPO-none} \
         $(cat dags/number site/number | xargs)",
    );
    let of_member = hook("of-member", "$SYNCLINE_REPO $GITSYNC_HASH ${SYNCLINE_GROUP-none}");
    let mut group = group.group(format!("settle: 200ms, exechook-command: '{of_group}'"));
    group.defaults.push_str(&format!(", exechook-command: '{of_member}'"));
    let running = group.spawn();
    for number in 0..3 {
        if number > 0 {
            group.push(number);
        }
        group.wait_for(&[number, number]);
        running.wait_for_times("\"delivered\"", 3 * (number + 1));
        let generation = group.generation().unwrap();
        let id = generation.file_name().unwrap().to_str().unwrap().to_owned();
        let mut wanted = vec![format!(
            "all {id} {} none none {number} {number}",
            fs::canonicalize(&generation).unwrap().display()
        )];
        wanted.extend(group.commits().iter().map(|(name, commit)| format!("{name} {commit} none")));
        let text = fs::read_to_string(&told).unwrap();
        let mut said: Vec<&str> = text.lines().skip(3 * number).collect();
        said.sort_unstable();
        assert_eq!(said, wanted);
    }
}

/// Links are relative, so a volume may be mounted elsewhere.
#[test]
fn a_volume_that_was_moved_shows_the_same_set() {
    let group = Group::new(&["dags", "site"]);
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.wait_for_members();
    end(running);
    let (shown, moved) = (group.numbers(), group.env.path("deeper/moved"));
    fs::create_dir(group.env.path("deeper")).unwrap();
    fs::rename(group.env.root(), &moved).unwrap();
    assert_eq!(numbers_in(&moved.join("all")).as_ref(), Ok(&shown));
    let running = group.syncline_in(&moved).spawn();
    group.push(1);
    eventually("the new set", || {
        let numbers = numbers_in(&moved.join("all")).unwrap();
        numbers.values().all(|number| number == "1").then_some(())
    });
    group.assert_flips(&running, 1);
    end(running);
    fs::rename(&moved, group.env.root()).unwrap();
    group.assert_shows(&[1, 1]);
    group.assert_sound("moved back");
}

#[test]
fn the_root_of_the_process_may_be_reached_by_a_link() {
    let group = Group::new(&["dags", "site"]);
    fs::create_dir(group.env.path("real")).unwrap();
    symlink("real", group.env.root()).unwrap();
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    for target in fs::read_dir(group.link()).unwrap().map(|link| fs::read_link(link.unwrap().path()).unwrap())
    {
        assert!(target.starts_with("../../.."), "{}", target.display());
    }
    end(running);
    let running = group.spawn();
    for number in 1..4 {
        group.push(number);
        group.wait_for(&[number, number]);
        group.wait_for_members();
    }
    group.assert_flips(&running, 3);
    assert_eq!(group.generations().len(), 4);
    for generation in group.generations() {
        numbers_in(&generation).expect("its trees are in use");
    }
}

#[test]
fn a_member_may_have_its_root_elsewhere() {
    let group = Group::new(&["dags", "site"]);
    let elsewhere = group.env.path("elsewhere/of-site");
    let group = group.option("site", &format!("root: '{}'", elsewhere.display()));
    let running = group.spawn();
    for number in 0..3 {
        if number > 0 {
            group.push(number);
        }
        group.wait_for(&[number, number]);
    }
    let target = fs::read_link(group.link().join("site")).unwrap();
    assert!(target.is_relative() && target.starts_with("../../../../elsewhere"), "{}", target.display());
    assert!(numbers_in(&group.generations()[0]).is_ok(), "its trees are in use");
    end(running);
    // What an old set leads to is in use for the next process, too.
    let running = group.spawn();
    group.push(3);
    group.wait_for(&[3, 3]);
    for generation in group.generations() {
        numbers_in(&generation).unwrap();
    }
    end(running);
}

#[test]
fn a_set_shows_the_subdirectory_of_a_member() {
    let group = Group::new(&["dags", "site"]).option("site", "subdirectory: a/b");
    let running = group.spawn();
    let shows = |number: usize| {
        let text = format!("{number}\n");
        let read = |path: &str| fs::read_to_string(group.link().join(path)).ok();
        eventually("the new set", || {
            let opened = fs::canonicalize(group.link()).ok()?;
            let read = |path: &str| fs::read_to_string(opened.join(path)).unwrap();
            let (dags, site) = (read("dags/a/b/number"), read("site/number"));
            assert_eq!(dags, site);
            (dags == text).then_some(())
        });
        assert_eq!(read("site/a/number"), None);
    };
    shows(0);
    for number in 1..4 {
        group.push(number);
        shows(number);
    }
    end(running);
    let flips = group.generations().len();
    let running = group.spawn();
    group.push(4);
    shows(4);
    assert_eq!(group.generations().len(), flips + 1, "{}", running.log());
    // A commit without it is not offered.
    fs::remove_dir_all(group.repos["site"].path.join("a/b")).unwrap();
    let without = group.repos["site"].commit(&[("number", "5\n")]);
    group.show("site", &without);
    running.wait_for("sync failed");
    shows(4);
}

#[test]
fn another_subdirectory_is_another_set() {
    let mut group = Group::new(&["dags", "site"]).option("site", "subdirectory: a/b");
    let running = group.spawn();
    eventually("a set", || group.generation());
    for (directory, first) in [("a", "a/b/../number"), ("a/b", "number")] {
        let before = group.generation();
        group.options.insert("site", format!("subdirectory: {directory}"));
        group.write(&group.names());
        running.signal(Signal::HUP);
        eventually("another set", || (group.generation() != before).then_some(()));
        let target = fs::read_link(group.link().join("site")).unwrap();
        assert!(target.ends_with(Path::new(directory)), "{}", target.display());
        assert_eq!(fs::read_to_string(group.link().join("dags").join(first)).unwrap(), "0\n");
    }
}

#[test]
fn repositories_with_sha256_appear_together() {
    let group = Group::with_format(&["dags", "site"], "sha256");
    let running = group.spawn();
    group.wait_for(&[0, 0]);
    group.push(1);
    group.wait_for(&[1, 1]);
    assert!(group.commits().values().all(|commit| commit.len() == 64));
    group.wait_for_members();
    end(running);
    group.assert_sound("at last");
}

#[test]
fn repositories_of_a_server_appear_together() {
    let group = Group::new(&["dags", "docs", "site"]).served();
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    for number in 1..4 {
        group.push(number);
        group.wait_for(&[number; 3]);
    }
    group.wait_for_members();
    group.assert_flips(&running, 4);
    end(running);
    group.assert_sound("at last");
}

#[test]
fn what_is_in_the_way_of_the_link_is_told_and_stays() {
    let group = Group::new(&["dags", "site"]);
    fs::create_dir_all(group.link()).unwrap();
    fs::write(group.link().join("file"), "of somebody\n").unwrap();
    group.write(&group.names());
    let finished = group.syncline().one_time().run();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("is not a symbolic link; move it away"), "{}", finished.stderr);
    assert_eq!(fs::read_to_string(group.link().join("file")).unwrap(), "of somebody\n");
    fs::rename(group.link(), group.env.path("away")).unwrap();
    // A link of somebody else is replaced, as that of a repository is.
    symlink("../elsewhere", group.link()).unwrap();
    let finished = group.syncline().one_time().run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    group.assert_shows(&[0, 0]);
}
