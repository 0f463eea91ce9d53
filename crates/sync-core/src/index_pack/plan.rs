//! Which blob goes where, as far as the trees that have come say.

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hashtable::HashMap as IdMap;
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, TreeRefIter};

use crate::convert::may_convert;

/// How many entries of trees are looked at, and how deep: a tree may name another over and over.
const ENTRIES: usize = 1_000_000;
const DEPTH: u32 = 200;

/// The number of a directory.
pub(super) type DirId = u32;

/// A directory of the tree that is being made.
struct Dir {
    parent: Option<DirId>,
    name: BString,
    depth: u32,
    forms: Forms,
}

/// Whether the attributes of a directory can make a file differ from its blob.
#[derive(Clone, Copy, PartialEq)]
enum Forms {
    Same,
    /// Its `.gitattributes` has not come yet.
    Unknown,
    Other,
}

/// A path that a blob has.
pub(super) struct PlannedPath {
    pub(super) dir: DirId,
    pub(super) name: BString,
    pub(super) is_executable: bool,
}

pub(super) struct Plan {
    commit: ObjectId,
    dirs: Vec<Dir>,
    entries: usize,
    wanted_trees: IdMap<ObjectId, Vec<DirId>>,
    /// Those whose place is not known yet, as many as there is room for.
    waiting_trees: IdMap<ObjectId, Vec<u8>>,
    room: u64,
    blobs: IdMap<ObjectId, Vec<PlannedPath>>,
    attributes: IdMap<ObjectId, Vec<DirId>>,
}

impl Plan {
    /// `room` is for the bytes of trees that wait.
    pub(super) fn new(commit: ObjectId, room: u64) -> Self {
        Plan {
            commit,
            dirs: Vec::new(),
            entries: 0,
            wanted_trees: IdMap::default(),
            waiting_trees: IdMap::default(),
            room,
            blobs: IdMap::default(),
            attributes: IdMap::default(),
        }
    }

    /// A commit or tree has come.
    pub(super) fn add_object(&mut self, kind: Kind, id: ObjectId, body: &[u8]) {
        match kind {
            Kind::Commit if id == self.commit => {
                let tree = gix::objs::CommitRefIter::from_bytes(body, id.kind()).tree_id();
                if let Ok(tree) = tree {
                    self.dirs.push(Dir {
                        parent: None,
                        name: BString::default(),
                        depth: 0,
                        forms: Forms::Same,
                    });
                    self.want_trees(vec![(tree, 0)]);
                }
            }
            Kind::Tree => match self.wanted_trees.remove(&id) {
                Some(dirs) => {
                    let below = dirs.into_iter().flat_map(|dir| self.expand(dir, body)).collect();
                    self.want_trees(below);
                }
                None if body.len() as u64 <= self.room => {
                    self.room -= body.len() as u64;
                    self.waiting_trees.insert(id, body.to_vec());
                }
                None => {}
            },
            _ => {}
        }
    }

    /// Trees that came before their parents are looked at now; the others are waited for.
    fn want_trees(&mut self, mut wanted: Vec<(ObjectId, DirId)>) {
        while let Some((id, dir)) = wanted.pop() {
            match self.waiting_trees.remove(&id) {
                Some(body) => {
                    self.room += body.len() as u64;
                    wanted.extend(self.expand(dir, &body));
                }
                None => self.wanted_trees.entry(id).or_default().push(dir),
            }
        }
    }

    /// Plan what a directory holds; the trees below it. What cannot be read or may not be written is left out:
    /// the checkout has the words for it.
    fn expand(&mut self, dir: DirId, body: &[u8]) -> Vec<(ObjectId, DirId)> {
        let mut below = Vec::new();
        let depth = self.dirs[dir as usize].depth + 1;
        for entry in TreeRefIter::from_bytes(body, self.commit.kind()).map_while(Result::ok) {
            let kind = entry.mode.kind();
            self.entries += 1;
            if self.entries > ENTRIES {
                break;
            }
            if depth > DEPTH || !is_safe(entry.filename, kind) {
                continue;
            }
            let id = entry.oid.to_owned();
            // git takes attributes from a link, too: from the text that says where it leads.
            if entry.filename == ".gitattributes" && !matches!(kind, EntryKind::Tree | EntryKind::Commit) {
                self.dirs[dir as usize].forms = Forms::Unknown;
                self.attributes.entry(id).or_default().push(dir);
            }
            match kind {
                EntryKind::Tree => {
                    let Ok(number) = DirId::try_from(self.dirs.len()) else { continue };
                    let name = entry.filename.into();
                    self.dirs.push(Dir { parent: Some(dir), name, depth, forms: Forms::Same });
                    below.push((id, number));
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    let is_executable = kind == EntryKind::BlobExecutable;
                    let target = PlannedPath { dir, name: entry.filename.into(), is_executable };
                    self.blobs.entry(id).or_default().push(target);
                }
                // Symbolic links come last of all, so that nothing is written through one.
                EntryKind::Link | EntryKind::Commit => {}
            }
        }
        below
    }

    /// The paths of a blob that has come, those left out where its form may be another.
    pub(super) fn take(&mut self, id: ObjectId, content: Option<&[u8]>) -> Vec<PlannedPath> {
        if let Some(content) = content
            && let Some(dirs) = self.attributes.remove(&id)
        {
            let forms = if may_convert(content) { Forms::Other } else { Forms::Same };
            dirs.into_iter().for_each(|dir| self.dirs[dir as usize].forms = forms);
        }
        let mut targets = self.blobs.remove(&id).unwrap_or_default();
        if self.entries > ENTRIES {
            return Vec::new(); // an attributes file may have been overlooked
        }
        targets
            .retain(|target| self.chain(target.dir).all(|dir| self.dirs[dir as usize].forms == Forms::Same));
        targets
    }

    /// The path of a directory, from the root of the tree; empty for the root itself.
    pub(super) fn path(&self, dir: DirId) -> BString {
        let mut names: Vec<&BStr> =
            self.chain(dir).map(|dir| self.dirs[dir as usize].name.as_bstr()).collect();
        names.pop(); // the root's
        names.reverse();
        gix::bstr::join("/", names).into()
    }

    fn chain(&self, dir: DirId) -> impl Iterator<Item = DirId> {
        std::iter::successors(Some(dir), |dir| self.dirs[*dir as usize].parent)
    }
}

fn is_safe(name: &BStr, kind: EntryKind) -> bool {
    let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
    gix::validate::path::component(name, mode, crate::trees::rules::PATH_RULES).is_ok()
}
