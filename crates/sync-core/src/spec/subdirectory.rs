//! The directory of a commit that consumers read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use gix::bstr::BStr;

use crate::error::ParseError;
use crate::paths::validate_name;

/// A directory of a commit, by its path from the root of the tree. Its parts are names that a tree may have, so that
/// the path leads neither out of a tree nor into its `.git`.
///
/// ```
/// let subdirectory: sync_core::Subdirectory = "site/public".parse()?;
/// # Ok::<(), sync_core::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subdirectory(String);

impl Subdirectory {
    /// The path, with `/` between its parts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path and the paths of the directories that it lies in, the uppermost first.
    pub(crate) fn levels(&self) -> impl Iterator<Item = &BStr> {
        let ends = self.0.match_indices('/').map(|(at, _)| at).chain([self.0.len()]);
        ends.map(|end| self.0[..end].into())
    }

    /// Whether a path of the tree lies in this directory.
    pub(crate) fn holds(&self, path: &BStr) -> bool {
        path.strip_prefix(self.0.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    }
}

impl AsRef<Path> for Subdirectory {
    fn as_ref(&self) -> &Path {
        self.0.as_ref()
    }
}

impl fmt::Display for Subdirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Subdirectory {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.starts_with('/') {
            return Err(format!("{text:?} is absolute; write the path from the root of the commit").into());
        }
        if text.contains('\0') {
            return Err(format!("{text:?} has a NUL, which no name may have").into());
        }
        for part in text.split('/') {
            if part.is_empty() {
                return Err(format!("{text:?} has an empty part; write a path such as site/public").into());
            }
            validate_name(part.into(), None)
                .map_err(|fault| format!("{text:?} is not allowed because of {part:?}: {fault}"))?;
        }
        Ok(Subdirectory(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalised_relative_path_is_taken_as_it_is() {
        for path in ["a", "a/b", "..a/b..", ".github/workflows", "a b/ü", ".worktrees", "git~2"] {
            assert_eq!(path.parse::<Subdirectory>().unwrap().as_str(), path);
        }
    }

    #[test]
    fn a_path_out_of_a_tree_or_into_gits_own_is_refused() {
        for path in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "./a",
            "a/.",
            "..",
            "a/../b",
            "../a",
            ".git",
            ".git/hooks",
            "a/.GIT",
            ".Git/x",
            "GIT~1",
            "git~1/x",
            ".git ",
            ".git.",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            "a\\.git",
            "a\0b",
        ] {
            assert!(path.parse::<Subdirectory>().is_err(), "{path:?}");
        }
    }

    #[test]
    fn its_levels_begin_at_the_top_and_it_holds_what_lies_below() {
        let directory: Subdirectory = "a/b/c".parse().unwrap();
        assert!(directory.levels().eq(["a", "a/b", "a/b/c"]));
        for (path, is_held) in
            [("a/b/c/d", true), ("a/b/c/d/e", true), ("a/b/c", false), ("a/b/cd", false), ("a/b", false)]
        {
            assert_eq!(directory.holds(path.into()), is_held, "{path}");
        }
    }
}
