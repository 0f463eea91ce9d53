//! Which paths must change before a commit is published.

use gix::bstr::{BStr, ByteSlice};
use gix::glob::Pattern;
use gix::glob::pattern::Case;
use gix::glob::wildmatch;

use crate::error::ParseError;

/// The paths that are watched: a new commit is published only if one of them changed. The patterns are those of
/// gitignore(5): `docs/` is a directory of this name anywhere, `/docs` a path at the top, `*.yaml` a name anywhere.
/// What is below a directory that matches, matches too.
///
/// ```
/// use sync_core::WatchPaths;
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// let paths = WatchPaths::new(["/deploy", "*.yaml"], ["/deploy/drafts"])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPaths {
    watched: Vec<Pattern>,
    except: Vec<Pattern>,
}

impl WatchPaths {
    /// Watch what matches one of the patterns in `watched`, but none in `except`.
    ///
    /// # Errors
    ///
    /// If a pattern is empty or begins with `!`.
    pub fn new<'a>(
        watched: impl IntoIterator<Item = &'a str>,
        except: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ParseError> {
        let parse = |text: &str| match Pattern::from_bytes(text.as_bytes()) {
            Some(pattern) if !pattern.is_negative() => Ok(pattern),
            Some(_) => {
                Err(format!("{text:?} begins with \"!\"; name what to leave out as an exception").into())
            }
            None => Err(ParseError::from(format!("{text:?} is not a pattern of a path"))),
        };
        let watched = watched.into_iter().map(parse).collect::<Result<_, _>>()?;
        let except = except.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(WatchPaths { watched, except })
    }

    /// Whether a path is watched. `is_dir` says whether it is a directory.
    pub(crate) fn contains(&self, path: &BStr, is_dir: bool) -> bool {
        matches(&self.watched, path, is_dir) && !matches(&self.except, path, is_dir)
    }
}

/// Whether one of the patterns matches the path or a directory above it.
fn matches(patterns: &[Pattern], path: &BStr, is_dir: bool) -> bool {
    let above = path.find_iter("/").map(|end| (path[..end].as_bstr(), true));
    let mut paths = above.chain([(path, is_dir)]);
    paths.any(|(path, is_dir)| patterns.iter().any(|pattern| matches_one(pattern, path, is_dir)))
}

fn matches_one(pattern: &Pattern, path: &BStr, is_dir: bool) -> bool {
    let basename = path.rfind_byte(b'/').map(|at| at + 1);
    let mode = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
    pattern.matches_repo_relative_path(path, basename, Some(is_dir), Case::Sensitive, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(watched: &[&str], except: &[&str], path: &str) -> bool {
        let paths = WatchPaths::new(watched.iter().copied(), except.iter().copied()).unwrap();
        paths.contains(path.into(), false)
    }

    #[test]
    fn patterns_match_as_in_gitignore() {
        for (pattern, path, expected) in [
            ("docs", "docs/a", true),
            ("docs", "x/docs/a/b", true),
            ("docs", "docs", true),
            ("docs/", "docs", false),
            ("docs/", "docs/a", true),
            ("/docs", "x/docs/a", false),
            ("a/b", "a/b/c", true),
            ("a/b", "x/a/b/c", false),
            ("*.yaml", "x/y.yaml", true),
            ("*.yaml", "x/y.yml", false),
            ("a/*.yaml", "a/b/y.yaml", false),
            ("a/**/y", "a/b/c/y", true),
        ] {
            assert_eq!(watches(&[pattern], &[], path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn an_exception_wins() {
        assert!(watches(&["docs"], &["docs/drafts"], "docs/a"));
        assert!(!watches(&["docs"], &["docs/drafts"], "docs/drafts/a"));
        assert!(!watches(&["docs"], &["*.md"], "docs/a.md"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "!docs"] {
            assert!(WatchPaths::new([text], []).is_err(), "{text:?}");
            assert!(WatchPaths::new(["docs"], [text]).is_err(), "{text:?}");
        }
    }
}
