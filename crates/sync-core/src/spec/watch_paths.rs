//! Which paths must change before a commit is published.

use gix::bstr::BStr;

use super::path_patterns::PathPatterns;
use crate::error::ParseError;

/// The paths that are watched: a new commit is published only if one of them changed. The patterns are those of
/// [`PathPatterns`].
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
    watched: PathPatterns,
    except: PathPatterns,
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
        Ok(WatchPaths { watched: PathPatterns::new(watched)?, except: PathPatterns::new(except)? })
    }

    /// Whether a path is watched. `is_dir` says whether it is a directory.
    pub(crate) fn contains(&self, path: &BStr, is_dir: bool) -> bool {
        self.watched.matches(path, is_dir) && !self.except.matches(path, is_dir)
    }
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
    fn many_wildcards_against_a_long_path_end() {
        // As deep as a path may be, and a name as long as it may be.
        let deep = "a/".repeat(2_000) + "c";
        for pattern in ["**/a/**/a/**/a/**/b", "/**/a*/**/*a/**/?/**/[b]", "a/**/*b*/**/d"] {
            assert!(!watches(&[pattern], &[], &deep), "{pattern}");
        }
        let long = "a".repeat(255);
        for pattern in [&("*a".repeat(20) + "b"), &("*[a-a]".repeat(20) + "b"), &("/*?".repeat(8) + "b")] {
            assert!(!watches(&[pattern], &[], &long), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "!docs"] {
            assert!(WatchPaths::new([text], []).is_err(), "{text:?}");
            assert!(WatchPaths::new(["docs"], [text]).is_err(), "{text:?}");
        }
    }
}
