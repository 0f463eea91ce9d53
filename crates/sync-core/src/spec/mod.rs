//! What to fetch: a remote repository, a reference in it, and how much of its history.
//!
//! What is said in text is parsed here, and the URL in `url`.

pub(crate) mod filter;
pub(crate) mod reference;
pub(crate) mod sparse;
pub(crate) mod submodules;

use std::num::NonZeroU32;
use std::str::FromStr;

use crate::error::ParseError;
use crate::limits::Limits;
use crate::url::RemoteUrl;

use filter::Filter;
use reference::Reference;
use sparse::SparsePatterns;
use submodules::{SubmoduleMode, SubmoduleRules};

/// A repository, a reference in it, and how much of its history.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the repository is.
    pub url: RemoteUrl,
    /// The same before `insteadOf`: where relative URLs of its submodules start.
    pub written: RemoteUrl,
    /// What of it to publish.
    pub reference: Reference,
    /// How much of its history to keep.
    pub depth: Depth,
    /// Which objects the server may leave out at first.
    pub filter: Option<Filter>,
    /// What of the tree is to become files.
    pub selection: Selection,
}

impl Source {
    /// One commit, with all of its tree and its submodules.
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

/// The number of commits to keep; [`Depth::FULL`] for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth(pub Option<NonZeroU32>);

impl Depth {
    /// The whole history.
    pub const FULL: Depth = Depth(None);

    /// `0` means the whole history.
    pub fn new(commits: u32) -> Self {
        Depth(NonZeroU32::new(commits))
    }
}

impl Default for Depth {
    fn default() -> Self {
        Depth::new(1)
    }
}

/// What of a commit's tree is to become files, and what may not be in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Which submodules to bring along.
    pub submodules: SubmoduleMode,
    /// Which of these are left out all the same.
    pub submodule_rules: SubmoduleRules,
    /// Which paths to check out; all where none are given.
    pub sparse: Option<SparsePatterns>,
    /// Which symbolic links may be in the tree.
    pub symlinks: SymlinkPolicy,
    /// How much the commit may come to.
    pub limits: Limits,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SymlinkPolicy {
    /// They are made as they are, wherever they lead.
    #[default]
    Keep,
    /// A commit with one that leads out of its tree is refused, also where other links of the tree lead there.
    Inside,
    /// A commit with any is refused.
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
