//! Fetching from a server: the connection, and listing references.

use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::BString;
use gix::protocol::handshake::Ref;
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::{Handshake, LsRefsCommand};

use super::protocol::agent;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetch::protocol::{http_status, protocol_error, without_deepen_relative};
use crate::fetch::remote::{Arrived, Commits, Remote, WantedCommits};
use crate::fetched::Tip;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Stage};
use crate::spec::Source;
use crate::spec::reference::AdvertisedRef;
use crate::store::Store;
use crate::transport::connections::Connections;
use crate::transport::options::ConnectOptions;
use crate::transport::read_budget::ReadBudget;
use crate::transport::{git, http, ssh};
use crate::url::{HttpUrl, Kind, RemoteUrl};

/// A repository on a server.
pub(super) struct Network {
    options: Arc<ConnectOptions>,
    pub(super) interrupt: Interrupt,
    pub(super) progress: Progress,
    kept: Option<Kept>,
    /// What outlives the connections to one repository.
    connections: Connections,
    pub(super) lacks_filter: bool,
}

/// What is left of a connection after a request that succeeded.
enum Kept {
    /// All of it. The server runs a program for it.
    Open(Connection),
    /// Over HTTP, with protocol v2, requests do not depend on each other: the handshake, and the URL that it led to.
    Known {
        base: String,
        handshake: Handshake,
    },
    Nothing,
}

pub(super) struct Connection {
    pub(super) transport: Box<dyn Transport + Send>,
    pub(super) handshake: Handshake,
    /// The SSH session that the connection is a channel of.
    session: Option<ssh::Session>,
    pub(super) budget: ReadBudget,
}

impl Remote for Network {
    /// Over a kept connection this is one request. If the server has closed that connection, it is opened again, once.
    fn list(&mut self, source: &Source, prefixes: &[String]) -> Result<Vec<AdvertisedRef>> {
        let kept = self.kept.is_some();
        let listed = match self.try_list(source, prefixes) {
            Err(ListFailure::Lost(_)) if kept && !self.interrupt.is_triggered() => {
                self.try_list(source, prefixes)
            }
            listed => listed,
        };
        listed.map_err(|(ListFailure::Lost(err) | ListFailure::Answered(err))| err)
    }

    fn fetch(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived> {
        self.fetch_pack(source, tip, store, early_dir)
    }

    fn commits(
        &mut self,
        source: &Source,
        wanted: &WantedCommits,
        store: &mut Store,
    ) -> Result<Option<Commits>> {
        self.fetch_commits(source, wanted, store)
    }

    fn fetch_missing_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()> {
        self.fetch_blobs(source, commit, store)
    }

    fn set_options(&mut self, options: Arc<ConnectOptions>) {
        self.options = options;
        self.kept = None;
    }

    fn rest(&mut self) {
        if let Some(Kept::Open(_)) = self.kept {
            self.kept = Some(Kept::Nothing);
        }
    }

    fn lacks_filter(&self) -> bool {
        self.lacks_filter
    }
}

impl Network {
    pub(super) fn new(
        options: Arc<ConnectOptions>,
        connections: Connections,
        interrupt: Interrupt,
        progress: Progress,
    ) -> Self {
        Network { options, interrupt, progress, kept: None, connections, lacks_filter: false }
    }

    fn try_list(
        &mut self,
        source: &Source,
        names: &[String],
    ) -> std::result::Result<Vec<AdvertisedRef>, ListFailure> {
        // Before v2, references are listed only in the handshake, so each list needs a new connection. Other transports
        // than HTTP keep one server process for each connection, and git's process does not read a changed branch
        // again.
        self.kept.take_if(|kept| matches!(kept, Kept::Open(_)));
        let mut connection = self.connect(source).map_err(ListFailure::Answered)?;
        connection.budget.renew();
        let step = || format!("list references of {}", source.url);
        self.progress.enter(Stage::Listing);
        let refs = match connection.handshake.refs.clone() {
            Some(refs) => refs,
            None => {
                let mut prefixes = RefPrefixes::new();
                prefixes.extend(names.iter().map(|name| name.as_str().into()));
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
        self.keep(connection);
        Ok(refs.iter().filter_map(advertised_ref).collect())
    }

    /// Keep what later requests need of a connection that is still usable.
    pub(super) fn keep(&mut self, connection: Connection) {
        let Connection { transport, handshake, .. } = &connection;
        let is_independent = handshake.server_protocol_version == Protocol::V2
            && !transport.connection_persists_across_multiple_requests();
        self.kept = Some(match is_independent {
            true => Kept::Known { base: transport.to_url().to_string(), handshake: connection.handshake },
            false => Kept::Open(connection),
        });
    }

    /// Take the kept connection or open one. The caller keeps it if it is still usable afterwards.
    pub(super) fn connect(&mut self, source: &Source) -> Result<Connection> {
        let is_good = |session: &Option<ssh::Session>| session.as_ref().is_none_or(ssh::Session::is_good);
        match (self.kept.take(), &source.url.0) {
            (Some(Kept::Open(connection)), _) if is_good(&connection.session) => Ok(connection),
            (Some(Kept::Known { base, handshake }), Kind::Http(url)) => {
                let budget = ReadBudget::new(self.options.resources);
                let transport =
                    self.http(url, Some(&base), &budget, || format!("connect to {}", source.url))?;
                Ok(Connection { transport, handshake, session: None, budget })
            }
            _ => self.open(source),
        }
    }

    fn http(
        &self,
        url: &HttpUrl,
        known: Option<&str>,
        budget: &ReadBudget,
        step: impl Fn() -> String,
    ) -> Result<Box<dyn Transport + Send>> {
        http::connect(url, known, (&self.options, &self.connections), &self.interrupt, budget, step)
    }

    fn open(&self, source: &Source) -> Result<Connection> {
        self.progress.enter(Stage::Connecting);
        let url = &source.url;
        let step = || format!("connect to {url}");
        let (mut session, budget) = (None, ReadBudget::new(self.options.resources));
        let mut transport: Box<dyn Transport + Send> = match &url.0 {
            Kind::Http(url) => self.http(url, None, &budget, step)?,
            Kind::Git { host, port, path } => {
                let connected = git::connect(host, *port, path, &self.options, &self.interrupt, &budget);
                self.options.requests.connected(&connected);
                connected.step(step)?
            }
            Kind::Ssh(url) => {
                let ssh_options = (&self.options.ssh, self.options.tunnel_for(&url.host, url.port));
                let connected =
                    ssh::connect(&self.connections.sessions, url, ssh_options, &self.interrupt, &budget);
                self.options.requests.connected(&connected);
                let (transport, used) = connected.map_err(|failure| failure.into_error(step()))?;
                session = Some(used);
                transport
            }
            Kind::Local(_) | Kind::Relay(_) => {
                return Err(Error::new(ErrorKind::Configuration, step(), "this is no git server"));
            }
        };
        let service = gix::protocol::transport::Service::UploadPack;
        let progress = &mut gix::progress::Discard;
        let mut handshake =
            gix::protocol::handshake(&mut transport, service, |_| Ok(None), Vec::new(), progress).map_err(
                |err| match budget.noise().filter(|_| !matches!(url.0, Kind::Http(_))) {
                    Some(noise) => Error::new(ErrorKind::Server, step(), no_protocol(&noise, url)),
                    None => protocol_error(step(), &err, &budget),
                },
            )?;
        if handshake.server_protocol_version != Protocol::V2 {
            handshake.capabilities = without_deepen_relative(&handshake.capabilities).step(step)?;
        }
        Ok(Connection { transport, handshake, session, budget })
    }
}

/// The error text for a server that printed something before Git's protocol started.
fn no_protocol(noise: &str, url: &RemoteUrl) -> String {
    let advice = match &url.0 {
        Kind::Ssh(_) => {
            "; make sure that nothing is printed at login (for example by ~/.bashrc), and that the account may \
             run git-upload-pack"
        }
        _ => "; is the URL right?",
    };
    format!("the server does not speak Git's protocol; it printed: {noise}{advice}")
}

/// Why references could not be listed: the server answered with an error, or the connection was lost.
enum ListFailure {
    Answered(Error),
    Lost(Error),
}

/// `None` for a reference without an object, or whose name is not UTF-8.
fn advertised_ref(found: &Ref) -> Option<AdvertisedRef> {
    let advertised = |name: &BString, object: ObjectId, tag: Option<ObjectId>| {
        Some(AdvertisedRef { name: String::from_utf8(name.to_vec()).ok()?, commit: object, tag })
    };
    match found {
        Ref::Direct { full_ref_name, object } => advertised(full_ref_name, *object, None),
        Ref::Peeled { full_ref_name, tag, object } => advertised(full_ref_name, *object, Some(*tag)),
        Ref::Symbolic { full_ref_name, tag, object, .. } => advertised(full_ref_name, *object, *tag),
        Ref::Unborn { .. } => None,
    }
}
