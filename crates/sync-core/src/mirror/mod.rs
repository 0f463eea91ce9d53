//! One directory that follows a reference: the whole safe procedure in one call.
//!
//! ```text
//! update    log in ─▶ resolve ─▶ inspect ─▶ fetch ─▶ verify ─▶ check out ─▶ publish
//! maintain  prune replaced trees ─▶ remove unused submodules ─▶ repack ─▶ clean up
//! ```
//! A failed update leaves what is published as it was. A damaged store is rebuilt, and a refused login renewed, once
//! within the same update. After a full disk, the packs that came are removed again.

mod builder;
mod changes;
mod maintain;
mod notice;
mod outcome;
mod publisher;
mod retention;
mod seams;
mod update;

use std::path::PathBuf;

use crate::checkout::tree_size;
use crate::error::{Error, Recovery, Result};
use crate::fetch::Fetcher;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Stage};
use crate::spec::reference::{CommitId, Reference};
use crate::store::Store;

pub use builder::MirrorBuilder;
pub use changes::{Change, ChangeKind};
pub use notice::{Notice, Severity};
pub use outcome::{SyncOutcome, TreeGuard, Update};
pub use publisher::Publisher;
pub use retention::{Clock, Retention};
pub use seams::{CredentialProvider, Received, Verifier};

use notice::Observer;
use outcome::Guards;

/// A directory that follows a reference of a repository.
///
/// It owns its root: no other process and no other `Mirror` can open it. All methods block; they are made to be called
/// from a thread that may wait (tokio's `spawn_blocking`). To stop one from another thread, trigger the
/// [`Interrupt`] of the builder, or set its deadline.
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
    observer: Observer,
    interrupt: Interrupt,
    progress: Progress,
    guards: Guards,
    /// Whether this process has seen that what is published is intact; an earlier one may have been killed, or had
    /// other options.
    is_verified: bool,
    /// Whether the store holds more history than was asked for.
    has_excess_history: bool,
    /// Whether a replaced tree is worth keeping to make the next one from it: it shares its files with the published
    /// one.
    keeps_recyclable: bool,
    /// When, by the caller's clock, the tree that is kept for that was replaced.
    retired_at: Option<std::time::Duration>,
    /// Bytes of the files of a commit's tree: the one that is published.
    tree_size: Option<(CommitId, u64)>,
    /// Whether something incomplete could not be removed so far.
    has_leftovers: bool,
    /// Whether this is the first maintenance, or something changed since the last one.
    is_news: bool,
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
    lists_changes: bool,
}

/// When the packs of a store are copied into one, and what no tree needs is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repack {
    /// Never: the store grows.
    Never,
    /// When there are many packs, or much in them that nothing needs.
    #[default]
    WhenNeeded,
    /// After every update.
    Always,
}

impl Mirror {
    /// A builder of a mirror of `source`, with the usual settings: no publisher, no credentials but those in the URL,
    /// the authorities that are built in.
    pub fn builder(source: crate::spec::Source) -> MirrorBuilder {
        MirrorBuilder::new(source)
    }

    /// Bring the mirror up to date, then do the maintenance: [`Mirror::update`] and [`Mirror::maintain`], or
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

    /// Resolve the reference, and where it points to a new commit, fetch it, check it out and publish it.
    /// [`Mirror::maintain`] is to follow a success.
    ///
    /// # Errors
    ///
    /// The [kind](Error::kind) tells them apart. After any of them the tree that was published still is, and the next
    /// call continues with what is there. [`ErrorKind::Cancelled`](crate::ErrorKind) and
    /// [`ErrorKind::TimedOut`](crate::ErrorKind) say that the interrupt ended it.
    pub fn update(&mut self) -> Result<SyncOutcome> {
        if self.has_leftovers {
            self.clean_up();
        }
        let outcome = match self.try_update() {
            Err(err) if self.interrupt.is_triggered() => Err(err),
            Err(err) if err.recovery() == Recovery::Rebuild => {
                self.hear(&Notice::warning("the store is damaged: fetching everything again").error(&err));
                self.store.rebuild().and_then(|()| self.try_update())
            }
            Err(err) if err.recovery() == Recovery::Login && self.credentials.renew() => {
                self.hear(&Notice::info("the login was refused: trying another").error(&err));
                self.try_update()
            }
            outcome => outcome,
        };
        if outcome.is_err() {
            self.clean_up();
        }
        self.progress.enter(Stage::Idle);
        outcome
    }

    /// Compare what is published with what was written at the next update, and repair it. That is always done at the
    /// first one.
    pub fn verify_next_time(&mut self) {
        self.is_verified = false;
    }

    /// The store under the root. What can be done by a shared reference does no harm to the mirror.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Bytes of the files of a published commit's tree, without its submodules; 0 if it has none. Of a file of 4 GiB or
    /// more only the size modulo 4 GiB counts, as in Git's index.
    pub fn tree_size(&mut self, commit: CommitId) -> u64 {
        match self.tree_size {
            Some((known, size)) if known == commit => size,
            _ => self.tree_size.insert((commit, tree_size(&self.store, commit))).1,
        }
    }

    /// What stops this mirror.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// What shows how far this mirror's work is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Follow another reference from the next update on.
    pub fn set_reference(&mut self, reference: Reference) {
        self.fetcher.set_reference(reference);
    }

    /// The commit that is published now.
    ///
    /// # Errors
    ///
    /// Those of the publisher.
    pub fn published(&self) -> Result<Option<CommitId>> {
        self.publisher.current(&self.store).map_err(|err| self.unreadable(&err))
    }

    fn hear(&self, notice: &Notice) {
        self.observer.hear(notice);
    }

    fn unreadable(&self, err: &std::io::Error) -> Error {
        Error::io(format!("read what is published at {}", self.publisher.path().display()), err)
    }

    fn clean_up(&mut self) {
        let cleaned = self.store.clear_leftovers();
        self.has_leftovers = cleaned.is_err();
        if let Err(err) = cleaned {
            self.hear(&Notice::debug("temporary files stay").error(&err));
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
