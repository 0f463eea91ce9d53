//! The trees that an index was made from, told by the index alone. What is the same in the next commit need not be
//! read again; and as ids are made of what is there, nobody has to be trusted.

use std::collections::HashMap;
use std::ops::Range;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{Mode, Stage};
use gix::index::{Entry, State};
use gix::objs::{Kind, compute_hash};

/// An index and its directories.
#[derive(Debug)]
pub(crate) struct Known {
    index: State,
    trees: HashMap<BString, Tree>,
}

/// A directory of an index.
#[derive(Debug)]
pub(super) struct Tree {
    id: ObjectId,
    entries: Range<usize>,
    /// Of how many files and directories, itself not included, and the bytes of their paths.
    pub(super) count: u64,
    pub(super) bytes: usize,
}

/// A directory whose end is not found yet.
struct Open<'a> {
    path: &'a BStr,
    body: Vec<u8>,
    start: usize,
    count: u64,
    bytes: usize,
}

impl Known {
    /// No directory is known where the index is not that of one tree.
    pub(crate) fn of(index: State) -> Self {
        let trees = trees(&index).unwrap_or_default();
        Known { index, trees }
    }

    pub(crate) fn index(&self) -> &State {
        &self.index
    }

    /// The directory at a path, if it is the one of this id.
    pub(super) fn tree(&self, path: &BStr, id: &gix::oid) -> Option<&Tree> {
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
        if entry.stage() != Stage::Unconflicted {
            return None;
        }
        let path = entry.path(index);
        while !open.last()?.holds(path) {
            close(&mut open, at, index, &mut trees)?;
        }
        let mut start = open.last()?.inside();
        while let Some(end) = path[start..].find_byte(b'/') {
            open.push(Open::new(path[..start + end].as_bstr(), at));
            start += end + 1;
        }
        open.last_mut()?.add(entry.mode, path, &entry.id);
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
    let Open { path, body, start, count, bytes } = open.pop()?;
    let id = compute_hash(index.object_hash(), Kind::Tree, &body).ok()?;
    if let Some(above) = open.last_mut() {
        above.add(Mode::DIR, path, &id);
        above.count += count;
        above.bytes += bytes;
    }
    trees.insert(path.to_owned(), Tree { id, entries: start..end, count, bytes });
    Some(())
}

impl<'a> Open<'a> {
    fn new(path: &'a BStr, start: usize) -> Self {
        Open { path, body: Vec::new(), start, count: 0, bytes: 0 }
    }

    /// Where names begin in the paths of what is inside.
    fn inside(&self) -> usize {
        if self.path.is_empty() { 0 } else { self.path.len() + 1 }
    }

    fn holds(&self, path: &BStr) -> bool {
        self.path.is_empty() || (path.starts_with(self.path) && path.get(self.path.len()) == Some(&b'/'))
    }

    fn add(&mut self, mode: Mode, path: &BStr, id: &gix::oid) {
        let mode = mode.to_tree_entry_mode().map_or(BStr::new(""), |mode| mode.kind().as_octal_str());
        let name = &path[self.inside()..];
        self.body.extend_from_slice(mode);
        self.body.push(b' ');
        self.body.extend_from_slice(name);
        self.body.push(0);
        self.body.extend_from_slice(id.as_bytes());
        self.count += 1;
        self.bytes += path.len();
    }
}
