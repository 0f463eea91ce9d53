//! The interface to remote repositories, implemented for servers and for repositories on this machine.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;

use crate::error::Result;
use crate::fetched::{StreamedFiles, Tip};
use crate::fs_ext::TemporaryDir;
use crate::objects::Objects;
use crate::spec::Source;
use crate::spec::reference::AdvertisedRef;
use crate::store::Store;
use crate::transport::options::ConnectOptions;

/// A repository to fetch from. Every call passes the [`Source`]; its URL must always be the same.
pub(super) trait Remote: Send {
    /// List the references whose names begin with one of `prefixes`. The list may contain others.
    fn list(&mut self, source: &Source, prefixes: &[String]) -> Result<Vec<AdvertisedRef>>;

    /// Fetch the objects of a commit into the store. With `early_dir`, the remote may write files of the commit to that
    /// directory while the pack arrives.
    fn fetch(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived>;

    /// Commits without their trees; `None` if the remote cannot leave out trees. Nothing of them stays in the store.
    fn commits(
        &mut self,
        source: &Source,
        wanted: &WantedCommits,
        store: &mut Store,
    ) -> Result<Option<Commits>>;

    /// Fetch the blobs that a filter left out and the checkout of `commit` needs, in one request.
    fn fetch_missing_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()>;

    /// Use these options, which have other credentials, from now on.
    fn set_options(&mut self, _options: Arc<ConnectOptions>) {}

    /// Close what only a request that follows at once would use. A later request opens it again.
    fn rest(&mut self) {}

    /// The full name of the reference that `HEAD` stands for, where the remote knows that.
    fn name_of_head(&self) -> Option<&str> {
        None
    }

    /// Whether the remote does not support the filter of the source, and the last fetch was therefore complete.
    fn lacks_filter(&self) -> bool {
        false
    }
}

/// Which commits to look at without fetching them.
pub(super) struct WantedCommits {
    /// The object to request: the commit, or the tag above it.
    pub(super) want: ObjectId,
    /// The newest commit, or the same as `want` if that may be a tag.
    pub(super) commit: ObjectId,
    /// Leave out this commit and all before it.
    pub(super) until: Option<ObjectId>,
    /// How many commits of history.
    pub(super) depth: NonZeroU32,
}

/// Commits, and tags above them, perhaps with other objects. They are gone when this is dropped.
pub(super) struct Commits {
    pub(super) objects: Objects,
    pub(super) _dir: Option<TemporaryDir>,
}

/// The result of a fetch, besides packs.
pub(super) struct Arrived {
    /// The commit, or a tag above it.
    pub(super) object: ObjectId,
    pub(super) files: StreamedFiles,
    /// Whether other commits came with it, which a repack should remove.
    pub(super) has_others: bool,
}
