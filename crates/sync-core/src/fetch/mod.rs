//! Resolve a reference of a remote repository, and fetch its commit into the store.
//!
//! Only this module talks to remote repositories. It writes only to `.git`, with one exception: during a first sync,
//! [`index_pack`](crate::index_pack) also writes files to the directory in which the checkout builds the tree.

mod branches;
mod fetch_pack;
mod fetch_submodules;
mod lfs;
mod local;
mod network;
mod peek;
pub(crate) mod protocol;
mod relayed;
mod remote;
mod request;
pub(crate) mod submodules;
#[cfg(test)]
#[cfg(feature = "http")]
mod tests;

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use crate::credentials::Credentials;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Fetched, LfsRemote, Received, StreamedFiles, Tip, tip};
use crate::fs_ext::remove_dir_if_there;
use crate::interrupt::Interrupt;
use crate::objects::ancestry::{Ancestry, MAX_COMMITS, ancestry};
use crate::progress::Progress;
use crate::relay::Relay;
use crate::spec::Source;
use crate::spec::ref_query::{NoChoice, RefQuery};
use crate::spec::reference::{AdvertisedRef, CommitId, Reference};
use crate::spec::sparse::SparsePatterns;
use crate::spec::submodules::{MAX_DEPTH, SubmoduleMode};
use crate::spec::version_tags::without_longer;
use crate::store::Store;
use crate::transport::connections::Connections;
use crate::transport::options::ConnectOptions;
use crate::url::Kind;

use lfs::LfsFetcher;
use local::Local;
use network::Network;
use relayed::Relayed;
use remote::{Commits, Remote, WantedCommits};
use submodules::Location;

/// Fetches from one remote repository. The connection is kept between requests if the server allows it.
pub struct Fetcher {
    source: Source,
    options: Arc<ConnectOptions>,
    interrupt: Interrupt,
    progress: Progress,
    remote: Box<dyn Remote>,
    /// Shared with the fetchers of submodules.
    connections: Connections,
    /// Where the reference pointed when it was last resolved.
    seen: Option<CommitId>,
    /// The commit below the object that was fetched by its id, which may be a tag.
    peeled: Option<CommitId>,
}

impl Fetcher {
    /// A fetcher for `source`. It connects only when it is first used. `interrupt` stops all its work; `progress`
    /// reports it.
    #[must_use]
    pub fn new(source: Source, options: ConnectOptions, interrupt: Interrupt, progress: Progress) -> Self {
        Self::with_connections(source, options, interrupt, progress, Connections::default())
    }

    /// The same, with connections that it shares with others.
    pub(crate) fn with_connections(
        source: Source,
        options: impl Into<Arc<ConnectOptions>>,
        interrupt: Interrupt,
        progress: Progress,
        connections: Connections,
    ) -> Self {
        let options = options.into();
        let remote: Box<dyn Remote> = match &source.url.0 {
            Kind::Local(path) => Box::new(Local::new(path, interrupt.clone(), progress.clone())),
            Kind::Http(_) | Kind::Git { .. } | Kind::Ssh(_) | Kind::Relay(_) => {
                let (options, connections) = (options.clone(), connections.clone());
                Box::new(Network::new(options, connections, interrupt.clone(), progress.clone()))
            }
        };
        Fetcher { source, options, interrupt, progress, remote, connections, seen: None, peeled: None }
    }

    /// Get commits from a relay. The remote is asked only when the relay says so.
    #[must_use]
    pub fn with_relay(mut self, relay: Box<dyn Relay>) -> Self {
        let (interrupt, progress) = (self.interrupt.clone(), self.progress.clone());
        self.remote = Box::new(Relayed::new(relay, self.remote, interrupt, progress));
        self
    }

    /// Close a connection that only a fetch that follows at once would use: over SSH and git://, a program runs for it on
    /// the server. After [`Fetcher::fetch`], and if the reference has not moved, this happens by itself.
    pub fn rest(&mut self) {
        self.remote.rest();
    }

    /// Use these credentials from now on, for HTTP only.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        if credentials != self.options.credentials {
            let options = ConnectOptions { credentials, ..ConnectOptions::clone(&self.options) };
            self.options = options.into();
            self.remote.set_options(self.options.clone());
        }
    }

    /// Check out only these paths from now on; all paths if `None`.
    pub fn set_sparse(&mut self, sparse: Option<SparsePatterns>) {
        self.source.selection.sparse = sparse;
    }

    /// Follow another reference from now on.
    pub fn set_reference(&mut self, reference: Reference) {
        self.source.reference = reference;
        self.peeled = None;
    }

    /// Whether the server does not support the filter of the source, and the last fetch was therefore complete.
    #[must_use]
    pub fn lacks_filter(&self) -> bool {
        self.remote.lacks_filter()
    }

    /// The source with all changes so far.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Ask the remote where the reference points. For a commit id nothing is asked.
    ///
    /// Over a kept connection this is one request. If the server has closed that connection, it is opened again, once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if the repository or the reference does not exist; [`ErrorKind::Network`],
    /// [`ErrorKind::Server`], [`ErrorKind::Login`] or [`ErrorKind::Denied`] if the server does not answer as it should;
    /// [`ErrorKind::Limit`] if it lists too many references; [`ErrorKind::Configuration`] if an option is wrong or
    /// missing; [`ErrorKind::Io`] if a local repository cannot be read. After an interrupt [`ErrorKind::Cancelled`] or
    /// [`ErrorKind::TimedOut`].
    pub fn resolve(&mut self) -> Result<Tip> {
        self.resolve_among(None).map(|(tip, _)| tip)
    }

    /// The same, with all references that were listed. `branch` is the full name of another one to list.
    pub(crate) fn resolve_among(&mut self, branch: Option<&str>) -> Result<(Tip, Vec<AdvertisedRef>)> {
        let (tip, refs) = self.try_resolve(branch).map_err(|err| self.hide_secrets(err))?;
        if self.seen.replace(tip.commit) == Some(tip.commit) {
            self.rest();
        }
        Ok((tip, refs))
    }

    fn try_resolve(&mut self, branch: Option<&str>) -> Result<(Tip, Vec<AdvertisedRef>)> {
        let query = RefQuery::of(&self.source.reference);
        let mut refs = self.list(&query, branch)?;
        if let Reference::Commit(commit) = self.source.reference {
            return Ok((Tip { commit: self.peeled.unwrap_or(commit), ..tip(commit.0) }, refs));
        }
        let mut chosen = query.choose(&refs).map(|choice| Tip::of(&choice));
        if let (Err(NoChoice { kind: ErrorKind::NotFound, .. }), Some(wider)) = (&chosen, query.widened()) {
            refs = self.list(&wider, branch)?; // for the error, mostly
            chosen = wider.choose(&refs).map(|choice| Tip::of(&choice));
        }
        let mut tip = chosen.map_err(|fault| not_chosen(&self.source, fault))?;
        if let (Some("HEAD"), Some(name)) = (tip.reference(), self.remote.name_of_head()) {
            tip.reference = Some(name.to_owned());
        }
        Ok((tip, refs))
    }

    fn list(&mut self, query: &RefQuery, branch: Option<&str>) -> Result<Vec<AdvertisedRef>> {
        let branch = branch.map(ToOwned::to_owned);
        // The branch may be one of those to choose from, and must not be listed twice.
        let prefixes = without_longer(query.prefixes().iter().cloned().chain(branch).collect());
        if prefixes.is_empty() { Ok(Vec::new()) } else { self.remote.list(&self.source, &prefixes) }
    }

    /// The objects of a tip, without its tree; `None` if the remote cannot send them alone, or if it is not known yet
    /// which commit is below a tag. Nothing of it stays in the store.
    pub(crate) fn peek(&mut self, tip: &Tip, store: &mut Store) -> Result<Option<Received>> {
        let (want, commit) = (tip.want, tip.commit.0);
        let wanted = WantedCommits { want, commit, until: None, depth: NonZeroU32::MIN };
        let Some(commits) = self.commits(&wanted, store)? else { return Ok(None) };
        Received::read(&commits.objects, tip).step(|| format!("read {commit} of {}", self.source.url))
    }

    /// Whether `new` descends from `old`; `None` if the remote cannot send commits without their trees.
    pub(crate) fn ancestry(
        &mut self,
        CommitId(new): CommitId,
        CommitId(old): CommitId,
        store: &mut Store,
    ) -> Result<Option<Ancestry>> {
        // One more than are searched, so that the search notices that there are more.
        let depth = NonZeroU32::MIN.saturating_add(MAX_COMMITS);
        let wanted = WantedCommits { want: new, commit: new, until: Some(old), depth };
        let Some(commits) = self.commits(&wanted, store)? else { return Ok(None) };
        let found = ancestry(&commits.objects, new, old, &self.interrupt);
        found.map(Some).step(|| format!("compare the history of {new} with {old} in {}", self.source.url))
    }

    fn commits(&mut self, wanted: &WantedCommits, store: &mut Store) -> Result<Option<Commits>> {
        self.remote.commits(&self.source, wanted, store).map_err(|err| self.hide_secrets(err))
    }

    fn hide_secrets(&self, err: Error) -> Error {
        let mut secrets = self.options.secrets();
        secrets.extend(self.source.url.secrets());
        err.hiding(&secrets)
    }

    /// Fetch the commit, its tree and its submodules into the store.
    ///
    /// Check the result out with [`checkout`](crate::stages::checkout): some of its files may already be in a temporary
    /// directory, which stays until then, or until the store is opened again.
    ///
    /// # Errors
    ///
    /// Those of [`Fetcher::resolve`]; also [`ErrorKind::Limit`] or [`ErrorKind::Rejected`] if the commit or one of its
    /// submodules is not acceptable; [`ErrorKind::DamagedStore`], [`ErrorKind::StorageFull`] or [`ErrorKind::Io`] if
    /// the store cannot be read or written. After an interrupt [`ErrorKind::Cancelled`] or [`ErrorKind::TimedOut`].
    ///
    /// After any of them the store has all objects that it had before, and may have more, which nothing refers to. In
    /// two cases the store is emptied first: the remote has another object format than the store, or the store is a
    /// partial clone and the source no longer has a filter. Trees always stay.
    pub fn fetch(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        let fetched = self.try_fetch(tip, store).map_err(|err| self.hide_secrets(err));
        self.rest();
        fetched
    }

    fn try_fetch(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        let early_dir = store.staging_paths(tip.commit).dir;
        // If the tree exists already, no second one is started.
        let is_wanted = !tip.is_unverified && !store.tree_path(tip.commit).exists();
        let wanted = is_wanted.then_some(early_dir.as_path());
        let received = self.fetch_all(tip, store, wanted);
        if !received.as_ref().is_ok_and(|fetched| fetched.commit == tip.commit) {
            let _ = remove_dir_if_there(&early_dir); // no checkout will use it
        }
        received
    }

    fn fetch_commit(
        &mut self,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<(CommitId, StreamedFiles)> {
        let source = self.source_of(tip);
        let arrived = self.remote.fetch(&source, tip, store, early_dir)?;
        let step = || format!("fetch {} from {}", source.reference, source.url);
        let repo = store.repository()?;
        let commit =
            repo.find_object(arrived.object).and_then(|object| object.peel_to_commit()).map_err(|err| {
                // A missing object is a fault of the server: it is not in the pack. A damaged one is a fault of the
                // store.
                if err.is_corrupted() { Error::reading(step(), &err) } else { Error::gix(step(), &err) }
            })?;
        let commit = commit.id;
        if commit != tip.commit.0 && !matches!(source.reference, Reference::Commit(_)) {
            let text = format!("the server announced {} but sent {commit}", tip.commit);
            return Err(Error::new(ErrorKind::Server, step(), text));
        }
        store.record(&repo, commit, tip.want)?;
        if arrived.has_others {
            store.repack(source.depth, &self.progress, &self.interrupt)?;
        }
        if store.is_partial() {
            self.remote.fetch_missing_blobs(&source, commit, store)?;
        }
        self.peeled = Some(CommitId(commit));
        Ok((CommitId(commit), arrived.files))
    }

    /// The source with the name that was chosen in place of the choice, for errors.
    fn source_of(&self, tip: &Tip) -> Source {
        let mut source = self.source.clone();
        if let (Reference::Highest(_) | Reference::Last(_), Some(name)) = (&source.reference, tip.reference())
        {
            source.reference = Reference::Name(name.to_owned());
        }
        source
    }

    fn fetch_all(&mut self, tip: &Tip, store: &mut Store, early_dir: Option<&Path>) -> Result<Fetched> {
        let (commit, early) = self.fetch_commit(tip, store, early_dir)?;
        let levels = match self.source.selection.submodules {
            SubmoduleMode::Off => 0,
            SubmoduleMode::Shallow => 1,
            SubmoduleMode::Recursive => MAX_DEPTH + 1,
        };
        let Source { url, written, .. } = &self.source;
        let location = Location { url: url.clone(), written: written.clone() };
        let submodules = self.fetch_submodules(commit.0, &location, store, levels, &mut 0)?;
        let lfs = self.lfs(tip.reference());
        Ok(Fetched { commit, selection: self.source.selection.clone(), submodules, lfs, early })
    }

    /// Where the contents of Git LFS come from, if they are wanted.
    fn lfs(&self, reference: Option<&str>) -> Option<Box<dyn LfsRemote>> {
        let selection = self.source.selection.lfs.clone()?;
        Some(Box::new(LfsFetcher {
            remote: self.source.url.clone(),
            selection,
            reference: reference.map(ToOwned::to_owned),
            options: self.options.clone(),
            connections: self.connections.clone(),
            interrupt: self.interrupt.clone(),
            progress: self.progress.clone(),
        }))
    }
}

fn not_chosen(source: &Source, fault: NoChoice) -> Error {
    let Reference::Name(name) = &source.reference else {
        let what = if matches!(source.reference, Reference::Highest(_)) { "tag" } else { "reference" };
        return Error::new(fault.kind, format!("choose a {what} of {}", source.url), fault.cause);
    };
    let is_short_id = (7..64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hint = if is_short_id { "; a commit must be given by its full id" } else { "" };
    let step = format!("fetch {name} from {}", source.url);
    Error::new(fault.kind, step, format!("couldn't find remote ref {name}{hint}"))
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("source", &self.source).finish_non_exhaustive()
    }
}
