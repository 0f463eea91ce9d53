//! The results of the fetch stages, which the checkout uses: the tip of a reference, the fetched commit, and the files
//! that were written while its pack arrived.

use gix::ObjectId;
use gix::bstr::BString;
use gix::index::entry::Stat;

use crate::spec::Selection;
use crate::spec::ref_query::Choice;
use crate::spec::reference::{AdvertisedRef, CommitId};
use crate::spec::version::Version;
use crate::url::RemoteUrl;

/// Where a reference points.
#[derive(Clone, Debug)]
pub struct Tip {
    /// The commit, annotated tags peeled.
    pub commit: CommitId,
    /// The object to request: the commit, or the tag above it. Before protocol v2 a server accepts only ids that it
    /// advertised.
    pub(crate) want: ObjectId,
    pub(crate) reference: Option<String>,
    pub(crate) tag: Option<ObjectId>,
    pub(crate) version: Option<Version>,
    pub(crate) rival: Option<String>,
}

impl Tip {
    pub(crate) fn of(choice: &Choice) -> Tip {
        let AdvertisedRef { name, commit, tag } = choice.found;
        Tip {
            commit: CommitId(*commit),
            want: tag.unwrap_or(*commit),
            reference: Some(name.clone()),
            tag: *tag,
            version: choice.version.clone(),
            rival: choice.rival.map(ToOwned::to_owned),
        }
    }

    /// The full name of the reference that was chosen; `None` if the source names a commit id.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The id of the annotated tag that the reference names, if it names one.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        self.tag.map(|tag| tag.to_string())
    }

    /// The version that the reference names, if it was chosen by version.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// The full name of another tag of the same version that names another commit, such as `1.2.3` beside `v1.2.3`.
    /// Somebody should remove one of them.
    #[must_use]
    pub fn rival(&self) -> Option<&str> {
        self.rival.as_deref()
    }
}

/// A commit that is in the store with its tree and its submodules. Check it out with
/// [`checkout`](crate::stages::checkout) and the same store.
#[derive(Debug)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitId,
    pub(crate) selection: Selection,
    pub(crate) submodules: Vec<FetchedSubmodule>,
    /// The files that were written while the pack arrived.
    pub(crate) early: StreamedFiles,
}

/// A submodule whose commit is in its own store.
#[derive(Debug)]
pub(crate) struct FetchedSubmodule {
    /// The path in the tree of its parent.
    pub(crate) path: BString,
    pub(crate) url: RemoteUrl,
    pub(crate) fetched: Fetched,
}

pub(crate) fn tip(commit: ObjectId) -> Tip {
    Tip { commit: CommitId(commit), want: commit, reference: None, tag: None, version: None, rival: None }
}

/// The files that were written while a pack arrived.
#[derive(Debug, Default)]
pub(crate) struct StreamedFiles {
    /// Sorted by path.
    pub(crate) files: Vec<StreamedFile>,
}

/// A file that was written while a pack arrived.
#[derive(Debug)]
pub(crate) struct StreamedFile {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
    pub(crate) is_executable: bool,
    pub(crate) stat: Stat,
}
