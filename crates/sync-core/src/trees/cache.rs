//! The trees that an index was made from, computed from the index alone. Trees that are the same in the next commit
//! are not read again, and their entries stay where they are. The index is untrusted, since it may have been altered:
//! tree ids are computed from its entries, and the result is validated like a tree that is read.

use std::collections::HashMap;
use std::ops::Range;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Flags, Mode, Stage};
use gix::index::{Entry, State};
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, compute_hash};

use super::{TreeTotals, validate};
use crate::worktree::entry::{needs_writing, set_no_file};

/// An index and its directories.
#[derive(Debug)]
pub(crate) struct TreeCache {
    /// Its entries say whether they have a file.
    pub(super) index: State,
    trees: HashMap<BString, Tree>,
}

/// A directory of an index.
#[derive(Debug)]
pub(super) struct Tree {
    id: ObjectId,
    /// The positions of all files in and below it.
    pub(super) entries: Range<usize>,
    /// The totals of the directory and all directories below it.
    pub(super) totals: TreeTotals,
}

/// A directory whose end is not yet found.
struct Open<'a> {
    path: &'a BStr,
    body: Vec<u8>,
    start: usize,
    /// The totals of the directories in it.
    totals: TreeTotals,
}

impl TreeCache {
    /// The cache for an index as it is on disk: entries without a file have `SKIP_WORKTREE`. `None` if it is not that of
    /// a tree.
    pub(crate) fn of(mut index: State) -> Option<Self> {
        let trees = trees(&index)?;
        for entry in index.entries_mut() {
            if needs_writing(entry) {
                entry.flags = Flags::UPTODATE;
            } else {
                set_no_file(entry);
            }
        }
        Some(TreeCache { index, trees })
    }

    /// The index, in which files may be marked as missing or have other stats. Nothing else may be changed.
    pub(crate) fn index_mut(&mut self) -> &mut State {
        &mut self.index
    }

    pub(crate) fn object_format(&self) -> gix::hash::Kind {
        self.index.object_hash()
    }

    /// A cache without files.
    pub(super) fn empty(hash: gix::hash::Kind) -> Self {
        TreeCache { index: State::new(hash), trees: HashMap::new() }
    }

    /// The directory at `path`, if its tree is `id`.
    pub(super) fn tree(&self, path: &BString, id: &gix::oid) -> Option<&Tree> {
        self.trees.get(path).filter(|tree| tree.id == id)
    }
}

/// All trees and blobs of an index, if it is that of the tree `root`.
pub(crate) fn objects_of(index: &State, root: ObjectId) -> Option<Vec<ObjectId>> {
    let trees = trees(index)?;
    trees.get(BStr::new("")).filter(|tree| tree.id == root)?;
    let files = index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT);
    Some(trees.values().map(|tree| tree.id).chain(files.map(|entry| entry.id)).collect())
}

/// All directories of an index; `None` if the index is not that of a tree.
fn trees(index: &State) -> Option<HashMap<BString, Tree>> {
    let mut trees = HashMap::new();
    let mut open = vec![Open::new(BStr::new(""), 0)];
    for (at, entry) in index.entries().iter().enumerate() {
        let kind = kind_of(entry)?;
        let path = entry.path(index);
        while !open.last()?.holds(path) {
            close(&mut open, at, index, &mut trees)?;
        }
        let mut start = open.last()?.inside();
        while let Some(end) = path[start..].find_byte(b'/') {
            open.push(Open::new(path[..start + end].as_bstr(), at));
            start += end + 1;
        }
        open.last_mut()?.add(kind, path, &entry.id);
    }
    while !open.is_empty() {
        close(&mut open, index.entries().len(), index, &mut trees)?;
    }
    Some(trees)
}

/// Close the innermost directory. Its entries end before `end`.
fn close(
    open: &mut Vec<Open<'_>>,
    end: usize,
    index: &State,
    trees: &mut HashMap<BString, Tree>,
) -> Option<()> {
    let Open { path, body, start, mut totals } = open.pop()?;
    totals += validate(path, &body, index.object_hash()).ok()?;
    let id = compute_hash(index.object_hash(), Kind::Tree, &body).ok()?;
    if let Some(above) = open.last_mut() {
        above.add(EntryKind::Tree, path, &id);
        above.totals += totals;
    }
    trees.insert(path.to_owned(), Tree { id, entries: start..end, totals });
    Some(())
}

impl<'a> Open<'a> {
    fn new(path: &'a BStr, start: usize) -> Self {
        Open { path, body: Vec::new(), start, totals: TreeTotals::default() }
    }

    /// The start of the name in the path of an entry.
    fn inside(&self) -> usize {
        if self.path.is_empty() { 0 } else { self.path.len() + 1 }
    }

    fn holds(&self, path: &BStr) -> bool {
        self.path.is_empty() || (path.starts_with(self.path) && path.get(self.path.len()) == Some(&b'/'))
    }

    fn add(&mut self, kind: EntryKind, path: &BStr, id: &gix::oid) {
        let name = &path[self.inside()..];
        self.body.extend_from_slice(kind.as_octal_str());
        self.body.push(b' ');
        self.body.extend_from_slice(name);
        self.body.push(0);
        self.body.extend_from_slice(id.as_bytes());
    }
}

/// The kind of tree entry that an index entry stands for; `None` if a tree cannot have it.
fn kind_of(entry: &Entry) -> Option<EntryKind> {
    match entry.mode {
        _ if entry.stage() != Stage::Unconflicted => None,
        Mode::FILE => Some(EntryKind::Blob),
        Mode::FILE_EXECUTABLE => Some(EntryKind::BlobExecutable),
        Mode::SYMLINK => Some(EntryKind::Link),
        Mode::COMMIT => Some(EntryKind::Commit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use gix::hash::Kind as HashKind;
    use gix::index::entry::Stat;

    use super::*;

    fn known(files: &[(&str, Mode)]) -> Option<TreeCache> {
        let mut index = State::new(HashKind::Sha1);
        for (path, mode) in files {
            let id = ObjectId::empty_blob(HashKind::Sha1);
            index.dangerously_push_entry(Stat::default(), id, Flags::empty(), *mode, BStr::new(path));
        }
        TreeCache::of(index)
    }

    fn id(hex: &str) -> ObjectId {
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    /// `git write-tree` (2.47) prints these ids for such an index.
    #[test]
    fn directories_have_the_ids_of_their_trees() {
        let known = known(&[
            ("a-b", Mode::FILE),
            ("a/x", Mode::FILE_EXECUTABLE),
            ("a/y/z", Mode::SYMLINK),
            ("a0", Mode::FILE),
            ("b", Mode::COMMIT),
        ])
        .unwrap();
        for (path, tree, files, entries, paths) in [
            ("", "c322b06559058c9337689c8048fc403131799bc1", &["a-b", "a/x", "a/y/z", "a0", "b"][..], 7, 18),
            ("a", "49f9a4a09183e9411366b1e4bdb4b9c267729f1f", &["a/x", "a/y/z"], 3, 11),
            ("a/y", "2c9067d4b11c35f3f6754246490af60957a3acf2", &["a/y/z"], 1, 5),
        ] {
            let found = known.tree(&path.into(), &id(tree)).unwrap();
            let inside = known.index.entries()[found.entries.clone()].iter();
            assert!(inside.map(|entry| entry.path(&known.index)).eq(files), "{path:?}");
            assert_eq!(found.totals, TreeTotals { entries, paths }, "{path:?}");
        }
        assert!(known.tree(&"a".into(), &id("2c9067d4b11c35f3f6754246490af60957a3acf2")).is_none());
        assert!(known.tree(&"a/x".into(), &ObjectId::empty_blob(HashKind::Sha1)).is_none());
    }

    #[test]
    fn nothing_is_known_of_an_index_that_no_tree_makes() {
        for files in [
            &[("a/b", Mode::from_bits_retain(0o100645))][..],
            &[("a/b", Mode::DIR)],
            &[("a/.git/x", Mode::FILE)],
            &[("a/.g\u{200c}it/x", Mode::FILE)],
            &[("b", Mode::FILE), ("a", Mode::FILE)],
            &[("a", Mode::FILE), ("a", Mode::FILE)],
            &[("a", Mode::FILE), ("a.b", Mode::FILE), ("a/b", Mode::FILE)],
            &[("/a", Mode::FILE)],
            &[("a//b", Mode::FILE)],
            &[("a/", Mode::FILE)],
            &[("", Mode::FILE)],
        ] {
            assert!(known(files).is_none(), "{files:?}");
        }
    }
}
