//! What to sync: a repository, a reference, the depth of the history, and which part of the tree.
//!
//! The texts of users are parsed here; only URLs are parsed in `url`.

pub(crate) mod filter;
pub(crate) mod lfs;
pub(crate) mod path_patterns;
pub(crate) mod ref_pattern;
pub(crate) mod ref_query;
pub(crate) mod reference;
pub(crate) mod sparse;
pub(crate) mod subdirectory;
pub(crate) mod submodules;
pub(crate) mod version;
pub(crate) mod version_range;
pub(crate) mod version_tags;
pub(crate) mod watch_paths;

use std::num::NonZeroU32;
use std::str::FromStr;

use crate::error::ParseError;
use crate::limits::Limits;
use crate::url::RemoteUrl;

use filter::Filter;
use lfs::LfsSelection;
use reference::Reference;
use sparse::SparsePatterns;
use subdirectory::Subdirectory;
use submodules::{SubmoduleMode, SubmoduleRules};

/// A repository, a reference in it, the depth of the history, and which part of the tree becomes files.
///
/// ```
/// use sync_core::{Depth, Reference, Source, VersionTags};
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// let mut source = Source::new("https://example.com/site.git".parse()?, "main".parse()?);
/// source.depth = Depth::FULL;
/// // Instead of a branch, the newest release of 3.1.
/// source.reference = Reference::Highest(VersionTags::new("~3.1".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// The URL to connect to.
    pub url: RemoteUrl,
    /// The URL before `insteadOf`. Relative URLs of submodules start there. The default is `url`.
    pub written: RemoteUrl,
    /// The reference or commit to publish.
    pub reference: Reference,
    /// How much of the history to keep. The default is one commit.
    pub depth: Depth,
    /// Which objects the server may leave out at first. The default is none.
    pub filter: Option<Filter>,
    /// Which part of the tree becomes files. The default is all of it, with all submodules.
    pub selection: Selection,
}

impl Source {
    /// A source with the default for everything else: one commit, its whole tree, and all submodules.
    #[must_use]
    pub fn new(url: RemoteUrl, reference: Reference) -> Self {
        Source {
            written: url.clone(),
            url,
            reference,
            depth: Depth::default(),
            filter: None,
            selection: Selection::default(),
        }
    }
}

/// The number of commits to keep along each line of history; `None` for all. The default is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth(pub Option<NonZeroU32>);

impl Depth {
    /// The whole history.
    pub const FULL: Depth = Depth(None);

    /// The depth of this number of commits; `0` means the whole history.
    #[must_use]
    pub fn new(commits: u32) -> Self {
        Depth(NonZeroU32::new(commits))
    }
}

impl Default for Depth {
    fn default() -> Self {
        Depth::new(1)
    }
}

/// Which part of a commit's tree becomes files, and what it must not contain.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// Which submodules to check out. The default is all, recursively.
    pub submodules: SubmoduleMode,
    /// Which of these to leave out. The default is those that `.gitmodules` leaves out.
    pub submodule_rules: SubmoduleRules,
    /// Which paths to check out; all if `None`.
    pub sparse: Option<SparsePatterns>,
    /// The directory that consumers read; the whole tree if `None`. A commit in which it is no directory with files is
    /// rejected. The rest of the tree becomes files, too: a [`Publisher`](crate::Publisher) shows this part of it.
    pub subdirectory: Option<Subdirectory>,
    /// Which files of Git LFS get their content; none if `None`: their files are pointers then, as without git-lfs.
    pub lfs: Option<LfsSelection>,
    /// Which symbolic links the tree may contain. The default is any.
    pub symlinks: SymlinkPolicy,
    /// How large the commit may be.
    pub limits: Limits,
}

/// Which symbolic links a commit may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymlinkPolicy {
    /// Any. They are created as they are, even if they lead out of the tree.
    #[default]
    Keep,
    /// Only links that stay in the tree, also by way of other links. Links in the subdirectory, if there is one, have
    /// to stay in it. A commit with any other is rejected.
    Inside,
    /// None. A commit with any is rejected.
    Refuse,
}

impl FromStr for SymlinkPolicy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "keep" => Ok(SymlinkPolicy::Keep),
            "inside" => Ok(SymlinkPolicy::Inside),
            "refuse" => Ok(SymlinkPolicy::Refuse),
            _ => Err(format!("{text:?} is neither keep, inside nor refuse").into()),
        }
    }
}
