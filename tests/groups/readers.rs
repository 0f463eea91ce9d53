//! Readers that never stop, while sets come and go.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use crate::support::groups::{Group, Opened, numbers_in, set_age};

/// What a set shows: numbers by the names of members.
type Set = BTreeMap<String, String>;

/// What readers saw.
struct Seen {
    /// How often a reader read all files of all members.
    reads: usize,
    /// How many different sets there were.
    sets: usize,
}

/// Readers that go on until this is dropped.
struct Going<'a>(&'a AtomicBool);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Read again and again while `work` is done, in the ways that consumers have. All they see is put to `check`.
fn read_during(group: &Group, check: fn(&Set), work: impl FnOnce()) {
    let go_on = AtomicBool::new(true);
    let by_directory = || Opened::open(&group.link()).map(|opened| opened.numbers());
    let by_path = || Some(numbers_in(&fs::canonicalize(group.link()).ok()?));
    scope(|scope| {
        let going = Going(&go_on);
        let readers: [ScopedJoinHandle<Seen>; 2] = [
            scope.spawn(|| read_while(&go_on, check, by_directory)),
            scope.spawn(|| read_while(&go_on, check, by_path)),
        ];
        work();
        drop(going);
        for seen in readers.map(|reader| reader.join().unwrap_or_else(|err| std::panic::resume_unwind(err))) {
            assert!(seen.sets > 1 && seen.reads > 10, "{} sets in {} reads", seen.sets, seen.reads);
        }
    });
}

fn read_while(go_on: &AtomicBool, check: fn(&Set), read: impl Fn() -> Option<Result<Set, String>>) -> Seen {
    let (mut reads, mut sets) = (0, Vec::new());
    while go_on.load(Ordering::Relaxed) {
        if let Some(set) = read() {
            let set = set.unwrap();
            check(&set);
            reads += 1;
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        std::thread::sleep(Duration::from_micros(500)); // leaves the processor to the program
    }
    Seen { reads, sets: sets.len() }
}

fn is_unmixed(set: &Set) {
    let numbers: Vec<&String> = set.values().collect();
    assert!(numbers.len() == 3 && numbers.iter().all(|number| *number == numbers[0]), "mixed: {set:?}");
}

fn has_all(set: &Set) {
    assert_eq!(set.len(), 3, "{set:?}");
}

#[test]
fn no_reader_sees_a_mixed_set_and_who_has_one_open_keeps_it() {
    let group = Group::new(&["dags", "docs", "site"]);
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    let mut held = Vec::new();
    read_during(&group, is_unmixed, || {
        for number in 1..10 {
            let opened = group.opened().unwrap();
            held.push((opened.numbers().unwrap(), opened, group.generation().unwrap()));
            group.push(number);
            group.wait_for(&[number; 3]);
            for (numbers, opened, path) in &held {
                assert_eq!(opened.numbers().as_ref(), Ok(numbers));
                assert_eq!(numbers_in(path).as_ref(), Ok(numbers));
            }
        }
    });
    group.assert_flips(&running, 10);
    group.wait_for_members();
    drop(running);
    group.assert_sound("at last");
}

/// Before the last but two are over, as if a minute were.
#[test]
fn trees_of_old_sets_are_used_again_and_no_reader_notices() {
    let group = Group::new(&["dags", "docs", "site"]);
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    let mut shown: Vec<PathBuf> = vec![group.generation().unwrap()];
    read_during(&group, is_unmixed, || {
        for number in 1..10 {
            if let Some(old) = shown.len().checked_sub(3) {
                set_age(&shown[old], Duration::from_secs(61));
            }
            group.push(number);
            group.wait_for(&[number; 3]);
            group.wait_for_members();
            shown.push(group.generation().unwrap());
        }
    });
    assert!(group.generations().len() < 5, "{:?}", group.generations());
    let trees = fs::read_dir(group.env.root().join("dags/.worktrees")).unwrap().count();
    assert!(trees < 6, "{trees} trees");
    assert!(running.log().contains(r#""by":"retired tree""#), "{}", running.log());
    drop(running);
    group.assert_sound("at last");
}

#[test]
fn sets_are_whole_while_commits_come_faster_than_they_settle() {
    let group = Group::new(&["dags", "docs", "site"]).group("settle: 400ms, max-wait: 600ms");
    let running = group.spawn();
    group.wait_for(&[0; 3]);
    let mut held = Vec::new();
    read_during(&group, has_all, || {
        for number in 1..30 {
            let opened = group.opened().unwrap();
            held.push((opened.numbers().unwrap(), opened));
            group.push_to(["dags", "docs", "site"][number % 3], number);
            std::thread::sleep(Duration::from_millis(50));
        }
        group.push(30);
        group.wait_for(&[30; 3]);
        for (numbers, opened) in &held {
            assert_eq!(opened.numbers().as_ref(), Ok(numbers));
        }
    });
    group.wait_for_members();
    drop(running);
    group.assert_sound("at last");
}
