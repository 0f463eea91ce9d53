//! From a remote repository to objects in the store: where does the reference point, and bring it here.
//!
//! The only user of the network. Nothing here writes outside `.git`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::index::entry::{Flags, Mode};
use gix::protocol::fetch::{self, Shallow, Tags};
use gix::protocol::handshake::Ref;
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::{Transport, http};
use gix::protocol::{Handshake, LsRefsCommand};

use crate::error::{Context, Error, Recovery, Result};
use crate::objects::receive_pack;
use crate::progress::{Progress, Stage};
use crate::protocol::{
    OneRound, Request, agent, can_filter, http_status, object_kind, protocol_error, without_deepen_relative,
};
use crate::source::Reference;
use crate::store::{Store, mark_promised, remove_dir_if_there};
use crate::submodules::{MAX_COUNT, MAX_DEPTH, Submodules, Wanted, wanted};
use crate::transport::{ConnectOptions, git, http::Client, local, ssh};
use crate::unpack::{Early, unpack};
use crate::url::Kind;
use crate::{Auth, CommitId, Credentials, Filter, Interrupt, RemoteUrl, Selection, Source, SparsePatterns};

/// A remote repository, its connection kept between requests where the server allows it.
pub struct Upstream {
    source: Source,
    options: ConnectOptions,
    interrupt: Interrupt,
    progress: Progress,
    connection: Option<Connection>,
    /// What outlives a connection that the server ends after each exchange.
    session: Option<ssh::Session>,
    /// What a commit id that turned out to be a tag's leads to.
    peeled: Option<CommitId>,
    lacks_filter: bool,
}

struct Connection {
    transport: Box<dyn Transport + Send>,
    handshake: Handshake,
}

/// Where the reference points now.
#[derive(Clone, Debug)]
pub struct Tip {
    /// The commit, annotated tags peeled.
    pub commit: CommitId,
    /// The object to ask for: the commit, or the tag that an old server wants named.
    want: ObjectId,
}

/// A commit whose tree is in the store, all of it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitId,
    pub(crate) selection: Selection,
    pub(crate) modules: Vec<Module>,
    /// Files that were written while the pack came.
    pub(crate) early: Arc<[Early]>,
}

/// A submodule whose commit is in a store of its own.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Below the tree it belongs to.
    pub(crate) path: BString,
    pub(crate) url: RemoteUrl,
    pub(crate) fetched: Fetched,
}

impl Upstream {
    /// Nothing is contacted before it is asked for. `interrupt` stops all work of this upstream; `progress`
    /// shows it.
    pub fn new(source: Source, options: ConnectOptions, interrupt: Interrupt, progress: Progress) -> Self {
        Upstream {
            source,
            options,
            interrupt,
            progress,
            connection: None,
            session: None,
            peeled: None,
            lacks_filter: false,
        }
    }

    /// Log in over HTTP by these from now on. Other transports pass over them.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        if credentials == self.options.credentials {
            return;
        }
        if let (Kind::Http(url), Some(_)) = (&mut self.source.url.0, &credentials.own) {
            url.login.clone_from(&credentials.own);
        }
        self.options.credentials = credentials;
        self.connection = None;
    }

    /// Check out these paths from now on.
    pub fn set_sparse(&mut self, sparse: Option<SparsePatterns>) {
        self.source.selection.sparse = sparse;
    }

    /// Whether the server was asked for a filter that it does not support: it sent everything.
    pub fn lacks_filter(&self) -> bool {
        self.lacks_filter
    }

    /// What this upstream was made for.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Ask where the reference points. A commit id needs no answer, so nobody is asked.
    ///
    /// Over a kept connection this is one request and its answer. A connection that the server dropped in the
    /// meantime is made anew, once.
    pub fn look(&mut self) -> Result<Tip> {
        self.try_look().map_err(|err| self.hide_secrets(err))
    }

    fn try_look(&mut self) -> Result<Tip> {
        if let Reference::Commit(commit) = self.source.reference {
            return Ok(Tip { commit: self.peeled.unwrap_or(commit), want: commit.0 });
        }
        if let Kind::Local(path) = &self.source.url.0 {
            return local::look(path, &self.source.reference, &self.source);
        }
        let kept = self.connection.is_some();
        let listed = match self.list() {
            Err(Unlisted::Lost(_)) if kept && !self.interrupt.is_triggered() => self.list(),
            listed => listed,
        };
        listed.map_err(|(Unlisted::Lost(err) | Unlisted::Answered(err))| err)
    }

    fn hide_secrets(&self, err: Error) -> Error {
        let mut secrets = self.options.secrets();
        if let Kind::Http(url) = &self.source.url.0 {
            secrets.extend(url.login.iter().flat_map(Auth::secrets));
        }
        err.hiding(&secrets)
    }

    fn list(&mut self) -> std::result::Result<Tip, Unlisted> {
        // Protocols before v2 list references once, in the handshake, so they need a new one.
        if self.connection.as_ref().is_some_and(|kept| kept.handshake.server_protocol_version != Protocol::V2)
        {
            self.connection = None;
        }
        let mut connection = self.connect().map_err(Unlisted::Answered)?;
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
                    .map_err(|err| match http_status(&err) {
                        Some(_) => Unlisted::Answered(protocol_error(step(), &err)),
                        None => Unlisted::Lost(protocol_error(step(), &err)),
                    })?
            }
        };
        let names_tags = connection.handshake.server_protocol_version != Protocol::V2;
        self.connection = Some(connection);
        let (commit, tag) =
            find(&source.reference, &refs).ok_or_else(|| Unlisted::Answered(missing_reference(source)))?;
        // An old server knows only what it advertised: the tag, not the commit below it.
        let want = tag.filter(|_| names_tags).unwrap_or(commit);
        Ok(Tip { commit: CommitId(commit), want })
    }

    /// Bring the commit and all that its tree needs into the store.
    ///
    /// After an error the store holds what it held before, and perhaps objects that nobody refers to. But where
    /// the remote's objects are of another format than the store's, the store was emptied first; trees stay.
    pub fn receive(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        self.try_receive(tip, store).map_err(|err| self.hide_secrets(err))
    }

    fn try_receive(&mut self, tip: &Tip, store: &mut Store) -> Result<Fetched> {
        let early_dir = store.building_place(tip.commit).dir;
        let (commit, early) = self.receive_commit(tip, store, Some(&early_dir)).inspect_err(|_| {
            let _ = remove_dir_if_there(&early_dir);
        })?;
        let levels = match self.source.selection.submodules {
            Submodules::Off => 0,
            Submodules::Shallow => 1,
            Submodules::Recursive => MAX_DEPTH + 1,
        };
        let modules = self.receive_modules(commit.0, &self.source.url, store, levels, &mut 0)?;
        Ok(Fetched { commit, selection: self.source.selection.clone(), modules, early: early.into() })
    }

    /// The submodules of a commit, `levels` deep. One whose pin did not move costs no network.
    fn receive_modules(
        &self,
        commit: ObjectId,
        url: &RemoteUrl,
        store: &Store,
        levels: usize,
        count: &mut usize,
    ) -> Result<Vec<Module>> {
        if levels == 0 {
            return Ok(Vec::new());
        }
        let mut modules = Vec::new();
        let sparse = self.source.selection.sparse.as_ref().filter(|_| *count == 0);
        for Wanted { path, commit, url } in wanted(&store.repository()?, commit, url, sparse, &self.options)?
        {
            *count += 1;
            let step = || format!("fetch submodule {path:?} from {url}");
            if *count > MAX_COUNT
                || (levels == 1 && self.source.selection.submodules == Submodules::Recursive)
            {
                return Err(Error::new(
                    Recovery::Reconfigure,
                    step(),
                    "there are too many submodules, or too deep",
                ));
            }
            let mut module = store.module(&url)?;
            let source = Source {
                url: url.clone(),
                reference: Reference::Commit(CommitId(commit)),
                selection: Selection::default(),
                ..self.source.clone()
            };
            let mut upstream =
                Upstream::new(source, self.options.clone(), self.interrupt.clone(), self.progress.clone());
            upstream.session.clone_from(&self.session);
            // What a filter left out may be wanted now; of a store without one, a commit is there with its tree.
            let received = match (module.has_commit(commit), module.is_partial(), &self.source.filter) {
                (true, false, _) => Ok(()),
                (true, true, Some(_)) => upstream.receive_blobs(commit, &module),
                _ => upstream.receive_commit(&tip(commit), &mut module, None).map(|_| ()),
            };
            received.map_err(|err| err.within(&step()))?;
            let nested = self.receive_modules(commit, &url, &module, levels - 1, count)?;
            modules.push(Module {
                path,
                url,
                fetched: Fetched {
                    commit: CommitId(commit),
                    // Patterns are the repository's own; submodules come whole.
                    selection: Selection { sparse: None, ..self.source.selection.clone() },
                    modules: nested,
                    early: Arc::default(),
                },
            });
        }
        Ok(modules)
    }

    fn receive_commit(
        &mut self,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<(CommitId, Vec<Early>)> {
        let mut early = Vec::new();
        let commit = match &self.source.url.0 {
            Kind::Local(path) => {
                local::receive(path, tip, &self.source, store, &self.progress, &self.interrupt)?
            }
            Kind::Http(_) | Kind::Git { .. } | Kind::Ssh(_) => {
                early = self.receive_pack(tip, store, early_dir)?;
                tip.want
            }
        };
        let step = || format!("fetch {} from {}", self.source.reference, self.source.url);
        let repo = store.repository()?;
        let commit = repo.find_object(commit).and_then(|object| object.peel_to_commit()).map_err(|err| {
            // That it is not there at all is the server's doing.
            if err.is_corrupted() { Error::reading(step(), &err) } else { Error::gix(step(), &err) }
        })?;
        let commit = commit.id;
        if commit != tip.commit.0 && matches!(self.source.reference, Reference::Name(_)) {
            let text = format!("the server announced {} but sent {commit}", tip.commit);
            return Err(Error::new(Recovery::Retry, step(), text));
        }
        store.record(&repo, commit, tip.want)?;
        if store.is_partial() {
            self.receive_blobs(commit, store)?;
        }
        self.peeled = Some(CommitId(commit));
        Ok((CommitId(commit), early))
    }

    /// The pack of a fetch; its files, too, are written to `early_dir` where that can be done.
    fn receive_pack(&mut self, tip: &Tip, store: &mut Store, early_dir: Option<&Path>) -> Result<Vec<Early>> {
        let want = tip.want;
        let connection = self.connect()?;
        let step = || format!("fetch {} from {}", self.source.reference, self.source.url);
        let kind = object_kind(&connection.handshake.capabilities);
        if kind != want.kind() {
            let text = format!("{want} is no {kind} id, but the repository's are");
            return Err(Error::new(Recovery::Reconfigure, step(), text));
        }
        let filter = self.source.filter.clone().filter(|_| can_filter(&connection.handshake));
        self.lacks_filter = self.source.filter.is_some() && filter.is_none();
        store.prepare(kind, filter.as_ref().map(|_| &self.source.url))?;
        let repo = store.repository()?;
        let shallow = match self.source.depth.0 {
            Some(depth) => Shallow::DepthAtRemote(depth),
            None if repo.is_shallow().step(step)? => Shallow::undo(),
            None => Shallow::NoChange,
        };
        let request = Request {
            wants: vec![want],
            haves: store.haves(&repo)?,
            shallow,
            filter: filter.as_ref().map(Filter::spec),
        };
        drop(repo);
        let is_simple =
            request.haves.is_empty() && filter.is_none() && self.source.selection.sparse.is_none();
        if let Some(dir) = early_dir.filter(|_| is_simple) {
            remove_dir_if_there(dir).and_then(|()| fs_err::create_dir(dir)).step(step)?;
            let early = Some((tip.commit.0, dir));
            return self.request(connection, &request, store, early).map_err(Refused::into_error);
        }
        match self.request(connection, &request, store, None) {
            // A delta whose base is not there or not readable: what we said we have is not to be relied on.
            Err(Refused::Pack(_)) if !request.haves.is_empty() && !self.interrupt.is_triggered() => {
                let connection = self.connect()?;
                let alone = Request { haves: BTreeSet::new(), ..request };
                self.request(connection, &alone, store, None).map_err(Refused::into_error)?;
            }
            answered => _ = answered.map_err(Refused::into_error)?,
        }
        Ok(Vec::new())
    }

    /// Ask for the blobs that a filter left out and the checkout needs, all at once.
    fn receive_blobs(&mut self, commit: ObjectId, store: &Store) -> Result<()> {
        let step = || format!("find out what the tree of {commit} lacks");
        let mut repo = store.repository()?;
        repo.objects.refresh_never();
        let tree = repo.find_commit(commit).and_then(|commit| Ok(commit.tree_id()?.detach()));
        let tree = tree.map_err(|err| Error::reading(step(), &err))?;
        let mut index = repo.index_from_tree(&tree).step(step)?;
        if let Some(sparse) = &self.source.selection.sparse {
            sparse.apply(&mut index).step(step)?;
        }
        let mut wants = BTreeSet::new();
        for entry in index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT) {
            // The form of every file depends on them, wherever they are.
            let decides =
                matches!(entry.path(&index).rsplit_str("/").next(), Some(b".gitattributes" | b".gitmodules"));
            if (decides || !entry.flags.contains(Flags::SKIP_WORKTREE)) && !repo.has_object(entry.id) {
                wants.insert(entry.id);
            }
        }
        drop(repo);
        if wants.is_empty() {
            return Ok(());
        }
        let wants = wants.into_iter().collect();
        let request = Request { wants, haves: BTreeSet::new(), shallow: Shallow::NoChange, filter: None };
        let connection = self.connect()?;
        self.request(connection, &request, store, None).map(|_| ()).map_err(Refused::into_error)
    }

    /// One fetch request and its pack.
    fn request(
        &mut self,
        mut connection: Connection,
        request: &Request<'_>,
        store: &Store,
        early: Option<(ObjectId, &Path)>,
    ) -> std::result::Result<Vec<Early>, Refused> {
        let step = || format!("fetch {} from {}", self.source.reference, self.source.url);
        self.progress.enter(Stage::Requesting);
        let repo = store.repository()?;
        let (pack_dir, is_partial) = (store.pack_dir(), store.is_partial());
        let bases = (!request.haves.is_empty()).then(|| repo.objects.clone());
        let (progress, interrupt) = (&self.progress, &self.interrupt);
        let (mut pack_failed, mut files) = (false, Vec::new());
        let outcome = gix::protocol::fetch(
            &mut OneRound(request),
            |pack, gix_progress, _| {
                progress.enter(Stage::Receiving);
                if let Some((commit, dir)) = early {
                    let unpacked = unpack(pack, commit, &pack_dir, dir, progress, interrupt);
                    files = unpacked.map_err(gix::Error::from_error)?;
                    return Ok(true);
                }
                let received =
                    receive_pack(pack, &pack_dir, bases, repo.object_hash(), gix_progress, interrupt);
                pack_failed = received.is_err();
                if let Some(pack) = received?.filter(|_| is_partial) {
                    mark_promised(&pack).map_err(gix::Error::from_error)?;
                }
                Ok(true)
            },
            progress.gix(),
            interrupt.flag(),
            fetch::Context {
                handshake: &mut connection.handshake,
                transport: &mut connection.transport,
                user_agent: agent(),
                trace_packetlines: false,
            },
            fetch::Options {
                shallow_file: store.shallow_file(),
                shallow: &request.shallow,
                tags: Tags::None,
                reject_shallow_remote: false,
            },
        );
        match outcome {
            // Before v2 the server hangs up after its pack.
            Ok(_) if connection.handshake.server_protocol_version == Protocol::V2 => {
                self.connection = Some(connection);
                Ok(files)
            }
            Ok(_) => Ok(files),
            Err(err) if pack_failed && (err.is_not_found() || err.is_corrupted()) => {
                Err(Refused::Pack(protocol_error(step(), &err)))
            }
            Err(err) => Err(Refused::Other(protocol_error(step(), &err))),
        }
    }

    /// Take the kept connection or make one. It is put back by whoever leaves it usable.
    fn connect(&mut self) -> Result<Connection> {
        if let Some(kept) = self.connection.take() {
            return Ok(kept);
        }
        self.progress.enter(Stage::Connecting);
        let url = &self.source.url;
        let step = || format!("connect to {url}");
        let mut transport: Box<dyn Transport + Send> = match &url.0 {
            Kind::Http(http) => {
                let client = Client::new(http, &self.options, &self.interrupt);
                let base = gix::url::parse(http.base.as_str()).step(step)?;
                Box::new(http::Transport::new_http(client, base, Protocol::V2, false))
            }
            Kind::Git { host, port, path } => {
                git::connect(host, *port, path, &self.options, &self.interrupt).step(step)?
            }
            Kind::Ssh(url) => ssh::connect(&mut self.session, url, &self.options, &self.interrupt)
                .map_err(|failure| failure.into_error(step()))?,
            Kind::Local(_) => {
                return Err(Error::new(Recovery::Reconfigure, step(), "a path needs no connection"));
            }
        };
        let service = gix::protocol::transport::Service::UploadPack;
        let progress = &mut gix::progress::Discard;
        let mut handshake =
            gix::protocol::handshake(&mut transport, service, |_| Ok(None), Vec::new(), progress)
                .map_err(|err| protocol_error(step(), &err))?;
        if handshake.server_protocol_version != Protocol::V2 {
            handshake.capabilities = without_deepen_relative(&handshake.capabilities).step(step)?;
        }
        Ok(Connection { transport, handshake })
    }
}

/// Why references could not be listed: the server did answer, or the connection failed.
enum Unlisted {
    Answered(Error),
    Lost(Error),
}

/// Why a request brought nothing: a pack that could not be taken in, or anything else.
enum Refused {
    Pack(Error),
    Other(Error),
}

impl Refused {
    fn into_error(self) -> Error {
        let (Refused::Pack(err) | Refused::Other(err)) = self;
        err
    }
}

impl From<Error> for Refused {
    fn from(err: Error) -> Self {
        Refused::Other(err)
    }
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
    Error::new(
        Recovery::Reconfigure,
        format!("fetch {} from {}", source.reference, source.url),
        format!("couldn't find remote ref {}", source.reference),
    )
}

pub(crate) fn tip(commit: ObjectId) -> Tip {
    Tip { commit: CommitId(commit), want: commit }
}
