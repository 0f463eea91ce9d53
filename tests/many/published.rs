//! A file that lies in a tree which the program itself publishes.

use std::fs;

use rustix::process::Signal;

use crate::support::many::{Many, entry, file};
use crate::support::*;

/// A repository `lists` whose tree holds the file.
struct Lists {
    many: Many,
    lists: Repo,
    other: Repo,
}

impl Lists {
    fn new() -> Lists {
        let (many, [lists, other]) = Many::with(["lists", "other"]);
        Lists { many, lists, other }
    }

    /// Commit a file that lists itself and these.
    fn push(&self, entries: &[String]) -> String {
        let own = entry("lists", self.lists.url(), "");
        self.lists.commit(&[("config.yaml", &file("", "period: 50ms", &[&[own], entries].concat()))])
    }

    fn syncline(&self) -> Syncline {
        let config = self.many.link("lists").join("config.yaml");
        Syncline::new().arg("--config").arg(config).arg("--root").arg(self.many.env.root())
    }

    /// Push such a file, and have it read as soon as it is published.
    #[track_caller]
    fn push_to(&self, running: &Running, entries: &[String]) {
        self.many.wait_for("lists", &self.push(entries));
        running.signal(Signal::HUP);
    }

    /// Publish the first file.
    fn begin(&self) {
        self.push(&[]);
        self.many.write(file("", "", &[entry("lists", self.lists.url(), "")]));
        self.many.syncline().sync();
    }
}

#[test]
fn a_list_in_a_repository_changes_what_is_synced_and_runs_no_programs() {
    let scene = Lists::new();
    scene.begin();
    let (many, other) = (&scene.many, &scene.other);
    let ran = many.env.path("ran");
    let hook = many.env.path("hook");
    write_program(&hook, format!("#!/bin/sh\necho \"$SYNCLINE_REPO\" >> {}\n", ran.display()));
    let hooked = format!("exechook-command: '{}'", hook.display());

    let running = scene.syncline().env("PATH", "/bin:/usr/bin").spawn();
    running.wait_for("decides what is synced here");
    scene.push_to(&running, &[entry("other", other.url(), &hooked)]);
    running.wait_for("the configuration is wrong; the last one stays in force");
    assert!(running.log().contains("--config-hooks allows it"), "{}", running.log());
    assert!(!many.root("other").exists());
    scene.push_to(&running, &[entry("other", other.url(), "")]);
    many.wait_for("other", &other.head());
    assert!(!ran.exists());
    assert_eq!(running.log().matches("decides what is synced here").count(), 1, "{}", running.log());
    running.kill();

    let running = scene.syncline().arg("--config-hooks").env("PATH", "/bin:/usr/bin").spawn();
    scene.push_to(&running, &[entry("other", other.url(), &hooked)]);
    eventually("the program", || fs::read_to_string(&ran).ok().filter(|ran| ran == "other\n"));
    drop(running);
}

/// The tree with the file vanishes with the commit, and another one is there at once.
#[test]
fn a_list_that_removes_itself_is_followed_to_the_end() {
    let scene = Lists::new();
    scene.begin();
    let running = scene.syncline().spawn();
    running.wait_for("starting");
    let only = file("", "period: 50ms", &[entry("other", scene.other.url(), "")]);
    scene.lists.commit(&[("config.yaml", &only)]);
    scene.many.wait_for("other", &scene.other.head());
    running.wait_for("removed; its files stay");
    let commit = scene.other.commit(&[("file", "two\n")]);
    scene.many.wait_for("other", &commit);
}
