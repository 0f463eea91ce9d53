//! Building a mirror.

use std::path::{Path, PathBuf};

use super::notice::{Notice, Observer};
use super::outcome::Guards;
use super::publisher::{Publisher, Unpublished};
use super::retention::Retention;
use super::seams::{CredentialProvider, Verifier};
use super::{Mirror, Repack, Settings};
use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::resources::Resources;
use crate::spec::Source;
use crate::store::Store;
use crate::transport::options::ConnectOptions;

/// Builds a [`Mirror`]. What is not set has the value that its method names.
#[must_use = "a builder does nothing until it opens a mirror"]
pub struct MirrorBuilder {
    source: Source,
    connect: ConnectOptions,
    resources: Resources,
    publisher: Option<Box<dyn Publisher>>,
    credentials: Box<dyn CredentialProvider>,
    verifier: Option<Box<dyn Verifier>>,
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
            resources: Resources::default(),
            publisher: None,
            credentials: Box::new(Credentials::default()),
            verifier: None,
            settings: Settings {
                shares_files: true,
                reuses_trees: true,
                flushes: false,
                repack: Repack::default(),
                sparse_file: None,
                retention: None,
                lists_changes: true,
            },
            observer: Observer(Box::new(|_| {})),
            interrupt: Interrupt::new(),
            progress: Progress::new(),
        }
    }

    /// How to connect: proxies, certificates, SSH, `url.<base>.insteadOf`. By default directly, with the authorities
    /// that are built in.
    pub fn connect(mut self, options: ConnectOptions) -> Self {
        self.connect = options;
        self
    }

    /// How many threads and how much memory to use. By default all processors, and memory without a limit.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Show trees to consumers. Without a publisher [`Mirror::sync`] answers with the finished tree, which stays until
    /// the next one is published and its last [`TreeGuard`](super::TreeGuard) is gone.
    pub fn publisher(mut self, publisher: impl Publisher + 'static) -> Self {
        self.publisher = Some(Box::new(publisher));
        self
    }

    /// Where the credentials for HTTP come from. By default there are only those in the URL.
    pub fn credentials(mut self, provider: impl CredentialProvider + 'static) -> Self {
        self.credentials = Box::new(provider);
        self
    }

    /// What decides whether a received commit may be checked out. By default every commit may.
    pub fn verifier(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifier = Some(Box::new(verifier));
        self
    }

    /// Who hears of what the mirror repaired, and of what it could not do. By default nobody does.
    pub fn observer(mut self, observer: impl Fn(&Notice) + Send + 'static) -> Self {
        self.observer = Observer(Box::new(observer));
        self
    }

    /// What stops the mirror's work from another thread or at a deadline.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// What shows how far the work is.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Whether unchanged files are shared between trees by hard links (the default). Consumers must not write to
    /// shared files.
    pub fn shares_files(mut self, shares: bool) -> Self {
        self.settings.shares_files = shares;
        self
    }

    /// Whether the next tree may be made from a replaced one (the default), once
    /// [`Retention::reuse_delay`] has passed. It needs [`MirrorBuilder::retention`].
    pub fn reuses_trees(mut self, reuses: bool) -> Self {
        self.settings.reuses_trees = reuses;
        self
    }

    /// Whether everything is written to disk before it is published. By default the system decides when.
    pub fn flushes(mut self, flushes: bool) -> Self {
        self.settings.flushes = flushes;
        self
    }

    /// When to repack the store.
    pub fn repack(mut self, repack: Repack) -> Self {
        self.settings.repack = repack;
        self
    }

    /// A file of sparse patterns, read at every update, in place of those of the source.
    pub fn sparse_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.sparse_file = Some(path.into());
        self
    }

    /// How long replaced trees stay. By default they are removed by the next maintenance, and none is reused.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = Some(retention);
        self
    }

    /// Whether [`Update::changes`](super::Update::changes) lists the paths that differ (the default). It takes time in
    /// proportion to the number of files.
    pub fn lists_changes(mut self, lists: bool) -> Self {
        self.settings.lists_changes = lists;
        self
    }

    /// Open the directory `root`, creating it if it does not exist, and own it until the mirror is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn open(self, root: impl AsRef<Path>) -> Result<Mirror> {
        let store = Store::open(root.as_ref(), self.resources)?;
        Ok(self.build(store))
    }

    /// The same for a store that is open already, such as one that the publisher was made for.
    pub fn build(self, store: Store) -> Mirror {
        let connect = ConnectOptions { resources: self.resources, ..self.connect };
        let fetcher = Fetcher::new(self.source, connect, self.interrupt.clone(), self.progress.clone());
        Mirror {
            publisher: self.publisher.unwrap_or_else(|| Box::new(Unpublished::new(&store))),
            store,
            fetcher,
            credentials: self.credentials,
            verifier: self.verifier,
            settings: self.settings,
            observer: self.observer,
            interrupt: self.interrupt,
            progress: self.progress,
            guards: Guards::default(),
            is_verified: false,
            has_excess_history: false,
            keeps_recyclable: false,
            retired_at: None,
            tree_size: None,
            has_leftovers: false,
            is_news: true,
        }
    }
}

impl std::fmt::Debug for MirrorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorBuilder").field("source", &self.source).finish_non_exhaustive()
    }
}
