//! The paths that differ between two trees, according to their indices.

use std::cmp::Ordering;

use gix::bstr::{BString, ByteSlice};
use gix::index::{Entry, State};

use crate::worktree::entry::to_path;

/// A path that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    path: BString,
    kind: ChangeKind,
}

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The path is new.
    Added,
    /// Its content or its mode differs, or it is a submodule at another commit.
    Modified,
    /// The path no longer exists.
    Removed,
}

impl Change {
    /// The path, relative to the root of the tree.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        to_path(self.path.as_bstr())
    }

    /// How the path differs.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }
}

/// The differences between two indices. The entries of both are sorted by path.
pub(super) fn between(old: &State, new: &State) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut before, mut after) = (old.entries().iter().peekable(), new.entries().iter().peekable());
    let change = |entry: &Entry, index: &State, kind| Change { path: entry.path(index).to_owned(), kind };
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.path(old).cmp(b.path(new)),
        };
        let removed = before.next_if(|_| order != Ordering::Greater);
        let added = after.next_if(|_| order != Ordering::Less);
        match (removed, added) {
            (Some(a), None) => changes.push(change(a, old, ChangeKind::Removed)),
            (None, Some(b)) => changes.push(change(b, new, ChangeKind::Added)),
            (Some(a), Some(b)) if (a.id, a.mode) != (b.id, b.mode) => {
                changes.push(change(b, new, ChangeKind::Modified));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use gix::ObjectId;
    use gix::bstr::BStr;
    use gix::hash::Kind;
    use gix::index::entry::{Flags, Mode, Stat};

    use super::*;

    fn index(files: &[(&str, u8, Mode)]) -> State {
        let mut index = State::new(Kind::Sha1);
        for (path, content, mode) in files {
            let id = ObjectId::from_bytes_or_panic(&[*content; 20]);
            index.dangerously_push_entry(Stat::default(), id, Flags::empty(), *mode, BStr::new(path));
        }
        index
    }

    #[test]
    fn changes_are_told_by_content_and_mode() {
        use ChangeKind::{Added, Modified, Removed};
        let old = index(&[
            ("a", 1, Mode::FILE),
            ("b", 1, Mode::FILE),
            ("c", 1, Mode::FILE),
            ("d", 1, Mode::FILE),
            ("z", 1, Mode::COMMIT),
        ]);
        let new = index(&[
            ("a", 1, Mode::FILE),
            ("b", 2, Mode::FILE),
            ("c", 1, Mode::FILE_EXECUTABLE),
            ("d/x", 1, Mode::FILE),
            ("z", 2, Mode::COMMIT),
        ]);
        let found: Vec<_> =
            between(&old, &new).iter().map(|change| (change.path().to_owned(), change.kind())).collect();
        let expected = [("b", Modified), ("c", Modified), ("d", Removed), ("d/x", Added), ("z", Modified)];
        assert_eq!(found, expected.map(|(path, kind)| (path.into(), kind)));
        assert_eq!(between(&new, &new), []);
        assert_eq!(between(&index(&[]), &new).len(), 5);
        assert!(between(&old, &index(&[])).iter().all(|change| change.kind() == Removed));
    }
}
