//! The interface to what consumers read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkout::Worktree;
use crate::error::Result;
use crate::fs_ext::{if_there, replace_file};
use crate::interrupt::Interrupt;
use crate::signatures::Signer;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::layout::CURRENT;

/// Shows trees to consumers. What it shows is the only record of the current commit, and is read at every update.
pub trait Publisher: Send {
    /// The path at which consumers read.
    fn path(&self) -> &Path;

    /// The commit that the published path names, whether its tree exists or not.
    ///
    /// # Errors
    ///
    /// If the path cannot be read. The update then fails.
    fn named(&self, store: &Store) -> io::Result<Option<CommitId>>;

    /// The commit that consumers see; `None` if they see nothing, something incomplete, or no tree of this store.
    ///
    /// # Errors
    ///
    /// If the path cannot be read. The update then fails.
    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        Ok(self.named(store)?.filter(|id| store.tree_path(*id).is_dir()))
    }

    /// Whether consumers see all files of `tree` unaltered. It is called only if [`Publisher::current`] is the commit
    /// of `tree`. A publisher that shows the tree itself needs no check: the mirror has verified the tree.
    ///
    /// # Errors
    ///
    /// If the files cannot be read, or that of [`Interrupt::check`]. The update then fails.
    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        let _ = (tree, interrupt);
        Ok(true)
    }

    /// Decide about a new commit. The rules and the verifier have accepted it. It is called before
    /// [`Publisher::publish`], but not for a repaired tree of the same commit.
    ///
    /// # Errors
    ///
    /// Any. The update fails with this error, and the published tree stays.
    fn prepare(&mut self, candidate: &Candidate<'_>, interrupt: &Interrupt) -> Result<Decision> {
        let _ = (candidate, interrupt);
        Ok(Decision::Publish)
    }

    /// Show `tree` from now on.
    ///
    /// # Errors
    ///
    /// If the tree is not shown, also because of `interrupt`. Consumers should then still see the earlier tree.
    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()>;

    /// Other commits whose trees consumers may read. These trees stay, and are not written to.
    ///
    /// # Errors
    ///
    /// If they cannot be found out. Then no tree is removed.
    fn in_use(&self, store: &Store) -> io::Result<Vec<CommitId>> {
        let _ = store;
        Ok(Vec::new())
    }

    /// Remove what this publisher made for trees that were replaced longer ago than `keep`.
    ///
    /// # Errors
    ///
    /// If something cannot be removed. The mirror reports this to its observer and goes on.
    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        let _ = keep;
        Ok(())
    }
}

/// What becomes of a new commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is published now.
    Publish,
    /// Its tree stays until [`Mirror::publish_ready`](super::Mirror::publish_ready), or until another commit comes.
    Defer,
}

/// What is about to be published.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The complete tree.
    pub tree: &'a Worktree,
    /// The full name of the reference that led to the commit; `None` if the source names a commit id.
    pub reference: Option<&'a str>,
    /// Who signed the commit, according to the [`Verifier`](super::Verifier).
    pub signers: &'a [Signer],
}

impl<'a> Candidate<'a> {
    /// A tree without a reference and without signers.
    #[must_use]
    pub fn new(tree: &'a Worktree) -> Self {
        Candidate { tree, reference: None, signers: &[] }
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

    fn prepare(&mut self, candidate: &Candidate<'_>, interrupt: &Interrupt) -> Result<Decision> {
        (**self).prepare(candidate, interrupt)
    }

    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        (**self).publish(tree, interrupt)
    }

    fn in_use(&self, store: &Store) -> io::Result<Vec<CommitId>> {
        (**self).in_use(store)
    }

    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        (**self).prune(keep)
    }
}

/// Shows trees to no consumers. A file in the store records the current commit.
#[derive(Debug)]
pub(super) struct Unpublished {
    record: PathBuf,
}

impl Unpublished {
    pub(super) fn new(store: &Store) -> Self {
        Unpublished { record: store.git_dir().join(CURRENT) }
    }
}

impl Publisher for Unpublished {
    fn path(&self) -> &Path {
        &self.record
    }

    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        let text = if_there(fs_err::read_to_string(&self.record))?;
        Ok(text.and_then(|text| text.trim_end().parse().ok()))
    }

    fn publish(&mut self, tree: &Worktree, _: &Interrupt) -> io::Result<()> {
        replace_file(&self.record, &format!("{}\n", tree.commit))
    }
}
