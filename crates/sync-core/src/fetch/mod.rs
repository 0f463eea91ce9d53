//! From a remote repository to objects in the store: where does the reference point, and bring it here.
//!
//! The only user of the network. Nothing here writes outside `.git`, but for the files of a first sync, which
//! [`unpack`](crate::unpack) writes where the checkout goes on.

mod branches;
mod fetch_commit;
mod fetch_submodules;
mod local;
pub(crate) mod protocol;
mod request;
pub(crate) mod submodules;

use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use gix::protocol::handshake::Ref;
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::{Handshake, LsRefsCommand};

use crate::credentials::Credentials;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Fetched, Tip};
use crate::fs_ext::remove_dir_if_there;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Stage};
use crate::secret::Auth;
use crate::spec::Source;
use crate::spec::reference::{CommitId, Reference};
use crate::spec::sparse::SparsePatterns;
use crate::spec::submodules::{MAX_DEPTH, SubmoduleMode};
use crate::store::Store;
use crate::transport::options::ConnectOptions;
use crate::transport::read_budget::ReadBudget;
use crate::transport::{git, http, ssh};
use crate::url::{Kind, RemoteUrl};

use protocol::{agent, http_status, protocol_error, without_deepen_relative};
use submodules::Location;

/// A remote repository, its connection kept between requests where the server allows it.
pub struct Fetcher {
    source: Source,
    options: ConnectOptions,
    interrupt: Interrupt,
    progress: Progress,
    connection: Option<Connection>,
    /// What outlives a connection that the server ends after each exchange.
    sessions: ssh::Sessions,
    /// What a commit id that turned out to be a tag's leads to.
    peeled: Option<CommitId>,
    lacks_filter: bool,
}

struct Connection {
    transport: Box<dyn Transport + Send>,
    handshake: Handshake,
    /// What it is a part of, over SSH.
    session: Option<ssh::Session>,
    budget: ReadBudget,
}

impl Fetcher {
    /// Nothing is contacted before it is asked for. `interrupt` stops all work of this fetcher; `progress`
    /// shows it.
    pub fn new(source: Source, options: ConnectOptions, interrupt: Interrupt, progress: Progress) -> Self {
        Fetcher {
            source,
            options,
            interrupt,
            progress,
            connection: None,
            sessions: ssh::Sessions::default(),
            peeled: None,
            lacks_filter: false,
        }
    }

    /// Log in over HTTP by these from now on. Other transports pass over them.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        if credentials == self.options.credentials {
            return;
        }
        self.options.credentials = credentials;
        self.connection = None;
    }

    /// Check out these paths from now on.
    pub fn set_sparse(&mut self, sparse: Option<SparsePatterns>) {
        self.source.selection.sparse = sparse;
    }

    /// Follow another reference from now on.
    pub fn set_reference(&mut self, reference: Reference) {
        self.source.reference = reference;
        self.peeled = None;
    }

    /// Whether the server was asked for a filter that it does not support: it sent everything.
    pub fn lacks_filter(&self) -> bool {
        self.lacks_filter
    }

    /// What this fetcher was made for.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Ask where the reference points. A commit id needs no answer, so nobody is asked.
    ///
    /// Over a kept connection this is one request and its answer. A connection that the server dropped in the
    /// meantime is made anew, once.
    pub fn resolve(&mut self) -> Result<Tip> {
        self.try_resolve().map_err(|err| self.hide_secrets(err))
    }

    fn try_resolve(&mut self) -> Result<Tip> {
        if let Reference::Commit(commit) = self.source.reference {
            return Ok(Tip { commit: self.peeled.unwrap_or(commit), want: commit.0 });
        }
        if let Kind::Local(path) = &self.source.url.0 {
            return local::resolve(path, &self.source.reference, &self.source);
        }
        let kept = self.connection.is_some();
        let listed = match self.list() {
            Err(ListFailure::Lost(_)) if kept && !self.interrupt.is_triggered() => self.list(),
            listed => listed,
        };
        listed.map_err(|(ListFailure::Lost(err) | ListFailure::Answered(err))| err)
    }

    fn hide_secrets(&self, err: Error) -> Error {
        let mut secrets = self.options.secrets();
        if let Kind::Http(url) = &self.source.url.0 {
            secrets.extend(url.login.iter().flat_map(Auth::secrets));
        }
        err.hiding(&secrets)
    }

    fn list(&mut self) -> std::result::Result<Tip, ListFailure> {
        // Protocols before v2 list references once, in the handshake, so they need a new one. And where a server's
        // program lives as long as the connection, git's goes on naming a branch as it first read it.
        let is_http = matches!(self.source.url.0, Kind::Http(_));
        self.connection = self
            .connection
            .take()
            .filter(|kept| is_http && kept.handshake.server_protocol_version == Protocol::V2);
        let mut connection = self.connect().map_err(ListFailure::Answered)?;
        connection.budget.renew();
        let source = &self.source;
        let step = || format!("list references of {}", source.url);
        self.progress.enter(Stage::Listing);
        let refs = match connection.handshake.refs.clone() {
            Some(refs) => refs,
            None => {
                let mut prefixes = RefPrefixes::new();
                prefixes.extend(source.reference.candidates().into_iter().map(Into::into));
                LsRefsCommand::new(Some(prefixes), &connection.handshake.capabilities, agent())
                    .invoke_blocking(&mut connection.transport, &mut gix::progress::Discard, false)
                    .map_err(|err| {
                        let failure = protocol_error(step(), &err, &connection.budget);
                        match http_status(&err).is_some() || connection.budget.errors().is_some() {
                            true => ListFailure::Answered(failure),
                            false => ListFailure::Lost(failure),
                        }
                    })?
            }
        };
        let names_tags = connection.handshake.server_protocol_version != Protocol::V2;
        self.connection = Some(connection);
        let (commit, tag) =
            find(&source.reference, &refs).ok_or_else(|| ListFailure::Answered(missing_reference(source)))?;
        // An old server knows only what it advertised: the tag, not the commit below it.
        let want = tag.filter(|_| names_tags).unwrap_or(commit);
        Ok(Tip { commit: CommitId(commit), want })
    }

    /// Bring the commit and all that its tree needs into the store.
    ///
    /// After an error the store holds what it held before, and perhaps objects that nobody refers to. But where
    /// the remote's objects are of another format than the store's, the store was emptied first; trees stay.
    pub fn fetch(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        self.try_fetch(tip, store).map_err(|err| self.hide_secrets(err))
    }

    fn try_fetch(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        let early_dir = store.staging_paths(tip.commit).dir;
        // A tree that is there already needs no other beside it.
        let wanted = (!store.tree_path(tip.commit).exists()).then_some(early_dir.as_path());
        let received = self.fetch_all(tip, store, wanted);
        if !received.as_ref().is_ok_and(|fetched| fetched.commit == tip.commit) {
            let _ = remove_dir_if_there(&early_dir); // nobody goes on with it
        }
        received
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
        Ok(Fetched { commit, selection: self.source.selection.clone(), submodules, early: Arc::new(early) })
    }

    /// Take the kept connection or make one. It is put back by whoever leaves it usable.
    fn connect(&mut self) -> Result<Connection> {
        let kept = self.connection.take();
        if let Some(kept) = kept.filter(|kept| kept.session.as_ref().is_none_or(ssh::Session::is_good)) {
            return Ok(kept);
        }
        self.progress.enter(Stage::Connecting);
        let url = &self.source.url;
        let step = || format!("connect to {url}");
        let (mut session, budget) = (None, ReadBudget::new(self.options.resources));
        let mut transport: Box<dyn Transport + Send> = match &url.0 {
            Kind::Http(url) => http::connect(url, &self.options, &self.interrupt, &budget, step)?,
            Kind::Git { host, port, path } => {
                git::connect(host, *port, path, &self.options, &self.interrupt, &budget).step(step)?
            }
            Kind::Ssh(url) => {
                let ssh_options = (&self.options.ssh, self.options.tunnel_for(&url.host, url.port));
                let connected = ssh::connect(&self.sessions, url, ssh_options, &self.interrupt, &budget);
                let (transport, used) = connected.map_err(|failure| failure.into_error(step()))?;
                session = Some(used);
                transport
            }
            Kind::Local(_) => {
                return Err(Error::new(ErrorKind::Configuration, step(), "a path needs no connection"));
            }
        };
        let service = gix::protocol::transport::Service::UploadPack;
        let progress = &mut gix::progress::Discard;
        let mut handshake =
            gix::protocol::handshake(&mut transport, service, |_| Ok(None), Vec::new(), progress).map_err(
                |err| match budget.noise().filter(|_| !matches!(url.0, Kind::Http(_))) {
                    Some(noise) => Error::new(ErrorKind::Server, step(), is_no_protocol(&noise, url)),
                    None => protocol_error(step(), &err, &budget),
                },
            )?;
        if handshake.server_protocol_version != Protocol::V2 {
            handshake.capabilities = without_deepen_relative(&handshake.capabilities).step(step)?;
        }
        Ok(Connection { transport, handshake, session, budget })
    }
}

/// That a server printed something before git could speak.
fn is_no_protocol(noise: &str, url: &RemoteUrl) -> String {
    let advice = match &url.0 {
        Kind::Ssh(_) => {
            "; see that nothing is printed at login there, as by ~/.bashrc, and that the account may run git-upload-pack"
        }
        _ => "; is the URL right?",
    };
    format!("the server does not speak Git's protocol; it printed: {noise}{advice}")
}

/// Why references could not be listed: the server did answer, or the connection failed.
enum ListFailure {
    Answered(Error),
    Lost(Error),
}

/// The commit that a reference names, and the tag above it.
fn find(reference: &Reference, refs: &[Ref]) -> Option<(ObjectId, Option<ObjectId>)> {
    reference.candidates().iter().find_map(|name| {
        refs.iter().find_map(|found| match found {
            Ref::Direct { full_ref_name, object } if full_ref_name == name.as_str() => Some((*object, None)),
            Ref::Peeled { full_ref_name, tag, object } if full_ref_name == name.as_str() => {
                Some((*object, Some(*tag)))
            }
            Ref::Symbolic { full_ref_name, tag, object, .. } if full_ref_name == name.as_str() => {
                Some((*object, *tag))
            }
            _ => None,
        })
    })
}

pub(crate) fn missing_reference(source: &Source) -> Error {
    let name = source.reference.to_string();
    let is_short_id = (7..64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hint = if is_short_id { "; a commit is named by its full id" } else { "" };
    Error::new(
        ErrorKind::NotFound,
        format!("fetch {} from {}", source.reference, source.url),
        format!("couldn't find remote ref {}{}", source.reference, hint),
    )
}
