//! Packs: asking for them and taking them in.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::entry::Mode;
use gix::protocol::fetch::Shallow;

use super::branches::needs_branches;
use super::protocol::{Request, can_filter, object_kind};
use super::request::RequestFailure;
use super::{Fetcher, local};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{StreamedFiles, Tip};
use crate::fs_ext::remove_dir_if_there;
use crate::spec::filter::Filter;
use crate::spec::reference::{CommitId, Reference};
use crate::store::Store;
use crate::trees::index_of;
use crate::url::Kind;
use crate::worktree::entry::needs_writing;

impl Fetcher {
    pub(super) fn fetch_commit(
        &mut self,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<(CommitId, StreamedFiles)> {
        let (mut early, mut has_others) = (StreamedFiles::default(), false);
        let commit = match &self.source.url.0 {
            Kind::Local(path) => {
                local::receive(path, tip, &self.source, store, &self.progress, &self.interrupt)?
            }
            Kind::Http(_) | Kind::Git { .. } | Kind::Ssh(_) => {
                (early, has_others) = self.fetch_pack(tip, store, early_dir)?;
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
            return Err(Error::new(ErrorKind::Server, step(), text));
        }
        store.record(&repo, commit, tip.want)?;
        if has_others {
            store.repack(self.source.depth, &self.progress, &self.interrupt)?;
        }
        if store.is_partial() {
            self.fetch_missing_blobs(commit, store)?;
        }
        self.peeled = Some(CommitId(commit));
        Ok((CommitId(commit), early))
    }

    /// The pack of a fetch; its files, too, are written to `early_dir` where that can be done. And whether commits
    /// came that are not wanted.
    fn fetch_pack(
        &mut self,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<(StreamedFiles, bool)> {
        let want = tip.want;
        let mut connection = self.connect()?;
        let (reference, url) = (self.source.reference.clone(), self.source.url.clone());
        let step = || format!("fetch {reference} from {url}");
        let kind = object_kind(&connection.handshake.capabilities);
        if kind != want.kind() {
            let text = format!("{want} is no {kind} id, but the repository's are");
            return Err(Error::new(ErrorKind::NotFound, step(), text));
        }
        let filter = self.source.filter.clone().filter(|_| can_filter(&connection.handshake));
        self.lacks_filter = self.source.filter.is_some() && filter.is_none();
        store.prepare(kind, filter.as_ref().map(|_| &self.source.url))?;
        if needs_branches(&connection, &self.source.url, want) {
            self.connection = Some(connection);
            if self.fetch_branches(want, store)? {
                return Ok((StreamedFiles::default(), true));
            }
            connection = self.connect()?;
        }
        let version = connection.handshake.server_protocol_version;
        let repo = store.repository()?;
        let shallow = match self.source.depth.0 {
            Some(depth) => Shallow::DepthAtRemote(depth),
            None if store.is_shallow(&repo).map_err(|err| err.within(&step()))? => Shallow::undo(),
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
            let received = self.request(connection, &request, store, early);
            let early = received.map_err(|err| self.advised(err.into_error(), version))?;
            return Ok((early, false));
        }
        match self.request(connection, &request, store, None) {
            // A delta whose base is not there or not readable: what we said we have is not to be relied on.
            Err(RequestFailure::Pack(_)) if !request.haves.is_empty() && !self.interrupt.is_triggered() => {
                let connection = self.connect()?;
                let alone = Request { haves: BTreeSet::new(), ..request };
                self.request(connection, &alone, store, None).map_err(RequestFailure::into_error)?;
            }
            answered => _ = answered.map_err(|err| self.advised(err.into_error(), version))?,
        }
        Ok((StreamedFiles::default(), false))
    }

    /// Ask for the blobs that a filter left out and the checkout needs, all at once.
    pub(super) fn fetch_missing_blobs(&mut self, commit: ObjectId, store: &Store) -> Result<()> {
        let step = || format!("find out what the tree of {commit} lacks");
        let mut repo = store.repository()?;
        repo.objects.refresh_never();
        let mut index =
            index_of(&store.objects(&repo)?, commit, &self.source.selection.limits, &mut 0, None)?;
        if let Some(sparse) = &self.source.selection.sparse {
            sparse.apply(&mut index).step(step)?;
        }
        let mut wants = BTreeSet::new();
        for entry in index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT) {
            // The form of every file depends on them, wherever they are.
            let decides =
                matches!(entry.path(&index).rsplit_str("/").next(), Some(b".gitattributes" | b".gitmodules"));
            if (decides || needs_writing(entry)) && !repo.has_object(entry.id) {
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
        self.request(connection, &request, store, None).map(|_| ()).map_err(RequestFailure::into_error)
    }
}
