//! What a fetch brings: the tip of a reference, its commit with all that its tree needs, and the files that were
//! written meanwhile.

use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::BString;
use gix::index::entry::Stat;

use crate::spec::Selection;
use crate::spec::reference::{AdvertisedRef, CommitId};
use crate::url::RemoteUrl;

/// Where a reference points.
#[derive(Clone, Debug)]
pub struct Tip {
    /// The commit, annotated tags peeled.
    pub commit: CommitId,
    /// The object to ask for: the commit, or a tag above it. An old server knows only what it advertised.
    pub(crate) want: ObjectId,
    pub(crate) reference: Option<String>,
    pub(crate) tag: Option<ObjectId>,
}

impl Tip {
    pub(crate) fn of(chosen: &AdvertisedRef) -> Tip {
        let AdvertisedRef { name, commit, tag } = chosen;
        Tip {
            commit: CommitId(*commit),
            want: tag.unwrap_or(*commit),
            reference: Some(name.clone()),
            tag: *tag,
        }
    }

    /// The full name of the reference that was chosen; `None` for a commit that was asked for by its id.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The id of the annotated tag that the reference names, if it names one.
    pub fn tag(&self) -> Option<String> {
        self.tag.map(|tag| tag.to_string())
    }
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
    Tip { commit: CommitId(commit), want: commit, reference: None, tag: None }
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
