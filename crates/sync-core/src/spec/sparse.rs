//! Sparse patterns: which paths to check out.

use std::sync::Arc;

use gix::bstr::BStr;
use gix::index::State;
use gix::index::entry::{Flags, Mode, Stat};

use super::subdirectory::Subdirectory;

/// Patterns of git-sparse-checkout(1). As in git, patterns of the form of cone mode are matched in cone mode.
#[derive(Clone, Debug, PartialEq)]
pub struct SparsePatterns {
    text: Arc<[u8]>,
    /// The directories that the patterns stand for; `None` if not known.
    directories: Option<Arc<[String]>>,
}

impl SparsePatterns {
    /// The largest size of a pattern file, in bytes. Parsed patterns need up to 70 times as much memory.
    pub const MAX_SIZE: u64 = 512 << 10;

    /// The patterns in the text of a pattern file. The caller keeps the size below [`SparsePatterns::MAX_SIZE`].
    #[must_use]
    pub fn from_text(text: impl Into<Vec<u8>>) -> Self {
        SparsePatterns { text: text.into().into(), directories: None }
    }

    /// Patterns in cone mode: these directories with everything below them, and the files directly in each of their
    /// parents.
    #[must_use]
    pub fn directories<'a>(directories: impl IntoIterator<Item = &'a str>) -> Self {
        let mut lines = vec!["/*".to_owned(), "!/*/".to_owned()];
        let parts = |directory: &'a str| directory.split('/').filter(|part| !part.is_empty()).collect();
        let all: Vec<Vec<&str>> = directories.into_iter().map(parts).collect();
        // A directory below another one of the list is already included.
        let is_below =
            |parts: &[&str]| all.iter().any(|other| other.len() < parts.len() && parts.starts_with(other));
        for parts in all.iter().filter(|parts| !is_below(parts)) {
            let mut path = String::new();
            for (number, part) in parts.iter().enumerate() {
                path.push('/');
                path.push_str(part);
                let own = [format!("{path}/"), format!("!{path}/*/")];
                let count = if number + 1 == parts.len() { 1 } else { 2 };
                lines.extend(own.into_iter().take(count));
            }
        }
        let mut seen = std::collections::HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        // Other names could be patterns.
        let is_plain =
            |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let are_plain = all.iter().flatten().all(is_plain);
        let names = || all.iter().map(|parts| parts.join("/")).collect();
        let text = (lines.join("\n") + "\n").into_bytes().into();
        SparsePatterns { text, directories: are_plain.then(names) }
    }

    /// Whether it is known which directories the patterns stand for.
    pub(crate) fn name_directories(&self) -> bool {
        self.directories.is_some()
    }

    /// Whether the patterns may select files in a directory, or below it.
    pub(crate) fn may_select(&self, directory: &BStr) -> bool {
        let is_within = |inner: &[u8], outer: &[u8]| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.directories.as_ref().is_none_or(|named| {
            named
                .iter()
                .any(|name| is_within(directory, name.as_bytes()) || is_within(name.as_bytes(), directory))
        })
    }

    /// Whether patterns in cone mode leave out a directory and all that may be in it.
    #[must_use]
    pub fn leave_out(&self, directory: &Subdirectory) -> bool {
        let kind = gix::hash::Kind::Sha1;
        let mut index = State::new(kind);
        // In cone mode, files of any name directly in a directory are in or out alike.
        let file = format!("{directory}/file");
        let (id, mode) = (gix::ObjectId::empty_blob(kind), Mode::FILE);
        index.dangerously_push_entry(Stat::default(), id, Flags::empty(), mode, file.as_str().into());
        self.apply(&mut index).is_ok()
            && index.entries().iter().any(|entry| entry.flags.contains(Flags::SKIP_WORKTREE))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Mark the entries that are left out with `SKIP_WORKTREE`.
    pub(crate) fn apply(&self, index: &mut State) -> gix::Result<()> {
        let case = gix::glob::pattern::Case::Sensitive;
        gix::worktree::sparse::apply_patterns(index, &self.text, "sparse-checkout".as_ref(), true, case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_cone_patterns() {
        let patterns = SparsePatterns::directories(["a/b", "c", "/a/d/"]);
        let expected = "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/c/\n/a/d/\n";
        assert_eq!(std::str::from_utf8(patterns.bytes()).unwrap(), expected);
        let nested = SparsePatterns::directories(["a/b", "c", "c/d", "a/b/e/f"]);
        let expected = "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/c/\n";
        assert_eq!(std::str::from_utf8(nested.bytes()).unwrap(), expected);
    }

    #[test]
    fn a_directory_of_the_list_or_above_or_below_one_is_not_left_out() {
        let patterns = SparsePatterns::directories(["a/b", "c"]);
        for (directory, is_left_out) in [
            ("a", false),
            ("a/b", false),
            ("a/b/d", false),
            ("c/d/e", false),
            ("a/c", true),
            ("a/bc", true),
            ("d", true),
            ("b", true),
        ] {
            assert_eq!(patterns.leave_out(&directory.parse().unwrap()), is_left_out, "{directory}");
            assert_eq!(patterns.may_select(directory.into()), !is_left_out, "{directory}");
        }
    }
}
