//! The interface to remote repositories, implemented for servers and for repositories on this machine.

use std::path::Path;

use gix::ObjectId;

use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetched::{StreamedFiles, Tip};
use crate::spec::Source;
use crate::spec::ref_query::RefQuery;
use crate::spec::reference::AdvertisedRef;
use crate::store::Store;

/// A repository to fetch from. Every call passes the [`Source`]; its URL must always be the same.
pub(super) trait Remote: Send {
    /// List the references that the query may choose from. The list may contain others.
    fn list(&mut self, source: &Source, query: &RefQuery) -> Result<Vec<AdvertisedRef>>;

    /// Fetch the objects of a commit into the store. With `early_dir`, the remote may write files of the commit to that
    /// directory while the pack arrives.
    fn fetch(
        &mut self,
        source: &Source,
        tip: &Tip,
        store: &mut Store,
        early_dir: Option<&Path>,
    ) -> Result<Arrived>;

    /// Fetch the blobs that a filter left out and the checkout of `commit` needs, in one request.
    fn fetch_missing_blobs(&mut self, source: &Source, commit: ObjectId, store: &Store) -> Result<()>;

    /// Use these credentials from now on, if the remote needs any.
    fn set_credentials(&mut self, _credentials: &Credentials) {}

    /// Whether the remote does not support the filter of the source, and the last fetch was therefore complete.
    fn lacks_filter(&self) -> bool {
        false
    }
}

/// The result of a fetch, besides packs.
pub(super) struct Arrived {
    /// The commit, or a tag above it.
    pub(super) object: ObjectId,
    pub(super) files: StreamedFiles,
    /// Whether other commits came with it, which a repack should remove.
    pub(super) has_others: bool,
}
