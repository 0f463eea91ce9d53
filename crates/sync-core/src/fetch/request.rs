//! One fetch request, and the pack in the answer.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::protocol::fetch::{self, Shallow, Tags};
use gix::protocol::transport::Protocol;

use super::network::{Connection, Network};
use super::protocol::{OneRound, Request, agent, protocol_error};
use crate::error::{self, Context, Error};
use crate::fetched::StreamedFiles;
use crate::index_pack::{PackReceiver, ReceivedPack, StreamTarget};
use crate::limits::Limits;
use crate::progress::Stage;
use crate::spec::{Depth, Source};
use crate::store::Store;
use crate::store::layout::mark_promised;

impl Network {
    /// Send a fetch request and store the pack. With `early`, files of that commit are written to that directory.
    pub(super) fn request(
        &mut self,
        source: &Source,
        connection: Connection,
        request: &Request<'_>,
        store: &Store,
        early: Option<(ObjectId, &Path)>,
    ) -> Result<StreamedFiles, RequestFailure> {
        let limits = &source.selection.limits;
        let leaves_pointers = source.selection.lfs.is_some();
        let tree = early.map(|(commit, dir)| StreamTarget { commit, dir, limits, leaves_pointers });
        let target =
            PackTarget { pack_dir: store.pack_dir(), shallow_file: store.shallow_file(), limits, tree };
        let is_partial = store.is_partial();
        let received = self.request_into(&target, source, connection, request, store)?;
        if let Some(pack) = received.pack.filter(|_| is_partial) {
            mark_promised(&pack).step(|| format!("mark {} as partial", pack.display()))?;
        }
        Ok(received.early)
    }

    /// Send a fetch request and store the pack in any directory. Its deltas may have their bases in the store.
    pub(super) fn request_into(
        &mut self,
        target: &PackTarget<'_>,
        source: &Source,
        mut connection: Connection,
        request: &Request<'_>,
        store: &Store,
    ) -> Result<ReceivedPack, RequestFailure> {
        let PackTarget { pack_dir, shallow_file, limits, tree } = target;
        let step = || format!("fetch {} from {}", source.reference, source.url);
        self.progress.enter(Stage::Requesting);
        let bases = match request.haves.is_empty() {
            true => None,
            false => Some(store.repository().and_then(|repo| store.objects(&repo))?),
        };
        let receiver = store.pack_receiver(&self.progress, &self.interrupt);
        let pack_receiver = PackReceiver { tree: *tree, pack_dir: pack_dir.clone(), ..receiver };
        let budget = connection.budget.clone();
        budget.renew();
        // gix's errors do not name the paths.
        let failure = |err| {
            protocol_error(step(), err, &budget).rephrased(&[
                (
                    "Failed to consume the pack sent by the remote",
                    &format!("store the pack in {}", pack_dir.display()),
                ),
                ("'shallow' file", &shallow_file.display().to_string()),
            ])
        };
        let (mut pack_failed, mut taken) = (false, ReceivedPack::default());
        let outcome = gix::protocol::fetch(
            &mut OneRound { request, protocol: connection.handshake.server_protocol_version },
            |pack, _, _| {
                self.progress.enter(Stage::Receiving);
                budget.lift();
                taken = pack_receiver.take(&mut limits.pack(pack), bases.as_ref()).map_err(|err| {
                    pack_failed = matches!(err.kind(), ErrorKind::InvalidData | ErrorKind::NotFound);
                    gix::Error::from_error(err)
                })?;
                Ok(true)
            },
            gix::progress::Discard,
            self.interrupt.flag(),
            fetch::Context {
                handshake: &mut connection.handshake,
                transport: &mut connection.transport,
                user_agent: agent(),
                trace_packetlines: false,
            },
            fetch::Options {
                shallow_file: shallow_file.clone(),
                shallow: &request.shallow,
                tags: Tags::None,
                reject_shallow_remote: false,
            },
        );
        match outcome {
            // Before v2 the server closes the connection after the pack.
            Ok(_) if connection.handshake.server_protocol_version == Protocol::V2 => {
                self.keep(connection);
                Ok(taken)
            }
            Ok(_) => Ok(taken),
            Err(err) if pack_failed => Err(RequestFailure::Pack(failure(&err))),
            Err(err) => Err(RequestFailure::Other(failure(&err))),
        }
    }
}

/// Where the answer to a request goes.
pub(super) struct PackTarget<'a> {
    pub(super) pack_dir: PathBuf,
    pub(super) shallow_file: PathBuf,
    pub(super) limits: &'a Limits,
    /// The tree whose files are written while the pack arrives, if any.
    pub(super) tree: Option<StreamTarget<'a>>,
}

/// What the store has, with `more` that it has too, and how a request gets history of this depth.
pub(super) fn haves_and_depth(
    store: &Store,
    more: BTreeSet<ObjectId>,
    depth: Depth,
) -> error::Result<(BTreeSet<ObjectId>, Shallow)> {
    let repo = store.repository()?;
    let mut haves = store.haves(&repo)?;
    haves.extend(more);
    if haves.is_empty() {
        // A killed fetch leaves a boundary whose objects the server would take as known.
        store.write_shallow(&[]).step(|| format!("remove {}", store.shallow_file().display()))?;
    }
    let shallow = match depth.0 {
        Some(depth) => Shallow::DepthAtRemote(depth),
        None if store.is_shallow(&repo)? => Shallow::undo(),
        None => Shallow::NoChange,
    };
    Ok((haves, shallow))
}

/// Why a request failed: the pack could not be stored, or anything else.
pub(super) enum RequestFailure {
    Pack(Error),
    Other(Error),
}

impl RequestFailure {
    pub(super) fn into_error(self) -> Error {
        let (RequestFailure::Pack(err) | RequestFailure::Other(err)) = self;
        err
    }
}

impl From<Error> for RequestFailure {
    fn from(err: Error) -> Self {
        RequestFailure::Other(err)
    }
}
