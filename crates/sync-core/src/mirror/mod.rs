//! A directory that follows a reference: the whole procedure, with recovery and maintenance, in one call.
//!
//! ```text
//! update    log in ─▶ resolve ─▶ inspect ─▶ fetch ─▶ verify ─▶ check out ─▶ publish
//! maintain  prune replaced trees ─▶ remove unused submodules ─▶ repack ─▶ clean up
//! ```
//! A failed update does not change what is published. A damaged store is rebuilt, or a refused login renewed, and the
//! update tries again, once. If the disk is full, the packs of this update are removed.

mod builder;
mod changes;
mod maintain;
mod notice;
mod outcome;
mod pool;
mod publisher;
mod retention;
mod rules;
mod seams;
mod update;
mod verify;

use std::path::PathBuf;

use crate::checkout::{Worktree, size_of_tree};
use crate::error::{Context, Error, Recovery, Result};
use crate::fetch::Fetcher;
use crate::fetched::Tip;
use crate::interrupt::Interrupt;
use crate::permits::Permit;
use crate::progress::{Progress, Stage};
use crate::spec::reference::{CommitId, Reference};
use crate::store::Store;
use crate::worktree::tree_size::TreeSize;

pub use builder::MirrorBuilder;
pub use changes::{Change, ChangeKind};
pub use notice::{Notice, Severity};
pub use outcome::{Found, Look, SyncOutcome, TreeGuard, Update};
pub use pool::Pool;
pub use publisher::{Candidate, Decision, Publisher};
pub use retention::{Clock, Retention};
pub use rules::{Held, MinAge, Rule, Rules};
pub use seams::{CredentialProvider, Verifier};

use notice::Observer;
use outcome::Guards;
use rules::Memory;
use verify::Judged;

/// A directory that follows a reference of a repository.
///
/// A mirror owns its root: no other process and no other `Mirror` can open it. All methods block; call them from a
/// thread that may wait (in tokio by `spawn_blocking`). To stop a call, trigger [`Mirror::interrupt`] from another
/// thread, or set its deadline.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sync_core::{Mirror, Source, SyncOutcome};
///
/// let source = Source::new("https://example.com/site.git".parse()?, "main".parse()?);
/// let mut mirror = Mirror::builder(source).open("/srv/site")?;
/// if let SyncOutcome::Updated(update) = mirror.sync()? {
///     println!("{} is at {}", update.commit(), update.path().display());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Mirror {
    store: Store,
    fetcher: Fetcher,
    publisher: Box<dyn Publisher>,
    credentials: Box<dyn CredentialProvider>,
    verifier: Option<Box<dyn Verifier>>,
    settings: Settings,
    pool: Pool,
    observer: Observer,
    interrupt: Interrupt,
    progress: Progress,
    guards: Guards,
    memory: Memory,
    judged: Judged,
    /// A finished tree that the publisher defers.
    ready: Option<(Tip, Worktree)>,
    /// Whether this process has verified the published tree. An earlier process may have been killed, or may have had
    /// other options.
    is_verified: bool,
    /// Whether the store holds more history than the depth of the source.
    has_excess_history: bool,
    /// The size of the store when a repack of everything was interrupted, in bytes.
    stopped_at: Option<u64>,
    /// Whether to set the replaced tree aside for reuse. It is worth it if it shares most files with the published one.
    keeps_recyclable: bool,
    /// When the tree that is set aside was retired, by the caller's monotonic clock.
    retired_at: Option<std::time::Duration>,
    /// The size of the tree that was checked or made last, and its commit.
    tree_size: Option<(CommitId, TreeSize)>,
    /// Whether objects of Git LFS may be unused. To find out, all of them are looked at.
    has_unused_lfs: bool,
    /// Whether this process has counted the files that are pointers of Git LFS.
    has_counted_pointers: bool,
    /// Whether temporary files may be left, which the next clean-up removes.
    has_leftovers: bool,
    /// Whether this is the first maintenance, or something changed since the last one.
    has_changed: bool,
}

/// How a [`Mirror`] works.
#[derive(Clone, Debug)]
struct Settings {
    shares_files: bool,
    reuses_trees: bool,
    flushes: bool,
    repack: Repack,
    sparse_file: Option<PathBuf>,
    retention: Option<Retention>,
    rules: Rules,
    lists_changes: bool,
}

/// When to repack: to copy all needed objects into one pack, and drop the others. If all history is kept, and there are
/// many packs, only the small ones are copied into one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repack {
    /// Never, so the store grows with every commit.
    Never,
    /// When there are many packs, or many objects that are no longer needed.
    #[default]
    WhenNeeded,
    /// After every update that fetched something.
    Always,
}

impl Mirror {
    /// A builder for a mirror of `source`, with all defaults.
    pub fn builder(source: crate::spec::Source) -> MirrorBuilder {
        MirrorBuilder::new(source)
    }

    /// Update the mirror, then maintain it: [`Mirror::update`], followed by [`Mirror::maintain`] or
    /// [`Mirror::maintain_after_failure`].
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::update`].
    pub fn sync(&mut self) -> Result<SyncOutcome> {
        let outcome = self.update();
        match &outcome {
            Ok(outcome) => self.maintain(outcome.commit()),
            Err(_) => self.maintain_after_failure(),
        }
        outcome
    }

    /// Resolve the reference. If it points to a new commit, fetch the commit, check it out and publish it. If the
    /// published tree is damaged, repair it. Call [`Mirror::maintain`] or [`Mirror::maintain_after_failure`]
    /// afterwards.
    ///
    /// # Errors
    ///
    /// Any [kind](Error::kind) but [`Busy`](crate::ErrorKind::Busy); its [`recovery`](Error::recovery) says whether a
    /// retry may help. The published tree is unchanged, and the next call continues with what was already fetched.
    /// Errors of the [`CredentialProvider`], the [`Verifier`] and [`Publisher::prepare`] are passed on.
    ///
    /// After an interrupt the kind is [`Cancelled`](crate::ErrorKind::Cancelled) or
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn update(&mut self) -> Result<SyncOutcome> {
        let found = match self.look()? {
            Look::UpToDate(outcome) => return Ok(outcome),
            Look::Found(found) => found,
        };
        let permit =
            self.pool.permit().wait(&self.interrupt).step(|| "wait for other mirrors of the pool".into())?;
        self.apply(found, permit)
    }

    /// The first half of [`Mirror::update`], which takes little memory: resolve the reference, and look whether
    /// something has to be done.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::update`].
    pub fn look(&mut self) -> Result<Look> {
        if self.has_leftovers {
            self.clean_up();
        }
        let looked = self.recovering(Self::try_look);
        if !matches!(looked, Ok(Look::Found(_))) {
            self.fetcher.rest();
        }
        self.finish(looked)
    }

    /// The second half of [`Mirror::update`]: fetch, check out and publish what the look found, or repair what is
    /// published. The permit is one of the mirror's [`Pool`]; it is given back before anything is published.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::update`].
    pub fn apply(&mut self, found: Found, permit: Permit) -> Result<SyncOutcome> {
        let (mut found, mut permit) = (Some(found), Some(permit));
        let applied = self.recovering(|mirror| {
            let found = match found.take() {
                Some(found) => found,
                None => match mirror.try_look()? {
                    Look::UpToDate(outcome) => return Ok(outcome),
                    Look::Found(found) => found,
                },
            };
            mirror.try_apply(found, &mut permit)
        });
        self.fetcher.rest();
        self.finish(applied)
    }

    /// Publish the tree of a commit that the [`Publisher`] deferred. Nothing is fetched, and the publisher is not asked
    /// again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such tree; otherwise those of
    /// [`Publisher::current`] and [`Publisher::publish`].
    pub fn publish_ready(&mut self, commit: CommitId) -> Result<SyncOutcome> {
        self.try_publish_ready(commit)
    }

    /// Do something, and once more if the store had to be rebuilt or another login is there.
    fn recovering<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        match attempt(self) {
            Err(err) if self.interrupt.is_triggered() => Err(err),
            Err(err) if err.recovery() == Recovery::Rebuild => {
                self.notify(&Notice::warning("the store is damaged: fetching everything again").error(&err));
                self.store.rebuild().and_then(|()| attempt(self))
            }
            Err(err) if err.recovery() == Recovery::Login && self.credentials.renew() => {
                self.notify(&Notice::info("the login was refused: trying another").error(&err));
                attempt(self)
            }
            done => done,
        }
    }

    fn finish<T>(&mut self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.clean_up();
        }
        self.progress.enter(Stage::Idle);
        done
    }

    /// Make the next update verify every published file, and repair the tree if necessary. The first update always
    /// does.
    pub fn verify_next_time(&mut self) {
        self.is_verified = false;
    }

    /// The store under the root.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The total size of the files of a commit's tree, in bytes; 0 if the root has no tree of this commit. Files of
    /// submodules do not count. The size of each file is modulo 4 GiB, as in a git index.
    pub fn tree_size(&mut self, commit: CommitId) -> u64 {
        self.size_of_tree(commit).files
    }

    fn size_of_tree(&mut self, commit: CommitId) -> TreeSize {
        match self.tree_size {
            Some((known, size)) if known == commit => size,
            _ => self.tree_size.insert((commit, size_of_tree(&self.store, commit))).1,
        }
    }

    /// The interrupt of this mirror.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The progress of this mirror.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Follow another reference from the next update on.
    pub fn set_reference(&mut self, reference: Reference) {
        self.fetcher.set_reference(reference);
    }

    /// The commit that is published now; `None` if there is none, or if its tree is gone.
    ///
    /// # Errors
    ///
    /// The error of [`Publisher::current`], usually of kind [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn published(&self) -> Result<Option<CommitId>> {
        self.publisher.current(&self.store).map_err(|err| self.unreadable(&err))
    }

    fn notify(&self, notice: &Notice) {
        self.observer.notify(notice);
    }

    fn unreadable(&self, err: &std::io::Error) -> Error {
        Error::io(format!("read what is published at {}", self.publisher.path().display()), err)
    }

    fn clean_up(&mut self) {
        let cleaned = self.store.clear_leftovers();
        self.has_leftovers = cleaned.is_err();
        if let Err(err) = cleaned {
            self.notify(&Notice::debug("cannot remove all temporary files").error(&err));
        }
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
