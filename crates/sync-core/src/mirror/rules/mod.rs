//! Rules for moving: which new commits are published, and when.

mod age;
mod moves;
mod sightings;
mod watched;

use std::time::{Duration, SystemTime};

use super::Mirror;
use super::retention::Clock;
use crate::error::Result;
use crate::fetched::{Tip, tip};
use crate::objects::ancestry::Ancestry;
use crate::spec::reference::{AdvertisedRef, CommitId, Reference};
use crate::spec::watch_paths::WatchPaths;

/// Which new commits a [`Mirror`] publishes, and when. The default publishes every commit at once.
///
/// A rule that refuses a commit fails the update; one that only delays it does not. In both cases the published tree
/// stays, and [`Mirror::held`] names the commit.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rules {
    /// Publish only commits that descend from the published one, so that nobody can put an earlier state back. The
    /// first commit is not checked. The default is false.
    ///
    /// If the source chooses among several references, a name that comes later in the order of the choice need not
    /// descend, and one that comes earlier is refused.
    ///
    /// The server must support filters, or the source must have the [whole history](crate::Depth::FULL).
    pub forward_only: bool,
    /// While this commit is published, [`Rules::forward_only`] does not apply: it allows one move. The default is none.
    pub forward_from: Option<CommitId>,
    /// The full name of a branch that the commit must be on: the reference must name the tip of this branch or a
    /// commit before it. The server must support filters. The default is none.
    pub on_branch: Option<String>,
    /// How old a commit must be. The default is no limit.
    pub min_age: Option<MinAge>,
    /// Publish a commit only if one of these paths differs from the published commit. The first commit is always
    /// published. The default is to publish every commit.
    pub watch_paths: Option<WatchPaths>,
}

/// How long a commit must have been at the reference before it is published.
///
/// The time counts from when a mirror of this root first saw the commit there: the dates in a commit are the word of
/// its author. The newest commit that is old enough is published, unless it was withdrawn meanwhile: the reference then
/// names a commit that does not descend from it. The first commit is published at once.
#[derive(Clone, Copy, Debug)]
pub struct MinAge {
    /// How long.
    pub age: Duration,
    /// The caller's clocks.
    pub clock: Clock,
}

/// A rule of [`Rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// [`Rules::min_age`]
    Age,
    /// [`Rules::forward_only`]
    Forward,
    /// [`Rules::on_branch`]
    Branch,
    /// [`Rules::watch_paths`]
    Paths,
}

impl Rule {
    /// A short name, for logs and metrics: `age`, `forward`, `branch` or `paths`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::Age => "age",
            Rule::Forward => "forward",
            Rule::Branch => "branch",
            Rule::Paths => "paths",
        }
    }
}

/// A commit that the reference names and a rule holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The commit.
    pub commit: CommitId,
    /// The full name of the reference, if the source names one.
    pub reference: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// Since when the commit is at the reference, for [`Rule::Age`].
    pub since: Option<SystemTime>,
}

/// How many answers are remembered.
const MAX_ANSWERS: usize = 64;

/// What a mirror remembers, so that a commit that is held back costs one request for each update.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: Option<Held>,
    /// The tip that was published last by this process, or was found published.
    pub(super) shown: Option<Tip>,
    /// Whether the first commit descends from the second. This never changes.
    ancestry: Answers<Ancestry>,
    /// Whether the remote could not tell if the commit descends from the published one, as it must.
    lacks_descent: bool,
    /// Whether a watched path differs between two commits.
    watched: Answers<bool>,
}

/// Answers to questions about two commits, the newest first.
#[derive(Debug)]
struct Answers<T>(Vec<((CommitId, CommitId), T)>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Answers(Vec::new())
    }
}

impl<T: Copy> Answers<T> {
    fn get(&self, question: (CommitId, CommitId)) -> Option<T> {
        self.0.iter().find(|(known, _)| *known == question).map(|(_, answer)| *answer)
    }

    fn add(&mut self, question: (CommitId, CommitId), answer: T) {
        self.0.truncate(MAX_ANSWERS - 1);
        self.0.insert(0, (question, answer));
    }
}

impl Mirror {
    /// The commit that a [rule](Rules) holds back, according to the last update.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        self.memory.held.as_ref()
    }

    /// What the last successful update published or found published: the commit, and the reference that was chosen.
    #[must_use]
    pub fn published_tip(&self) -> Option<&Tip> {
        self.memory.shown.as_ref()
    }

    /// Apply the rules that need no tree. The answer is the commit to publish now: the one that the reference names,
    /// an earlier one, or the published one.
    pub(super) fn apply_rules(
        &mut self,
        newest: Tip,
        refs: &[AdvertisedRef],
        current: Option<CommitId>,
    ) -> Result<Tip> {
        (self.memory.held, self.memory.lacks_descent) = (None, false);
        let chosen = self.old_enough(newest, refs, current)?;
        let Some(current) = current.filter(|current| *current != chosen.commit) else { return Ok(chosen) };
        self.check_branch(&chosen, refs)?;
        self.check_forward(&chosen, refs, current)?;
        if self.memory.watched.get((chosen.commit, current)) == Some(false) {
            self.hold(&chosen, Rule::Paths, None);
            return Ok(self.shown_tip(current));
        }
        Ok(chosen)
    }

    /// Whether a rule is about what only the fetched commit shows.
    pub(super) fn has_rules_for_fetched(&self) -> bool {
        self.settings.rules.watch_paths.is_some() || self.memory.lacks_descent
    }

    /// Whether it is known which reference names the commit. It is not if an earlier process published the commit and a
    /// rule keeps it published: it was judged then.
    pub(super) fn is_named(&self, tip: &Tip) -> bool {
        tip.reference.is_some() || matches!(self.fetcher.source().reference, Reference::Commit(_))
    }

    /// The published commit as a tip: how the reference named it, if this process published it.
    fn shown_tip(&self, current: CommitId) -> Tip {
        let known = self.memory.shown.clone().filter(|shown| shown.commit == current);
        known.unwrap_or_else(|| tip(current.0))
    }

    fn hold(&mut self, tip: &Tip, rule: Rule, since: Option<SystemTime>) {
        let reference = tip.reference.clone();
        self.memory.held = Some(Held { commit: tip.commit, reference, rule, since });
    }
}
