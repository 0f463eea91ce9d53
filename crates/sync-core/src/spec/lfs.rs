//! Git LFS: which files get their content in place of the pointers to it, and where it is.

use std::num::NonZeroUsize;
use std::str::FromStr;

use gix::bstr::BStr;

use super::path_patterns::PathPatterns;
use crate::error::ParseError;
use crate::url::RemoteUrl;

/// Which files of Git LFS get their content, and where it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LfsSelection {
    /// The URL of the LFS server, for the repository and not for its submodules. The default follows from the URL of
    /// the repository, as git-lfs has it.
    pub url: Option<RemoteUrl>,
    /// If it is not empty, only files that match get their content.
    pub include: PathPatterns,
    /// Files that match do not.
    pub exclude: PathPatterns,
    /// What of the repository's `.lfsconfig` counts. The default is `SameOrigin`.
    pub config: LfsConfig,
    /// What to do if the server lacks an object. The default is `Refuse`.
    pub missing: MissingContent,
    /// How many objects are downloaded at once. The default is 8.
    pub transfers: NonZeroUsize,
    /// Whether a file may be a hard link to the object in the store. The default is `true`.
    pub shares_files: bool,
}

impl Default for LfsSelection {
    fn default() -> Self {
        LfsSelection {
            url: None,
            include: PathPatterns::default(),
            exclude: PathPatterns::default(),
            config: LfsConfig::default(),
            missing: MissingContent::default(),
            transfers: NonZeroUsize::MIN.saturating_add(7),
            shares_files: true,
        }
    }
}

impl LfsSelection {
    /// Whether the patterns take a file.
    pub(crate) fn takes(&self, path: &BStr) -> bool {
        PathPatterns::take(&self.include, &self.exclude, path)
    }

    /// The part that decides which files of a tree have content, in one line.
    pub(crate) fn summary(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.include, self.exclude, self.config, self.missing)
    }
}

/// What of a repository's `.lfsconfig` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LfsConfig {
    /// A URL of the same origin as the default one, and lists of files. A URL of another origin is refused.
    #[default]
    SameOrigin,
    /// Nothing.
    Ignore,
}

impl FromStr for LfsConfig {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "same-origin" => Ok(LfsConfig::SameOrigin),
            "ignore" => Ok(LfsConfig::Ignore),
            _ => Err(format!("must be same-origin or ignore, not {text:?}").into()),
        }
    }
}

/// What to do if the server lacks an object of Git LFS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingContent {
    /// Refuse the commit.
    #[default]
    Refuse,
    /// Leave the pointer, and ask again later.
    Pointer,
}

impl FromStr for MissingContent {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "refuse" => Ok(MissingContent::Refuse),
            "pointer" => Ok(MissingContent::Pointer),
            _ => Err(format!("must be refuse or pointer, not {text:?}").into()),
        }
    }
}
