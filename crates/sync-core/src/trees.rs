//! The files that a tree names. Trees are the work of strangers: each is judged when it is read, before anything
//! of it is kept, so that a small one that names itself over and over ends soon.

use std::cell::RefCell;
use std::path::PathBuf;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::hashtable::HashMap as IdMap;
use gix::objs::tree::{EntryKind, EntryRef};
use gix::objs::{Data, Find, FindExt, Kind, TreeRefIter};
use gix::validate::path::component::Error as Fault;

use crate::checkout::PATH_RULES;
use crate::error::{Error, Recovery, Result};
use crate::limits::Limits;
use crate::objects::Objects;

/// Linux opens no longer path, and no file system has a longer name. The path bounds the depth, too.
pub(crate) const PATH: usize = 4096;
const NAME: usize = 255;

/// All paths together, in memory; of a million files, a thousand bytes each.
const PATHS: usize = 1 << 30;

/// All files of `commit` as an index, if they may be written. `count` goes on with files and directories.
pub(crate) fn index_of(
    objects: &Objects,
    commit: ObjectId,
    limits: &Limits,
    count: &mut u64,
) -> Result<gix::index::File> {
    let step = || format!("read the tree of {commit}");
    let mut buffer = Vec::new();
    let tree = objects.find_commit_iter(&commit, &mut buffer).and_then(|mut commit| commit.tree_id());
    let tree = tree.map_err(|err| Error::reading(step(), &err))?;
    let known = RefCell::new(Known { entries: *count, ..Known::default() });
    let judge = Judge { objects, limits, known };
    let state = gix::index::State::from_tree(&tree, &judge, PATH_RULES);
    let known = judge.known.into_inner();
    *count = known.entries;
    match (state, known.refusal) {
        (Ok(state), _) => Ok(gix::index::File::from_state(state, PathBuf::new())),
        (Err(_), Some(refusal)) => Err(Error::new(Recovery::Reconfigure, step(), refusal)),
        (Err(err), None) => Err(Error::reading(step(), &err)),
    }
}

/// Finds trees, and judges them.
struct Judge<'a> {
    objects: &'a Objects,
    limits: &'a Limits,
    known: RefCell<Known>,
}

/// What the trees that were read came to.
#[derive(Default)]
struct Known {
    /// The longest path of each directory.
    paths: IdMap<ObjectId, BString>,
    entries: u64,
    bytes: usize,
    refusal: Option<String>,
}

impl Find for Judge<'_> {
    fn try_find<'b>(&self, id: &gix::oid, buffer: &'b mut Vec<u8>) -> gix::Result<Option<Data<'b>>> {
        let found = Find::try_find(self.objects, id, buffer)?;
        if let Some(tree) = found.as_ref().filter(|found| found.kind == Kind::Tree) {
            let mut known = self.known.borrow_mut();
            if let Err(refusal) = known.judge(id, tree.data, self.limits) {
                known.refusal = Some(refusal.clone());
                return Err(gix::Error::from_error(std::io::Error::other(refusal)));
            }
        }
        Ok(found)
    }
}

impl Known {
    fn judge(&mut self, id: &gix::oid, tree: &[u8], limits: &Limits) -> std::result::Result<(), String> {
        let dir = self.paths.get(id).cloned().unwrap_or_default();
        let mut last: Option<EntryRef<'_>> = None;
        for entry in TreeRefIter::from_bytes(tree, id.kind()) {
            let Ok(entry) = entry else { break }; // whoever reads on has the words for it
            let path = join(&dir, entry.filename);
            judge_entry(entry, &path)?;
            match last.map(|last| last.cmp(&entry)) {
                Some(std::cmp::Ordering::Equal) => return Err(format!("the tree names {path:?} twice")),
                Some(std::cmp::Ordering::Greater) => {
                    return Err(format!("the tree names {path:?} out of order"));
                }
                _ => last = Some(entry),
            }
            self.entries += 1;
            limits.check_files(self.entries).map_err(|excess| excess.to_string())?;
            self.bytes += path.len();
            if self.bytes > PATHS {
                return Err(format!("the paths of its files have more than {PATHS} bytes"));
            }
            let longest = |known: &BString| known.len() >= path.len();
            if entry.mode.is_tree() && !self.paths.get(entry.oid).is_some_and(longest) {
                self.paths.insert(entry.oid.to_owned(), path);
            }
        }
        Ok(())
    }
}

fn judge_entry(entry: EntryRef<'_>, path: &BString) -> std::result::Result<(), String> {
    for (length, most) in [(path.len(), PATH), (entry.filename.len(), NAME)] {
        if length > most {
            let start = path[..path.len().min(100)].escape_ascii();
            let what = if most == PATH { "the path" } else { "a name in the path" };
            return Err(format!(
                "{what} \"{start}…\" has {length} bytes, and no more than {most} are possible"
            ));
        }
    }
    let kind = entry.mode.kind();
    let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
    gix::validate::path::component(entry.filename, mode, PATH_RULES)
        .map_err(|fault| format!("the path {path:?} is not allowed: {fault}"))?;
    // Where a backslash separates, as on NTFS, the parts are names.
    for part in entry.filename.split_str("\\") {
        if let Err(Fault::DotGitDir) = gix::validate::path::component(part.as_bstr(), None, PATH_RULES) {
            return Err(format!("the path {path:?} is not allowed: {}", Fault::DotGitDir));
        }
    }
    // What is no kind that git knows is taken for a submodule.
    if kind == EntryKind::Commit && entry.mode.value() != EntryKind::Commit as u16 {
        return Err(format!("the mode {:o} of {path:?} is none of git's", entry.mode.value()));
    }
    Ok(())
}

fn join(dir: &BString, name: &BStr) -> BString {
    let mut path = dir.clone();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
