//! Fetching a commit that the server does not send by its id. Before protocol v2, git's server accepts only the ids
//! that it advertised. So we fetch the branches and tags until the commit has arrived with them.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::protocol::Handshake;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::Protocol;

use super::network::{Connection, Network};
use super::protocol::Request;
use super::request::{RequestFailure, haves_and_depth};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::reference::{CommitId, Reference};
use crate::spec::{Depth, Source};
use crate::store::Store;
use crate::store::history::Condition;
use crate::url::{Kind, RemoteUrl};

/// The depths to try before the whole history, in commits.
const DEPTHS: [u32; 2] = [100, 2_000];

/// Whether the server refuses to send `want` by its id, according to git's rules for what it advertises.
pub(super) fn needs_branches(connection: &Connection, url: &RemoteUrl, want: ObjectId) -> bool {
    let handshake = &connection.handshake;
    let gives_any = ["allow-reachable-sha1-in-want", "allow-any-sha1-in-want"];
    handshake.server_protocol_version != Protocol::V2
        // Over HTTP each request starts a new server process, which accepts ids that an earlier process advertised.
        && !matches!(url.0, Kind::Http(_))
        && !gives_any.iter().any(|name| handshake.capabilities.contains(name))
        && !advertised(handshake, |_| true).contains(&want)
}

/// The objects of the advertised references whose names pass `is_wanted`.
fn advertised(handshake: &Handshake, is_wanted: impl Fn(&[u8]) -> bool) -> BTreeSet<ObjectId> {
    let found = handshake.refs.iter().flatten().filter_map(|found| match found {
        Ref::Direct { full_ref_name, object } if is_wanted(full_ref_name) => Some(*object),
        Ref::Peeled { full_ref_name, tag, .. } if is_wanted(full_ref_name) => Some(*tag),
        Ref::Symbolic { full_ref_name, tag, object, .. } if is_wanted(full_ref_name) => {
            Some(tag.unwrap_or(*object))
        }
        _ => None,
    });
    found.collect()
}

impl Network {
    /// Fetch the branches and tags, deeper each time, until `want` has arrived with its history down to the depth of
    /// `source`. The answer is whether it has.
    pub(super) fn fetch_branches(&mut self, source: &Source, want: ObjectId, store: &Store) -> Result<bool> {
        let wanted_depth = source.depth;
        let is_deeper = |depth: &u32| wanted_depth.0.is_some_and(|wanted| *depth > wanted.get());
        let depths = DEPTHS.into_iter().filter(is_deeper).map(Depth::new).chain([Depth::FULL]);
        let mut fetched_tips = BTreeSet::new();
        for depth in depths {
            let connection = self.connect(source)?;
            let is_tip = |name: &[u8]| {
                name == b"HEAD" || name.starts_with(b"refs/heads/") || name.starts_with(b"refs/tags/")
            };
            let tips = advertised(&connection.handshake, is_tip);
            let (haves, shallow) = haves_and_depth(store, fetched_tips, depth)?;
            if tips.is_empty() {
                return Ok(false);
            }
            let request = Request { wants: tips.iter().copied().collect(), haves, shallow, filter: None };
            self.request(source, connection, &request, store, None).map_err(RequestFailure::into_error)?;
            match store.inspect(CommitId(want), wanted_depth, &self.interrupt)? {
                Condition::Sound | Condition::TooDeep => return Ok(true),
                Condition::TooShallow | Condition::Damaged(_) => {}
            }
            if !store.is_shallow(&store.repository()?)? {
                break;
            }
            fetched_tips = tips;
        }
        Ok(false)
    }
}

/// Add advice to the error if the server refused to send a commit by its id.
pub(super) fn advised(source: &Source, err: Error, version: Protocol) -> Error {
    let is_by_id = matches!(source.reference, Reference::Commit(_));
    if !is_by_id || !REFUSALS.iter().any(|words| err.cause().contains(words)) {
        return err;
    }
    let advice = match version {
        Protocol::V2 => {
            "the commit does not exist, or the server does not send it by its id (see \
             uploadpack.allowAnySHA1InWant)"
        }
        Protocol::V0 | Protocol::V1 => {
            "the commit is on no branch or tag; the server sends such a commit only if \
             uploadpack.allowReachableSHA1InWant or uploadpack.allowAnySHA1InWant is set there, or if it speaks \
             protocol v2 (sshd: AcceptEnv GIT_PROTOCOL)"
        }
    };
    let cause = format!("{}; {advice}", err.cause());
    Error::new(ErrorKind::NotFound, err.step().to_owned(), cause)
}

/// The words with which servers refuse an id: git, older git, JGit.
const REFUSALS: [&str; 3] = ["not our ref", "not valid", "unadvertised object"];
