//! Which objects to request from a server, and in what order.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use gix::protocol::fetch::Shallow;
use gix::protocol::transport::Protocol;

use super::branches::{advised, needs_branches};
use super::network::Network;
use super::protocol::{Request, can_filter, object_kind};
use super::remote::Arrived;
use super::request::{RequestFailure, haves_and_depth};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{StreamedFiles, Tip};
use crate::fs_ext::remove_dir_if_there;
use crate::spec::Source;
use crate::spec::filter::Filter;
use crate::store::Store;
use crate::trees::needed::needed_blobs;

impl Network {
    /// Fetch the pack of a commit.
    pub(super) fn fetch_pack(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived> {
        let mut connection = self.connect(source)?;
        let want = wanted(tip, connection.handshake.server_protocol_version);
        let arrived = |files, has_others| Arrived { object: want, files, has_others };
        let step = || format!("fetch {} from {}", source.reference, source.url);
        let kind = object_kind(&connection.handshake.capabilities);
        if kind != want.kind() {
            let text = format!("{want} is not a {kind} id, but the repository uses {kind}");
            return Err(Error::new(ErrorKind::NotFound, step(), text));
        }
        let filter = source.filter.clone().filter(|_| can_filter(&connection.handshake));
        self.lacks_filter = source.filter.is_some() && filter.is_none();
        store.prepare(kind, filter.as_ref().map(|_| &source.url))?;
        if needs_branches(&connection, &source.url, want) {
            self.keep(connection);
            if self.fetch_branches(source, want, store)? {
                return Ok(arrived(StreamedFiles::default(), true));
            }
            connection = self.connect(source)?;
        }
        let version = connection.handshake.server_protocol_version;
        let (haves, shallow) =
            haves_and_depth(store, BTreeSet::new(), source.depth).map_err(|err| err.within(&step()))?;
        let request =
            Request { wants: vec![want], haves, shallow, filter: filter.as_ref().map(Filter::spec) };
        let is_simple = request.haves.is_empty() && filter.is_none() && source.selection.sparse.is_none();
        if let Some(dir) = early_dir.filter(|_| is_simple) {
            remove_dir_if_there(dir).and_then(|()| fs_err::create_dir(dir)).step(step)?;
            let early = Some((tip.commit.0, dir));
            let files = self.request(source, connection, &request, store, early);
            let files = files.map_err(|err| advised(source, err.into_error(), version))?;
            return Ok(arrived(files, false));
        }
        match self.request(source, connection, &request, store, None) {
            // A delta base is missing or unreadable although we said that we have it: fetch again without haves.
            Err(RequestFailure::Pack(_)) if !request.haves.is_empty() && !self.interrupt.is_triggered() => {
                let connection = self.connect(source)?;
                let alone = Request { haves: BTreeSet::new(), ..request };
                self.request(source, connection, &alone, store, None).map_err(RequestFailure::into_error)?;
            }
            answered => _ = answered.map_err(|err| advised(source, err.into_error(), version))?,
        }
        Ok(arrived(StreamedFiles::default(), false))
    }

    /// Fetch the blobs that a filter left out and the checkout needs, in one request.
    pub(super) fn fetch_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()> {
        let mut repo = store.repository()?;
        repo.objects.refresh_never();
        let objects = store.objects(&repo)?;
        let needed = needed_blobs(&objects, commit, &source.selection)?;
        let wants: Vec<_> = needed.into_iter().filter(|id| !repo.has_object(id)).collect();
        drop(repo);
        if wants.is_empty() {
            return Ok(());
        }
        let request = Request { wants, haves: BTreeSet::new(), shallow: Shallow::NoChange, filter: None };
        let connection = self.connect(source)?;
        self.request(source, connection, &request, store, None)
            .map(|_| ())
            .map_err(RequestFailure::into_error)
    }
}

/// The object to request. Before protocol v2 a server accepts only ids that it advertised: the tag, not the commit
/// below it.
fn wanted(tip: &Tip, version: Protocol) -> ObjectId {
    match version {
        Protocol::V2 if tip.tag.is_some() && !tip.is_unverified => tip.commit.0,
        _ => tip.want,
    }
}
