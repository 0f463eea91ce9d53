//! Commits that a server does not give out by their ids: git's before protocol v2, where one process serves a whole
//! connection, knows only what it advertised. Such a commit comes with the branches that it is on.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::protocol::Handshake;
use gix::protocol::fetch::Shallow;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::Protocol;

use super::network::{Connection, Network};
use super::protocol::Request;
use super::request::RequestFailure;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::reference::{CommitId, Reference};
use crate::spec::{Depth, Source};
use crate::store::Store;
use crate::store::history::Condition;
use crate::url::{Kind, RemoteUrl};

/// How far below the tips to look first.
const DEPTHS: [u32; 2] = [100, 2_000];

/// Whether the server of a connection refuses to give out `want` by its id, unless its settings are other than git's.
pub(super) fn needs_branches(connection: &Connection, url: &RemoteUrl, want: ObjectId) -> bool {
    let handshake = &connection.handshake;
    let gives_any = ["allow-reachable-sha1-in-want", "allow-any-sha1-in-want"];
    handshake.server_protocol_version != Protocol::V2
        // There each request meets a new process, which takes the word of the last one's for granted.
        && !matches!(url.0, Kind::Http(_))
        && !gives_any.iter().any(|name| handshake.capabilities.contains(name))
        && !advertised(handshake, |_| true).contains(&want)
}

/// The objects that the server names.
fn advertised(handshake: &Handshake, is_meant: impl Fn(&[u8]) -> bool) -> BTreeSet<ObjectId> {
    let found = handshake.refs.iter().flatten().filter_map(|found| match found {
        Ref::Direct { full_ref_name, object } if is_meant(full_ref_name) => Some(*object),
        Ref::Peeled { full_ref_name, tag, .. } if is_meant(full_ref_name) => Some(*tag),
        Ref::Symbolic { full_ref_name, tag, object, .. } if is_meant(full_ref_name) => {
            Some(tag.unwrap_or(*object))
        }
        _ => None,
    });
    found.collect()
}

impl Network {
    /// Bring the branches and tags, as much of their history as it takes until `want` is there with the history asked
    /// for. Whether it is.
    pub(super) fn fetch_branches(&mut self, source: &Source, want: ObjectId, store: &Store) -> Result<bool> {
        let wanted_depth = source.depth;
        let is_deeper = |depth: &u32| wanted_depth.0.is_some_and(|wanted| *depth > wanted.get());
        let depths = DEPTHS.into_iter().filter(is_deeper).map(Depth::new).chain([Depth::FULL]);
        let mut brought = BTreeSet::new();
        for depth in depths {
            let connection = self.connect(source)?;
            let is_tip = |name: &[u8]| {
                name == b"HEAD" || name.starts_with(b"refs/heads/") || name.starts_with(b"refs/tags/")
            };
            let tips = advertised(&connection.handshake, is_tip);
            let repo = store.repository()?;
            let mut haves = store.haves(&repo)?;
            haves.append(&mut brought);
            let shallow = match depth.0 {
                Some(depth) => Shallow::DepthAtRemote(depth),
                None if store.is_shallow(&repo)? => Shallow::undo(),
                None => Shallow::NoChange,
            };
            drop(repo);
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
            brought = tips;
        }
        Ok(false)
    }
}

/// What to do where a server does not give out a commit that was asked for by its id.
pub(super) fn advised(source: &Source, err: Error, version: Protocol) -> Error {
    let is_by_id = matches!(source.reference, Reference::Commit(_));
    if !is_by_id || !REFUSALS.iter().any(|words| err.cause().contains(words)) {
        return err;
    }
    let advice = match version {
        Protocol::V2 => {
            "there is no such commit, or none that may be asked for by its id: see \
                         uploadpack.allowAnySHA1InWant"
        }
        Protocol::V0 | Protocol::V1 => {
            "it is on no branch or tag, and others are given out only where the server's \
             uploadpack.allowReachableSHA1InWant or uploadpack.allowAnySHA1InWant is set, or where it speaks \
             protocol v2 (sshd: AcceptEnv GIT_PROTOCOL)"
        }
    };
    let cause = format!("{}; {advice}", err.cause());
    Error::new(ErrorKind::NotFound, err.step().to_owned(), cause)
}

/// How servers say it: git, older ones, JGit.
const REFUSALS: [&str; 3] = ["not our ref", "not valid", "unadvertised object"];
