//! The results of the fetch stages, which the checkout uses: the tip of a reference, the fetched commit, and the files
//! that were written while its pack arrived.

use std::collections::HashSet;

use gix::ObjectId;
use gix::bstr::BString;
use gix::index::entry::Stat;
use gix::objs::{Find, Kind};

use crate::error::Result;
use crate::lfs::endpoint::RepositoryConfig;
use crate::lfs::store::LfsStore;
use crate::lfs::{LfsObject, Oid};
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
    /// Whether a verifier has yet to see the commit. Then the tag is fetched, too, and no file is written meanwhile.
    pub(crate) is_unverified: bool,
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
            is_unverified: false,
        }
    }

    /// Whether both are the same commit, by the same reference and tag.
    pub(crate) fn is_same(&self, other: &Tip) -> bool {
        (self.commit, self.tag, &self.reference) == (other.commit, other.tag, &other.reference)
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

/// The objects of a commit that is not checked out yet.
#[derive(Clone, Debug)]
pub struct Received {
    pub(crate) tip: Tip,
    commit_object: Vec<u8>,
    tag_object: Option<Vec<u8>>,
}

impl Received {
    /// Read the objects of a tip; `None` if one is missing.
    pub(crate) fn read(objects: &impl Find, tip: &Tip) -> gix::Result<Option<Received>> {
        let read = |id: ObjectId, kind: Kind| {
            let mut buffer = Vec::new();
            let found = objects.try_find(&id, &mut buffer)?.is_some_and(|object| object.kind == kind);
            Ok::<_, gix::Error>(found.then_some(buffer))
        };
        let Some(commit_object) = read(tip.commit.0, Kind::Commit)? else { return Ok(None) };
        let tag_object = tip.tag.map(|tag| read(tag, Kind::Tag)).transpose()?;
        Ok(match tag_object {
            Some(None) => None,
            tag => Some(Received { tip: tip.clone(), commit_object, tag_object: tag.flatten() }),
        })
    }

    /// The commit.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.tip.commit
    }

    /// Where the reference points, including the annotated tag if there is one.
    #[must_use]
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The content of the commit object, without the header of the object. A signature is part of it and covers the
    /// rest. Its hash is the id of the commit.
    #[must_use]
    pub fn commit_object(&self) -> &[u8] {
        &self.commit_object
    }

    /// The content of the annotated tag that the reference names; `None` if it names none. Its hash is
    /// [`Tip::tag`].
    #[must_use]
    pub fn tag_object(&self) -> Option<&[u8]> {
        self.tag_object.as_deref()
    }
}

/// An object of Git LFS, and one of the paths that need it.
#[derive(Clone, Debug)]
pub(crate) struct WantedContent {
    pub(crate) object: LfsObject,
    pub(crate) path: BString,
}

/// What came of the objects that were wanted.
#[derive(Debug, Default)]
pub(crate) struct LfsReceived {
    /// How many came.
    pub(crate) fetched: usize,
    /// Those that the server does not have, where pointers may stay.
    pub(crate) missing: HashSet<Oid>,
}

/// Where the objects of Git LFS of a repository come from.
pub(crate) trait LfsRemote: std::fmt::Debug + Send {
    /// Check what `.lfsconfig` says of the server.
    ///
    /// # Errors
    ///
    /// If it names a URL that must not be used.
    fn check(&self, config: &RepositoryConfig) -> Result<()>;

    /// Bring objects into `store`. No two are the same.
    fn fetch(
        &self,
        wanted: &[WantedContent],
        config: &RepositoryConfig,
        store: &LfsStore,
    ) -> Result<LfsReceived>;
}

/// A commit that is in the store with its tree and its submodules. Check it out with
/// [`checkout`](crate::stages::checkout) and the same store.
#[derive(Debug)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitId,
    pub(crate) selection: Selection,
    pub(crate) submodules: Vec<FetchedSubmodule>,
    /// Where its contents of Git LFS come from, if they are wanted.
    pub(crate) lfs: Option<Box<dyn LfsRemote>>,
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
    Tip {
        commit: CommitId(commit),
        want: commit,
        reference: None,
        tag: None,
        version: None,
        rival: None,
        is_unverified: false,
    }
}

/// The files that were written while a pack arrived. There may be a million, so each has only a few bytes here.
#[derive(Debug, Default)]
pub(crate) struct StreamedFiles {
    /// The paths of the directories with files, in the order of their first files; empty for the root of the tree.
    pub(crate) dirs: Vec<BString>,
    /// Sorted.
    pub(crate) files: Vec<StreamedFile>,
}

impl StreamedFiles {
    /// Each directory, and its files in the order of their numbers.
    pub(crate) fn by_directory(&self) -> impl Iterator<Item = (&BString, &[StreamedFile])> {
        self.dirs.iter().zip(self.files.chunk_by(|a, b| a.dir == b.dir))
    }
}

/// A file that was written while a pack arrived. It has the content and the mode of its entry in the tree of the commit.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamedFile {
    /// The same for all files of a directory.
    pub(crate) dir: u32,
    /// The position of the file among the entries of the directory that are no directories.
    pub(crate) number: u32,
    pub(crate) stat: Stat,
}
