//! The outcome of an update.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::changes::Change;
use crate::checkout::Worktree;
use crate::fetched::Tip;
use crate::spec::reference::CommitId;

/// The outcome of an update.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SyncOutcome {
    /// This commit was published before, and still is.
    Unchanged(CommitId),
    /// A tree was published: the tree of a new commit, or a repaired tree of the same commit.
    Updated(Box<Update>),
    /// The tree of a new commit is finished, and the publisher defers it. [`Mirror::publish_ready`] publishes it.
    ///
    /// [`Mirror::publish_ready`]: crate::Mirror::publish_ready
    Ready {
        /// The new commit.
        commit: CommitId,
        /// The commit that is published, if any.
        published: Option<CommitId>,
    },
}

impl SyncOutcome {
    /// The commit that is published now. If nothing is, because the publisher defers the first commit: that one.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        match self {
            SyncOutcome::Unchanged(commit) => *commit,
            SyncOutcome::Updated(update) => update.commit(),
            SyncOutcome::Ready { commit, published } => published.unwrap_or(*commit),
        }
    }
}

/// What [`Mirror::look`](crate::Mirror::look) found.
#[derive(Clone, Debug)]
pub enum Look {
    /// Nothing has to be done; the outcome of the update.
    UpToDate(SyncOutcome),
    /// [`Mirror::apply`](crate::Mirror::apply) has work to do.
    Found(Found),
}

/// Something to fetch, to verify or to publish.
#[derive(Clone, Debug)]
pub struct Found {
    pub(super) tip: Tip,
    /// What is published.
    pub(super) current: Option<CommitId>,
}

/// A tree that was published.
#[derive(Clone, Debug)]
pub struct Update {
    pub(super) tree: Worktree,
    pub(super) previous: Option<CommitId>,
    pub(super) changes: Vec<Change>,
    pub(super) guard: TreeGuard,
}

impl Update {
    /// The commit that is published now.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.tree.commit
    }

    /// The commit that was published before, if any.
    #[must_use]
    pub fn previous(&self) -> Option<CommitId> {
        self.previous
    }

    /// The path of the tree under the root. With a publisher, consumers read at its path instead.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tree.path
    }

    /// The paths that differ between the previous tree and this one, sorted. A submodule counts as one path.
    ///
    /// The list is empty if there is no previous commit, although all files are new then; if the index of either tree
    /// cannot be read; and without [`MirrorBuilder::lists_changes`](crate::MirrorBuilder::lists_changes).
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The tree, with figures on how it was made.
    #[must_use]
    pub fn tree(&self) -> &Worktree {
        &self.tree
    }

    /// A guard that keeps the tree from being removed until it and all its clones are dropped.
    pub fn guard(&self) -> TreeGuard {
        self.guard.clone()
    }
}

/// Keeps a tree from being removed or reused after another one is published. The current tree needs no guard. A guard
/// ends with the process: the next process may remove the tree.
#[derive(Clone, Debug)]
#[must_use = "the tree may be removed when its guard is dropped"]
pub struct TreeGuard(#[expect(dead_code, reason = "held, not read")] Arc<()>);

/// The trees for which callers hold guards.
#[derive(Debug, Default)]
pub(super) struct Guards(BTreeMap<CommitId, Weak<()>>);

impl Guards {
    pub(super) fn guard(&mut self, commit: CommitId) -> TreeGuard {
        let known = self.0.get(&commit).and_then(Weak::upgrade);
        let guard = known.unwrap_or_default();
        self.0.insert(commit, Arc::downgrade(&guard));
        TreeGuard(guard)
    }

    pub(super) fn held(&mut self) -> Vec<CommitId> {
        self.0.retain(|_, guard| guard.strong_count() > 0);
        self.0.keys().copied().collect()
    }
}
