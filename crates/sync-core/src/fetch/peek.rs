//! Commits of a server without their trees: to judge a commit before it is fetched. They go to a temporary directory,
//! which is removed at once: a commit without its tree must not be in the store.

use std::collections::BTreeSet;
use std::path::PathBuf;

use gix::ObjectId;
use gix::protocol::fetch::Shallow;

use super::network::Network;
use super::protocol::{Request, can_filter, object_kind};
use super::request::{PackTarget, RequestFailure};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Tip, TipObjects};
use crate::fs_ext::remove_dir_if_there;
use crate::limits::Limits;
use crate::objects::Objects;
use crate::objects::ancestry::{Ancestry, MAX_COMMITS, ancestry};
use crate::spec::{Depth, Source};
use crate::store::Store;

/// The largest pack of commits, in bytes. Without their trees, 10,000 commits with long messages have about 10 MiB.
const MAX_PACK: u64 = 64 << 20;

impl Network {
    /// The objects of the tip; `None` if the server cannot leave out trees.
    pub(super) fn peek_commit(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
    ) -> Result<Option<TipObjects>> {
        let Some(commits) = self.commits(source, tip.want, None, 1, store)? else { return Ok(None) };
        let step = || format!("fetch the commit {} from {}", tip.commit, source.url);
        let missing = || Error::new(ErrorKind::Server, step(), "the server did not send it");
        TipObjects::read(&commits.objects, tip).step(step)?.ok_or_else(missing).map(Some)
    }

    /// Whether `new` descends from `old`; `None` if the server cannot leave out trees.
    pub(super) fn compare_history(
        &mut self,
        source: &Source,
        new: ObjectId,
        old: ObjectId,
        store: &mut Store,
    ) -> Result<Option<Ancestry>> {
        // One more than are searched, so that the search notices that there are more.
        let Some(commits) = self.commits(source, new, Some(old), MAX_COMMITS + 1, store)? else {
            return Ok(None);
        };
        let step = || format!("compare the history of {new} with {old}");
        ancestry(&commits.objects, new, old, &self.interrupt).map(Some).step(step)
    }

    /// Fetch `depth` commits of history of `want`, without those that `have` has; `None` if the server cannot leave
    /// out trees.
    fn commits(
        &mut self,
        source: &Source,
        want: ObjectId,
        have: Option<ObjectId>,
        depth: u32,
        store: &mut Store,
    ) -> Result<Option<Commits>> {
        let connection = self.connect(source)?;
        if !can_filter(&connection.handshake) {
            self.connection = Some(connection);
            return Ok(None);
        }
        let kind = object_kind(&connection.handshake.capabilities);
        store.prepare(kind, source.filter.as_ref().map(|_| &source.url))?;
        let dir = TemporaryDir::create(store)?;
        let limits =
            Limits { pack_size: source.selection.limits.pack_size.min(MAX_PACK), ..Limits::default() };
        let target = PackTarget {
            pack_dir: dir.0.clone(),
            shallow_file: dir.0.join("shallow"),
            limits: &limits,
            tree: None,
        };
        let depth = Depth::new(depth).0.map_or(Shallow::NoChange, Shallow::DepthAtRemote);
        let haves = BTreeSet::from_iter(have);
        let request = Request { wants: vec![want], haves, shallow: depth, filter: Some("tree:0") };
        let answered = match self.request_into(&target, source, connection, &request, store) {
            // We may lack what `have` has, and with it the base of a delta.
            Err(RequestFailure::Pack(_)) if have.is_some() && !self.interrupt.is_triggered() => {
                let connection = self.connect(source)?;
                let alone = Request { haves: BTreeSet::new(), ..request };
                self.request_into(&target, source, connection, &alone, store)
            }
            answered => answered,
        };
        answered.map_err(RequestFailure::into_error)?;
        let repo = store.repository()?;
        let objects = Objects::of_packs(&dir.0, &repo, &dir.0, store.resources())
            .step(|| format!("read the commits in {}", dir.0.display()))?;
        Ok(Some(Commits { objects, _dir: dir }))
    }
}

/// Commits that are not in the store.
struct Commits {
    objects: Objects,
    _dir: TemporaryDir,
}

/// A directory that is removed on drop.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn create(store: &Store) -> Result<TemporaryDir> {
        let dir = store.git_dir().join("tmp-commits");
        remove_dir_if_there(&dir)
            .and_then(|()| fs_err::create_dir(&dir))
            .step(|| format!("create {}", dir.display()))?;
        Ok(TemporaryDir(dir))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed with other leftovers.
        let _ = remove_dir_if_there(&self.0);
    }
}
