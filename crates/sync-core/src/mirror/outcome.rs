//! What an update came to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::changes::Change;
use crate::checkout::Worktree;
use crate::spec::reference::CommitId;

/// What an update came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SyncOutcome {
    /// The same commit is published as before.
    Unchanged(CommitId),
    /// A tree was published: of a new commit, or a repaired one of the same.
    Updated(Box<Update>),
}

impl SyncOutcome {
    /// The commit that is published now.
    pub fn commit(&self) -> CommitId {
        match self {
            SyncOutcome::Unchanged(commit) => *commit,
            SyncOutcome::Updated(update) => update.commit(),
        }
    }
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
    pub fn commit(&self) -> CommitId {
        self.tree.commit
    }

    /// The commit that was published before.
    pub fn previous(&self) -> Option<CommitId> {
        self.previous
    }

    /// The tree of the commit. With a publisher, consumers read elsewhere.
    pub fn path(&self) -> &Path {
        &self.tree.path
    }

    /// The paths that differ between the previous tree and this one, sorted. There are none where no commit was
    /// published before: then all files are new. A submodule counts as one path.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How the tree was made.
    pub fn tree(&self) -> &Worktree {
        &self.tree
    }

    /// Keeps the tree from being removed while it, or a clone of it, lives.
    pub fn guard(&self) -> TreeGuard {
        self.guard.clone()
    }
}

/// Keeps a tree from being removed or reused once another was published. The current tree needs none. It does not
/// outlive the process: the next one removes the tree.
#[derive(Clone, Debug)]
#[must_use = "the tree may go when its guard does"]
pub struct TreeGuard(#[expect(dead_code, reason = "held, not read")] Arc<()>);

/// The trees that callers hold.
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
