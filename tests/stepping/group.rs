//! A group of two repositories, watched at one-time runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::points::Point;
use super::scene::{Played, names, restore};
use super::steps::{Call, Deed, Effect, step_through};
use crate::support::Syncline;
use crate::support::groups::{Group, numbers_in};

pub struct GroupScene {
    pub name: &'static str,
    pub group: Group,
    /// The names below the root after a run that nobody disturbed, and how many there are of each.
    names: BTreeMap<String, usize>,
}

impl GroupScene {
    /// A set is shown, and each upstream has a new commit.
    pub fn flip() -> GroupScene {
        let group = Group::new(&["dags", "site"]);
        group.write(&group.names());
        let scene = GroupScene { name: "a flip of a group", group, names: BTreeMap::new() };
        scene.syncline().sync();
        fs::rename(scene.root(), scene.before()).unwrap();
        scene.group.push(1);
        scene
    }

    pub fn root(&self) -> PathBuf {
        self.group.env.root()
    }

    fn before(&self) -> PathBuf {
        self.group.env.path("before")
    }

    fn syncline(&self) -> Syncline {
        self.group.syncline()
    }

    /// A one-time run, from the beginning; its every step is put to `decide`.
    pub fn play(&self, mut decide: impl FnMut(&Call) -> Deed + Send) -> Played {
        let _ = fs::remove_dir_all(self.root());
        restore(&self.before(), &self.root(), false);
        let mut log = String::new();
        let code = step_through(&self.syncline().one_time().command, &self.root(), |call| {
            if call.effect == Effect::Logs {
                log.push_str(&call.object);
            }
            decide(call)
        });
        Played { code, log }
    }

    /// The steps of a run that nobody disturbs, which also shows what is to be there at the end.
    pub fn rehearse(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        let played = self.play(|call| {
            calls.push(call.clone());
            Deed::Allow
        });
        assert_eq!(played.code, Some(0), "{}: {}", self.name, played.log);
        self.group.assert_no_leftovers("undisturbed");
        self.names = names(&self.root());
        self.assert_settled("undisturbed");
        calls
    }

    /// All steps that the group makes, and about `most` of those of its members.
    pub fn points(steps: &[Call], most: usize, is_of_interest: impl Fn(&Call) -> bool) -> Vec<Point> {
        let is_of_member = |call: &Call| ["dags/", "site/"].iter().any(|name| call.object.starts_with(name));
        let of_group = Point::all(steps, |call| !is_of_member(call) && is_of_interest(call));
        let of_members = Point::of(steps, most, |call| is_of_member(call) && is_of_interest(call));
        of_group.into_iter().chain(of_members).collect()
    }

    /// Start the program once more, without any help, so that it succeeds.
    #[track_caller]
    pub fn recover(&self, case: &str) {
        let finished = self.syncline().one_time().run();
        assert_eq!(finished.code, Some(0), "{case}: {}", finished.stderr);
    }

    /// The link leads to all of the old set or all of the new one, and what has the name of a set is whole.
    #[track_caller]
    pub fn assert_whole(&self, case: &str) {
        let numbers: Vec<String> = self.group.numbers().into_values().collect();
        assert!(numbers == ["0", "0"] || numbers == ["1", "1"], "{case}: {numbers:?}");
        for generation in self.group.generations() {
            if !generation.file_name().unwrap().to_str().unwrap().starts_with('.') {
                numbers_in(&generation).unwrap_or_else(|err| panic!("{case}: {err}"));
            }
        }
    }

    /// The new set is shown, its members follow, and nothing is there that is not there after a run that nobody
    /// disturbed.
    #[track_caller]
    pub fn assert_settled(&self, case: &str) {
        self.assert_whole(case);
        self.group.assert_sound(case);
        for (name, commit) in self.group.commits() {
            assert_eq!(commit, self.group.repos[name.as_str()].head(), "{case}: {name}");
            assert_eq!(self.group.published(&name), Some(commit), "{case}: {name}");
        }
        let names = names(&self.root());
        let most = |name: &String| self.names.get(name).copied().unwrap_or_default();
        let more: Vec<_> = names.iter().filter(|(name, count)| **count > most(name)).collect();
        let gone: Vec<_> = self.names.keys().filter(|name| !names.contains_key(*name)).collect();
        assert!(more.is_empty() && gone.is_empty(), "{case}: too many {more:?}, missing {gone:?}");
    }
}
