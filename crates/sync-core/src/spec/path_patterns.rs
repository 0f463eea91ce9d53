//! Lists of patterns of paths.

use gix::bstr::{BStr, ByteSlice};
use gix::glob::Pattern;
use gix::glob::pattern::Case;
use gix::glob::wildmatch;

use crate::error::ParseError;

/// Patterns of gitignore(5): `docs/` is a directory of this name anywhere, `/docs` a path at the top, `*.yaml` a name
/// anywhere. What is below a directory that matches, matches too. A list has no exceptions (`!`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPatterns(Vec<Pattern>);

impl PathPatterns {
    /// Parse a list.
    ///
    /// # Errors
    ///
    /// If a pattern is empty or begins with `!`.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        let parse = |text: &str| match Pattern::from_bytes(text.as_bytes()) {
            Some(pattern) if !pattern.is_negative() => Ok(pattern),
            Some(_) => {
                Err(format!("{text:?} begins with \"!\"; name what to leave out as an exception").into())
            }
            None => Err(ParseError::from(format!("{text:?} is not a pattern of a path"))),
        };
        Ok(PathPatterns(patterns.into_iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether a file is one of `include`, which takes all if it is empty, and none of `exclude`.
    pub(crate) fn take(include: &PathPatterns, exclude: &PathPatterns, path: &BStr) -> bool {
        (include.0.is_empty() || include.matches(path, false)) && !exclude.matches(path, false)
    }

    /// Whether one of the patterns matches the path or a directory above it.
    pub(crate) fn matches(&self, path: &BStr, is_dir: bool) -> bool {
        let above = path.find_iter("/").map(|end| (path[..end].as_bstr(), true));
        let mut paths = above.chain([(path, is_dir)]);
        paths.any(|(path, is_dir)| self.0.iter().any(|pattern| matches_one(pattern, path, is_dir)))
    }
}

fn matches_one(pattern: &Pattern, path: &BStr, is_dir: bool) -> bool {
    let basename = path.rfind_byte(b'/').map(|at| at + 1);
    let mode = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
    pattern.matches_repo_relative_path(path, basename, Some(is_dir), Case::Sensitive, mode)
}
