//! Where a repository is read from: the seam for servers, repositories on this machine, and whatever comes next.

use std::path::Path;

use gix::ObjectId;

use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetched::{StreamedFiles, Tip};
use crate::spec::Source;
use crate::spec::reference::{AdvertisedRef, RefQuery};
use crate::store::Store;

/// A repository that can be read. Its URL is that of the [`Source`] that every call is given; a remote is used for one
/// URL only.
pub(super) trait Remote: Send {
    /// The references that a query may choose from; more do no harm.
    fn list(&mut self, source: &Source, query: &RefQuery) -> Result<Vec<AdvertisedRef>>;

    /// Bring the objects of a commit into the store. Where it can be done, its files are written to `early_dir`
    /// meanwhile.
    fn fetch(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived>;

    /// Bring the blobs that a filter left out and the checkout of `commit` needs, in one request.
    fn fetch_missing_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()>;

    /// Log in with these from now on, where logins are needed.
    fn set_credentials(&mut self, _credentials: &Credentials) {}

    /// Whether the last fetch asked for a filter that the remote does not support: it sent everything.
    fn lacks_filter(&self) -> bool {
        false
    }
}

/// What a fetch brought besides packs.
pub(super) struct Arrived {
    /// The commit, or a tag above it.
    pub(super) object: ObjectId,
    pub(super) files: StreamedFiles,
    /// Whether commits came that nobody asked for.
    pub(super) has_others: bool,
}
