//! What consumers read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkout::Worktree;
use crate::error::Result;
use crate::fs_ext::replace_file;
use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::Store;

/// Shows trees to consumers. What it shows is the only state that says which commit is current: it is read at every
/// update.
pub trait Publisher: Send {
    /// Where consumers read.
    fn path(&self) -> &Path;

    /// The commit that the published path names, whether its tree is there or not.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    fn named(&self, store: &Store) -> io::Result<Option<CommitId>>;

    /// The commit that consumers see; `None` where they see nothing, something incomplete, or no tree of this store.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        Ok(self.named(store)?.filter(|id| store.tree_path(*id).is_dir()))
    }

    /// Whether consumers see all files of `tree` as they are, once [`Publisher::current`] has said that it is shown.
    ///
    /// # Errors
    ///
    /// If that cannot be told, or `interrupt` is triggered.
    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        let _ = (tree, interrupt);
        Ok(true)
    }

    /// A new commit is about to be published; an error stops that.
    ///
    /// # Errors
    ///
    /// Any: the update fails with it, and what was published stays.
    fn prepare(&mut self, tree: &Worktree, interrupt: &Interrupt) -> Result<()> {
        let _ = (tree, interrupt);
        Ok(())
    }

    /// Show `tree` from now on.
    ///
    /// # Errors
    ///
    /// If it is not shown. What was shown before should still be.
    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()>;

    /// Remove what this publisher made for earlier trees, if they were replaced longer ago than `keep`.
    ///
    /// # Errors
    ///
    /// If something cannot be removed.
    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        let _ = keep;
        Ok(())
    }
}

impl<P: Publisher + ?Sized> Publisher for Box<P> {
    fn path(&self) -> &Path {
        (**self).path()
    }

    fn named(&self, store: &Store) -> io::Result<Option<CommitId>> {
        (**self).named(store)
    }

    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        (**self).current(store)
    }

    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        (**self).is_intact(tree, interrupt)
    }

    fn prepare(&mut self, tree: &Worktree, interrupt: &Interrupt) -> Result<()> {
        (**self).prepare(tree, interrupt)
    }

    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        (**self).publish(tree, interrupt)
    }

    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        (**self).prune(keep)
    }
}

/// Shows trees to the caller alone: the current one is noted in the store.
#[derive(Debug)]
pub(super) struct Unpublished {
    note: PathBuf,
}

impl Unpublished {
    pub(super) fn new(store: &Store) -> Self {
        Unpublished { note: store.git_dir().join("syncline-current") }
    }
}

impl Publisher for Unpublished {
    fn path(&self) -> &Path {
        &self.note
    }

    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        match fs_err::read_to_string(&self.note) {
            Ok(text) => Ok(text.trim_end().parse().ok()),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn publish(&mut self, tree: &Worktree, _: &Interrupt) -> io::Result<()> {
        replace_file(&self.note, &format!("{}\n", tree.commit))
    }
}
