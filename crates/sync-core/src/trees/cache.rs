//! The trees that an index was made from, told by the index alone: what is the same in the next commit need not be
//! read again. Nobody who altered the index is trusted: ids are made of what is there, and that is judged as trees
//! are that are read.

use std::collections::HashMap;
use std::ops::Range;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Mode, Stage};
use gix::index::{Entry, State};
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, compute_hash};

use super::{TreeTotals, validate};

/// An index and its directories.
#[derive(Debug)]
pub(crate) struct TreeCache {
    index: State,
    trees: HashMap<BString, Tree>,
}

/// A directory of an index.
#[derive(Debug)]
pub(super) struct Tree {
    id: ObjectId,
    entries: Range<usize>,
    /// With all that is below.
    pub(super) size: TreeTotals,
}

/// A directory whose end is not found yet.
struct Open<'a> {
    path: &'a BStr,
    body: Vec<u8>,
    start: usize,
    /// What is below the directories in it.
    size: TreeTotals,
}

impl TreeCache {
    /// No directory is known where the index is not that of one tree.
    pub(crate) fn of(index: State) -> Self {
        let trees = trees(&index).unwrap_or_default();
        TreeCache { index, trees }
    }

    pub(crate) fn index(&self) -> &State {
        &self.index
    }

    /// The directory at a path, if it is the one of this id.
    pub(super) fn tree(&self, path: &BString, id: &gix::oid) -> Option<&Tree> {
        self.trees.get(path).filter(|tree| tree.id == id)
    }

    /// All files of a directory, sorted.
    pub(super) fn files(&self, tree: &Tree) -> impl Iterator<Item = (&BStr, &Entry)> {
        self.index.entries()[tree.entries.clone()].iter().map(|entry| (entry.path(&self.index), entry))
    }
}

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

/// The innermost directory ends before an entry.
fn close(
    open: &mut Vec<Open<'_>>,
    end: usize,
    index: &State,
    trees: &mut HashMap<BString, Tree>,
) -> Option<()> {
    let Open { path, body, start, mut size } = open.pop()?;
    size += validate(path, &body, index.object_hash()).ok()?;
    let id = compute_hash(index.object_hash(), Kind::Tree, &body).ok()?;
    if let Some(above) = open.last_mut() {
        above.add(EntryKind::Tree, path, &id);
        above.size += size;
    }
    trees.insert(path.to_owned(), Tree { id, entries: start..end, size });
    Some(())
}

impl<'a> Open<'a> {
    fn new(path: &'a BStr, start: usize) -> Self {
        Open { path, body: Vec::new(), start, size: TreeTotals::default() }
    }

    /// Where names begin in the paths of what is inside.
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

/// What an entry is in its tree; `None` for what is in none, or as no tree has it.
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
    use gix::index::entry::{Flags, Stat};

    use super::*;

    fn known(files: &[(&str, Mode)]) -> TreeCache {
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

    /// These ids are what git 2.47 makes of such an index (`write-tree`).
    #[test]
    fn directories_have_the_ids_of_their_trees() {
        let known = known(&[
            ("a-b", Mode::FILE),
            ("a/x", Mode::FILE_EXECUTABLE),
            ("a/y/z", Mode::SYMLINK),
            ("a0", Mode::FILE),
            ("b", Mode::COMMIT),
        ]);
        for (path, tree, files, entries, paths) in [
            ("", "c322b06559058c9337689c8048fc403131799bc1", &["a-b", "a/x", "a/y/z", "a0", "b"][..], 7, 18),
            ("a", "49f9a4a09183e9411366b1e4bdb4b9c267729f1f", &["a/x", "a/y/z"], 3, 11),
            ("a/y", "2c9067d4b11c35f3f6754246490af60957a3acf2", &["a/y/z"], 1, 5),
        ] {
            let found = known.tree(&path.into(), &id(tree)).unwrap();
            assert!(known.files(found).map(|(path, _)| path).eq(files), "{path:?}");
            assert_eq!(found.size, TreeTotals { entries, paths }, "{path:?}");
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
            assert!(known(files).trees.is_empty(), "{files:?}");
        }
    }
}
