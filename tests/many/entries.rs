//! What a change of one entry does to its repository, and does not do to others.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;

use crate::support::many::{Many, count, entry, file, page, wait_for, wait_for_times};
use crate::support::*;

const RELOADED: &str = "loaded the configuration again";
const REFUSED: &str = "the configuration is wrong; the last one stays in force";

/// Put another file in place, and wait until it is in force.
#[track_caller]
fn change(many: &Many, running: &Running, text: impl AsRef<[u8]>) {
    let before = running.log().matches(RELOADED).count();
    many.write(text);
    running.signal(Signal::HUP);
    running.wait_for_times(RELOADED, before + 1);
}

#[test]
fn one_that_gave_up_starts_again_when_its_entry_changes() {
    let (many, [good, bad]) = Many::with(["good", "bad"]);
    fs::rename(&bad.path, many.env.path("away")).unwrap();
    let of = |process: &str, more: &str| {
        let bad = entry("bad", bad.url(), &format!("max-failures: 2{more}"));
        file(process, "period: 50ms", &[entry("good", good.url(), ""), bad])
    };
    let running = many.spawn(of("", ""));
    wait_for(&running, "bad", "gave up");
    fs::rename(many.env.path("away"), &bad.path).unwrap();
    // Another file in which its entry is the same.
    change(&many, &running, of("removed: delete", ""));
    let commit = good.commit(&[("file", "two")]);
    many.wait_for("good", &commit);
    assert_eq!(many.published("bad"), None);
    change(&many, &running, of("", ", depth: 2"));
    many.wait_for("bad", &bad.head());
    assert_eq!(count(&running, "bad", "gave up"), 1, "{}", running.log());
}

#[test]
fn a_name_that_comes_back_in_time_finds_its_files() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let nginx = Nginx::start(&many.env.path(""));
    let first = entry("one", one.url(), "");
    let second = entry("two", nginx.url("two/.git"), "stale-worktree-timeout: 1h");
    let of = |entries: &[String]| file("removed: delete", "period: 50ms", entries);
    let both = of(&[first.clone(), second]);
    let running = many.spawn(&both);
    many.wait_for("two", &two.head());
    wait_for(&running, "two", "published");
    change(&many, &running, of(&[first]));
    wait_for(&running, "two", "removed; its files are deleted");
    change(&many, &running, both);
    wait_for(&running, "two", "added");
    let commit = two.commit(&[("file", "two\n")]);
    many.wait_for("two", &commit);
    many.assert_published("two", &two);
    let log = running.log();
    let published = log.lines().rfind(|line| line.contains("\"published\"") && line.contains("\"two\""));
    assert!(!published.unwrap().contains("\"before\":\"\""), "it was a change: {log}");
}

#[test]
fn a_new_name_is_a_new_root_unless_the_root_is_said() {
    let (many, [up]) = Many::with(["up"]);
    let running = many.spawn(file("", "period: 50ms", &[entry("one", up.url(), "")]));
    many.wait_for("one", &up.head());
    change(&many, &running, file("", "period: 50ms", &[entry("two", up.url(), "")]));
    many.wait_for("two", &up.head());
    wait_for(&running, "one", "removed; its files stay");
    // That root is free once the last loop in it has ended.
    change(&many, &running, file("", "period: 50ms", &[entry("three", up.url(), "root: two")]));
    wait_for(&running, "two", "removed; its files stay");
    let commit = up.commit(&[("file", "two\n")]);
    many.wait_for("two", &commit);
    assert!(!many.root("three").exists());
    assert_eq!(many.published("one"), Some(up.git(&["rev-parse", "HEAD~"])));
}

#[test]
fn a_repository_that_is_the_same_is_neither_asked_anew_nor_connected_anew() {
    let (many, [slow, quick, other]) = Many::with(["slow", "quick", "other"]);
    let nginx = Nginx::start(&many.env.path(""));
    let of = |other: &[String]| {
        let own = [
            entry("slow", nginx.url("slow/.git"), "period: 1h"),
            entry("quick", nginx.url("quick/.git"), "period: 50ms"),
        ];
        file("", "", &[&own, other].concat())
    };
    let running = many.spawn(of(&[]));
    many.wait_for("slow", &slow.head());
    many.wait_for("quick", &quick.head());
    wait_for(&running, "slow", "published");
    let requests = |name: &str| {
        let all = nginx.requests().into_iter();
        all.filter(|line| line.contains(&format!(" /{name}/"))).collect::<Vec<_>>()
    };
    let before = requests("slow");
    for round in 0..5 {
        let more = entry("other", other.url(), &format!("depth: {}", round + 1));
        change(&many, &running, of(&[more]));
        many.wait_for("other", &other.head());
    }
    let polled = requests("quick").len();
    eventually("more polls", || (requests("quick").len() >= polled + 20).then_some(()));
    assert_eq!(requests("slow"), before, "its hour is not over");
    let requests = requests("quick");
    let ports: BTreeSet<&str> = requests.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(ports.len() <= 3, "{ports:?}");
}

#[test]
fn the_last_of_many_changes_costs_nothing_that_stays() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let entries =
        |round: usize| [entry("one", one.url(), ""), entry("two", two.url(), &format!("depth: {round}"))];
    let of = |round: usize| file("", "period: 50ms", &entries(round));
    let running = many.spawn(of(1));
    let ready = || [("one", &one), ("two", &two)].map(|(name, repo)| many.wait_for(name, &repo.head()));
    ready();
    let files = || fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count();
    for round in 2..12 {
        change(&many, &running, of(round));
        wait_for_times(&running, "two", "changed", round - 1);
    }
    let before = files();
    for round in 12..42 {
        change(&many, &running, of(round));
        wait_for_times(&running, "two", "changed", round - 1);
    }
    two.commit(&[("file", "two\n")]);
    ready();
    eventually("as many files as before", || (files() <= before + 4).then_some(()));
    assert_eq!(count(&running, "one", "changed"), 0, "{}", running.log());
}

#[test]
fn what_needs_a_restart_is_named() {
    let (many, [one]) = Many::with(["one"]);
    let port = free_port();
    let entries = [entry("one", one.url(), "")];
    let of = |process: &str| file(process, "period: 50ms", &entries);
    let own = format!("http-bind: '127.0.0.1:{port}'");
    let running = many.spawn(of(&own));
    many.wait_for("one", &one.head());
    for (round, (name, more)) in [
        ("http-bind", "http-metrics: true"),
        ("log-format", "log-format: text"),
        ("log-format", "verbose: 1"),
        ("group-write", "group-write: true"),
        ("sync-on-signal", "sync-on-signal: SIGUSR1"),
        ("one-time", "one-time: true"),
        ("max-parallel", "max-parallel: 7"),
    ]
    .into_iter()
    .enumerate()
    {
        many.write(of(&format!("{own}\n{more}")));
        running.signal(Signal::HUP);
        running.wait_for_times(REFUSED, round + 1);
        let error = page(port, "/status")["config"]["error"].as_str().unwrap().to_owned();
        let expected = format!("{name}: cannot change while syncline runs; restart it");
        assert!(error.contains(&expected), "{more}: {error}");
    }
    let commit = one.commit(&[("file", "two")]);
    many.wait_for("one", &commit);
}
