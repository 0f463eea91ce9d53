//! What a fetch brings: the tip of a reference, its commit with all that its tree needs, and the files that were
//! written meanwhile.

use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::BString;
use gix::index::entry::Stat;

use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::url::RemoteUrl;

/// Where the reference points now.
#[derive(Clone, Debug)]
pub struct Tip {
    /// The commit, annotated tags peeled.
    pub commit: CommitId,
    /// The object to ask for: the commit, or the tag that an old server wants named.
    pub(crate) want: ObjectId,
}

/// A commit whose tree is in the store, all of it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitId,
    pub(crate) selection: Selection,
    pub(crate) submodules: Vec<FetchedSubmodule>,
    /// What was made while the pack came.
    pub(crate) early: Arc<StreamedFiles>,
}

/// A submodule whose commit is in a store of its own.
#[derive(Clone, Debug)]
pub(crate) struct FetchedSubmodule {
    /// Below the tree it belongs to.
    pub(crate) path: BString,
    pub(crate) url: RemoteUrl,
    pub(crate) fetched: Fetched,
}

pub(crate) fn tip(commit: ObjectId) -> Tip {
    Tip { commit: CommitId(commit), want: commit }
}

/// What was made on the way.
#[derive(Debug, Default)]
pub(crate) struct StreamedFiles {
    /// Sorted by path.
    pub(crate) files: Vec<StreamedFile>,
}

/// A file that was written.
#[derive(Debug)]
pub(crate) struct StreamedFile {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
    pub(crate) is_executable: bool,
    pub(crate) stat: Stat,
}
