//! Building a mirror.

use std::path::{Path, PathBuf};

use super::notice::{Notice, Observer};
use super::outcome::Guards;
use super::pool::Pool;
use super::publisher::{Publisher, Unpublished};
use super::retention::Retention;
use super::rules::{Memory, Rules};
use super::seams::{CredentialProvider, Verifier};
use super::verify::Judged;
use super::{Mirror, Repack, Settings};
use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::relay::Relay;
use crate::resources::Resources;
use crate::spec::Source;
use crate::store::Store;
use crate::transport::options::ConnectOptions;

/// Builds a [`Mirror`]. Each method names the default that applies without it.
#[must_use = "a builder does nothing until it opens a mirror"]
pub struct MirrorBuilder {
    source: Source,
    connect: ConnectOptions,
    pool: Option<Pool>,
    resources: Resources,
    publisher: Option<Box<dyn Publisher>>,
    credentials: Box<dyn CredentialProvider>,
    verifier: Option<Box<dyn Verifier>>,
    relay: Option<Box<dyn Relay>>,
    settings: Settings,
    observer: Observer,
    interrupt: Interrupt,
    progress: Progress,
}

impl MirrorBuilder {
    pub(super) fn new(source: Source) -> Self {
        MirrorBuilder {
            source,
            connect: ConnectOptions::default(),
            pool: None,
            resources: Resources::default(),
            publisher: None,
            credentials: Box::new(Credentials::default()),
            verifier: None,
            relay: None,
            settings: Settings {
                shares_files: true,
                reuses_trees: true,
                flushes: false,
                repack: Repack::default(),
                sparse_file: None,
                retention: None,
                rules: Rules::default(),
                lists_changes: true,
            },
            observer: Observer(Box::new(|_| {})),
            interrupt: Interrupt::new(),
            progress: Progress::new(),
        }
    }

    /// Set how to connect: proxies, certificates, SSH, submodule URLs. By default the mirror connects directly and
    /// trusts the built-in certificate authorities. [`MirrorBuilder::resources`] replaces the resources of these
    /// options.
    pub fn connect(mut self, options: ConnectOptions) -> Self {
        self.connect = options;
        self
    }

    /// Set how many threads and how much memory to use. By default all processors, and memory without a limit.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Share connections, memory and the right to work with the other mirrors of a pool. Its [`Pool::share`] replaces
    /// [`MirrorBuilder::resources`]. By default a mirror shares nothing.
    pub fn pool(mut self, pool: &Pool) -> Self {
        self.resources = pool.share();
        self.pool = Some(pool.clone());
        self
    }

    /// Set what shows the trees to consumers. Without a publisher, consumers get the path from [`Mirror::sync`]; the
    /// tree stays until the next one is complete and its last [`TreeGuard`](super::TreeGuard) is dropped.
    pub fn publisher(mut self, publisher: impl Publisher + 'static) -> Self {
        self.publisher = Some(Box::new(publisher));
        self
    }

    /// Set where the credentials for HTTP come from. By default there are only those in the URL.
    pub fn credentials(mut self, provider: impl CredentialProvider + 'static) -> Self {
        self.credentials = Box::new(provider);
        self
    }

    /// Set a check that each commit must pass before it is checked out. By default there is none.
    pub fn verifier(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifier = Some(Box::new(verifier));
        self
    }

    /// Set a relay, which is asked in place of the git server of the source. By default there is none.
    pub fn relay(mut self, relay: Box<dyn Relay>) -> Self {
        self.relay = Some(relay);
        self
    }

    /// Set a function that receives a [`Notice`] of each repair, and of each failure that does not fail the update. By
    /// default they are dropped.
    pub fn observer(mut self, observer: impl Fn(&Notice) + Send + 'static) -> Self {
        self.observer = Observer(Box::new(observer));
        self
    }

    /// Set the interrupt that stops the mirror, from another thread or at a deadline. By default the mirror makes its
    /// own: [`Mirror::interrupt`].
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Set where the mirror reports its progress. By default the mirror makes its own: [`Mirror::progress`].
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Set whether trees share unchanged files by hard links. The default is true. Consumers must not write to shared
    /// files.
    pub fn shares_files(mut self, shares: bool) -> Self {
        self.settings.shares_files = shares;
        self
    }

    /// Set whether a replaced tree may be updated in place to become the next one, after [`Retention::reuse_delay`].
    /// The default is true, but it has no effect without [`MirrorBuilder::retention`].
    pub fn reuses_trees(mut self, reuses: bool) -> Self {
        self.settings.reuses_trees = reuses;
        self
    }

    /// Set whether everything is written to disk before it is published. The default is false: the operating system
    /// decides when.
    pub fn flushes(mut self, flushes: bool) -> Self {
        self.settings.flushes = flushes;
        self
    }

    /// Set when to repack the store. The default is [`Repack::WhenNeeded`].
    pub fn repack(mut self, repack: Repack) -> Self {
        self.settings.repack = repack;
        self
    }

    /// Set a file of sparse patterns, which replaces those of the source. It is read at every update, so it may be
    /// edited. By default there is none.
    pub fn sparse_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.sparse_file = Some(path.into());
        self
    }

    /// Set how long replaced trees stay. By default the next maintenance removes them, and none is reused.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = Some(retention);
        self
    }

    /// Set which new commits are published, and when. By default every one is, at once.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.settings.rules = rules;
        self
    }

    /// Set whether [`Update::changes`](super::Update::changes) lists the paths that differ. The default is true. The
    /// list takes time in proportion to the number of files.
    pub fn lists_changes(mut self, lists: bool) -> Self {
        self.settings.lists_changes = lists;
        self
    }

    /// Open the directory `root` and create it if it does not exist. The mirror owns it until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`]. Opening cannot be interrupted.
    pub fn open(self, root: impl AsRef<Path>) -> Result<Mirror> {
        let store = Store::open(root.as_ref(), self.resources)?;
        Ok(self.build(store))
    }

    /// The same for a store that is already open, for example because the publisher needs it.
    #[must_use]
    pub fn build(self, store: Store) -> Mirror {
        let connect = ConnectOptions { resources: self.resources, ..self.connect };
        let mut source = self.source;
        if let Some(lfs) = &mut source.selection.lfs {
            lfs.shares_files &= self.settings.shares_files;
        }
        let pool = self.pool.unwrap_or_default();
        let (interrupt, progress) = (self.interrupt.clone(), self.progress.clone());
        let connections = pool.connections().clone();
        let fetcher = Fetcher::with_connections(source, connect, interrupt, progress, connections);
        let fetcher = match self.relay {
            Some(relay) => fetcher.with_relay(relay),
            None => fetcher,
        };
        Mirror {
            publisher: self.publisher.unwrap_or_else(|| Box::new(Unpublished::new(&store))),
            store,
            fetcher,
            credentials: self.credentials,
            verifier: self.verifier,
            settings: self.settings,
            pool,
            observer: self.observer,
            interrupt: self.interrupt,
            progress: self.progress,
            guards: Guards::default(),
            memory: Memory::default(),
            judged: Judged::default(),
            ready: None,
            is_verified: false,
            has_excess_history: false,
            stopped_at: None,
            keeps_recyclable: false,
            retired_at: None,
            tree_size: None,
            has_unused_lfs: false,
            has_counted_pointers: false,
            has_leftovers: false,
            has_changed: true,
        }
    }
}

impl std::fmt::Debug for MirrorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorBuilder").field("source", &self.source).finish_non_exhaustive()
    }
}
