//! The plan of a tree: the paths of each blob, according to the trees that have arrived.

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hashtable::HashMap as IdMap;
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, TreeRefIter};

use crate::attributes::mentions_lfs;
use crate::convert::may_convert;
use crate::lfs::pointer::Pointer;
use crate::paths::PATH_RULES;

/// Limits for the depth of the plan, and for its entries if the user sets none: a hostile tree may contain the same tree
/// again and again.
const MAX_DEPTH: u32 = 200;
const MAX_ENTRIES: u64 = 10_000_000;

/// The index of a directory in [`Plan::dirs`].
pub(super) type DirId = u32;

/// A directory of the tree.
struct Dir {
    parent: Option<DirId>,
    name: BString,
    depth: u32,
    conversion: Conversion,
}

/// Whether the `.gitattributes` of a directory may ask for content conversion.
#[derive(Clone, Copy, PartialEq)]
enum Conversion {
    None,
    /// The file has not arrived yet.
    Unknown,
    /// Only pointers of Git LFS become other files.
    OfPointers,
    Possible,
}

/// A path of a blob.
pub(super) struct PlannedPath {
    pub(super) dir: DirId,
    /// The position among the entries of the directory that are no directories.
    pub(super) number: u32,
    pub(super) name: BString,
    pub(super) is_executable: bool,
}

/// The paths of the blobs of a commit.
pub(super) struct Plan {
    commit: ObjectId,
    dirs: Vec<Dir>,
    /// The number of tree entries seen so far, and the largest for which anything is planned.
    entries: u64,
    max_entries: u64,
    /// Trees that have not arrived, with their directories.
    wanted_trees: IdMap<ObjectId, Vec<DirId>>,
    /// Trees that arrived before their parents.
    pending_trees: IdMap<ObjectId, Vec<u8>>,
    /// How many bytes of pending trees may still be held.
    pending_budget: u64,
    /// Blobs that have not arrived, with their paths.
    blobs: IdMap<ObjectId, Vec<PlannedPath>>,
    /// `.gitattributes` files that have not arrived, with their directories.
    attributes: IdMap<ObjectId, Vec<DirId>>,
    leaves_pointers: bool,
}

impl Plan {
    /// Trees that arrive before their parents are held, up to `pending_budget` bytes of them. A tree with more than
    /// `max_files` entries is left to the checkout, which refuses it.
    pub(super) fn new(commit: ObjectId, max_files: u64, pending_budget: u64, leaves_pointers: bool) -> Self {
        Plan {
            commit,
            dirs: Vec::new(),
            entries: 0,
            max_entries: max_files.min(MAX_ENTRIES),
            wanted_trees: IdMap::default(),
            pending_trees: IdMap::default(),
            pending_budget,
            blobs: IdMap::default(),
            attributes: IdMap::default(),
            leaves_pointers,
        }
    }

    /// Add a commit or tree that has arrived.
    pub(super) fn add_object(&mut self, kind: Kind, id: ObjectId, body: &[u8]) {
        match kind {
            Kind::Commit if id == self.commit => {
                let tree = gix::objs::CommitRefIter::from_bytes(body, id.kind()).tree_id();
                if let Ok(tree) = tree {
                    self.dirs.push(Dir {
                        parent: None,
                        name: BString::default(),
                        depth: 0,
                        conversion: Conversion::None,
                    });
                    self.want_trees(vec![(tree, 0)]);
                }
            }
            Kind::Tree => match self.wanted_trees.remove(&id) {
                Some(dirs) => {
                    let below = dirs.into_iter().flat_map(|dir| self.expand(dir, body)).collect();
                    self.want_trees(below);
                }
                None if body.len() as u64 <= self.pending_budget => {
                    self.pending_budget -= body.len() as u64;
                    self.pending_trees.insert(id, body.to_vec());
                }
                None => {}
            },
            _ => {}
        }
    }

    /// Expand the trees that have arrived already, and wait for the others.
    fn want_trees(&mut self, mut wanted: Vec<(ObjectId, DirId)>) {
        while let Some((id, dir)) = wanted.pop() {
            match self.pending_trees.remove(&id) {
                Some(body) => {
                    self.pending_budget += body.len() as u64;
                    wanted.extend(self.expand(dir, &body));
                }
                None => self.wanted_trees.entry(id).or_default().push(dir),
            }
        }
    }

    /// Plan the entries of a directory. Returns the trees below it. Entries that cannot be read or must not be
    /// written are left out: the checkout reports them.
    fn expand(&mut self, dir: DirId, body: &[u8]) -> Vec<(ObjectId, DirId)> {
        let mut below = Vec::new();
        let depth = self.dirs[dir as usize].depth + 1;
        let mut numbers = 0..;
        for entry in TreeRefIter::from_bytes(body, self.commit.kind()).map_while(Result::ok) {
            let kind = entry.mode.kind();
            let number = if kind == EntryKind::Tree { 0 } else { numbers.next().unwrap_or_default() };
            self.entries += 1;
            if self.entries > self.max_entries {
                break;
            }
            if depth > MAX_DEPTH || !is_safe(entry.filename, kind) {
                continue;
            }
            let id = entry.oid.to_owned();
            // git reads attributes from a symbolic link too: its target is the text.
            if entry.filename == ".gitattributes" && !matches!(kind, EntryKind::Tree | EntryKind::Commit) {
                self.dirs[dir as usize].conversion = Conversion::Unknown;
                self.attributes.entry(id).or_default().push(dir);
            }
            match kind {
                EntryKind::Tree => {
                    let Ok(child) = DirId::try_from(self.dirs.len()) else { continue };
                    let name = entry.filename.into();
                    self.dirs.push(Dir { parent: Some(dir), name, depth, conversion: Conversion::None });
                    below.push((id, child));
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    let is_executable = kind == EntryKind::BlobExecutable;
                    let target = PlannedPath { dir, number, name: entry.filename.into(), is_executable };
                    self.blobs.entry(id).or_default().push(target);
                }
                // The checkout makes symbolic links last, so that nothing is written through one.
                EntryKind::Link | EntryKind::Commit => {}
            }
        }
        below
    }

    /// Take the paths of a blob that has arrived, except those where it may need conversion. `content` is needed
    /// only for attributes; a blob that is too large for them has none here.
    pub(super) fn take(&mut self, id: ObjectId, content: Option<&[u8]>) -> Vec<PlannedPath> {
        if let Some(content) = content
            && let Some(dirs) = self.attributes.remove(&id)
        {
            let conversion = match content {
                content if may_convert(content) => Conversion::Possible,
                content if self.leaves_pointers && mentions_lfs(content) => Conversion::OfPointers,
                _ => Conversion::None,
            };
            dirs.into_iter().for_each(|dir| self.dirs[dir as usize].conversion = conversion);
        }
        let mut targets = self.blobs.remove(&id).unwrap_or_default();
        if self.entries > self.max_entries {
            return Vec::new(); // there may be a .gitattributes beyond the limit
        }
        let is_pointer = content.is_some_and(|content| Pointer::parse(content) != Pointer::No);
        targets.retain(|target| {
            self.ancestors(target.dir).all(|dir| match self.dirs[dir as usize].conversion {
                Conversion::None => true,
                Conversion::OfPointers => !is_pointer,
                Conversion::Unknown | Conversion::Possible => false,
            })
        });
        targets
    }

    /// The path of a directory, from the root of the tree; empty for the root itself.
    pub(super) fn path(&self, dir: DirId) -> BString {
        let mut names: Vec<&BStr> =
            self.ancestors(dir).map(|dir| self.dirs[dir as usize].name.as_bstr()).collect();
        names.pop(); // the root's
        names.reverse();
        gix::bstr::join("/", names).into()
    }

    /// A directory and all its parents.
    fn ancestors(&self, dir: DirId) -> impl Iterator<Item = DirId> {
        std::iter::successors(Some(dir), |dir| self.dirs[*dir as usize].parent)
    }
}

/// Whether the name of a tree entry may be written.
fn is_safe(name: &BStr, kind: EntryKind) -> bool {
    let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
    gix::validate::path::component(name, mode, PATH_RULES).is_ok()
}
