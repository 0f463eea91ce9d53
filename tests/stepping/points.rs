//! Places in a run: the n-th of calls that are alike, counted over all threads.

use std::collections::{HashMap, HashSet};

use super::steps::Call;
use crate::support::tries_every_step;

/// A place in a run.
#[derive(Clone, Debug)]
pub struct Point {
    /// Without what differs between runs.
    pub call: Call,
    number: usize,
}

impl Point {
    /// The places of all calls that are of interest.
    pub fn all(calls: &[Call], is_of_interest: impl Fn(&Call) -> bool) -> Vec<Point> {
        let mut numbers = HashMap::new();
        let calls = calls.iter().filter(|call| is_of_interest(call)).map(Call::masked);
        let point = |call: Call| {
            let number = numbers.entry((call.name, call.object.clone())).or_insert(0);
            *number += 1;
            Point { number: *number, call }
        };
        calls.map(point).collect()
    }

    /// Of these those that are unlike all before them and some more, about `most`, evenly spread; or every single one.
    pub fn of(calls: &[Call], most: usize, is_of_interest: impl Fn(&Call) -> bool) -> Vec<Point> {
        let all = Point::all(calls, is_of_interest);
        if tries_every_step() {
            return all;
        }
        let mut seen = HashSet::new();
        let mut is_new = |call: &Call| seen.insert((call.name, kind(&call.object)));
        let points = all.into_iter().enumerate().filter(|(at, point)| is_new(&point.call) || at % 25 == 24);
        let points: Vec<Point> = points.map(|(_, point)| point).collect();
        let step = points.len().div_ceil(most).max(1);
        points.into_iter().step_by(step).collect()
    }

    /// Tells of every call of a run whether it is the one.
    pub fn finder(&self) -> impl FnMut(&Call) -> bool {
        let mut passed = 0;
        move |call| {
            let is_alike = call.masked() == self.call;
            passed += usize::from(is_alike);
            is_alike && passed == self.number
        }
    }
}

/// What is alike about paths: the files of a tree, or of a directory of loose objects.
fn kind(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [".worktrees", tree, ref below @ ..] => format!("{tree}/{}", !below.is_empty()),
        [".git", "objects", fan, ref below @ ..] if fan.len() == 2 => format!("loose/{}", !below.is_empty()),
        _ => path.to_owned(),
    }
}
