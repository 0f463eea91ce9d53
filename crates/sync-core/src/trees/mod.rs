//! The files that a tree names. Trees are the work of strangers: each is judged when it is read, before anything
//! of it is kept, so that a small one that names itself over and over ends soon.

pub(crate) mod cache;
pub(crate) mod rules;

use std::cmp::Ordering;
use std::ops::AddAssign;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::State;
use gix::index::entry::{Flags, Mode, Stat};
use gix::objs::tree::{EntryKind, EntryRef};
use gix::objs::{FindExt, Kind, TreeRefIter};

use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::objects::{Objects, corrupt};
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::trees::cache::TreeCache;
use crate::trees::rules::{join_length, validate_entry};

use rules::{append, join};

/// All paths together, in memory; of a million files, a thousand bytes each.
const PATHS: usize = 1 << 30;

/// All files of `commit` as an index, if they may be written. `count` goes on with files and directories. What is
/// `known` is not read again.
pub(crate) fn index_of(
    objects: &Objects,
    commit: ObjectId,
    limits: &Limits,
    count: &mut u64,
    known: Option<&TreeCache>,
) -> Result<State> {
    let step = || format!("read the tree of {commit}");
    let size = TreeTotals { entries: *count, paths: 0 };
    let (index, path) = (State::new(commit.kind()), BString::default());
    let mut files = Files { objects, limits, known, index, path, size };
    files.read_all(commit).map_err(|refusal| match refusal {
        Refusal::Rule(rule) => Error::new(ErrorKind::Rejected, step(), rule),
        Refusal::Object(err) => Error::reading(step(), &err),
    })?;
    *count = files.size.entries;
    Ok(files.index)
}

/// The same with those marked that the sparse patterns of `selection` leave out.
pub(crate) fn selected_files(
    objects: &Objects,
    commit: CommitId,
    selection: &Selection,
    count: &mut u64,
    known: Option<&TreeCache>,
) -> Result<State> {
    let mut index = index_of(objects, commit.0, &selection.limits, count, known)?;
    if let Some(sparse) = &selection.sparse {
        sparse.apply(&mut index).step(|| format!("apply the sparse patterns to {commit}"))?;
    }
    Ok(index)
}

/// Why a tree is not taken.
enum Refusal {
    Rule(String),
    /// It is not there, or damaged.
    Object(gix::Error),
}

impl From<String> for Refusal {
    fn from(rule: String) -> Self {
        Refusal::Rule(rule)
    }
}

impl From<gix::Error> for Refusal {
    fn from(err: gix::Error) -> Self {
        Refusal::Object(err)
    }
}

/// The files that were read.
struct Files<'a> {
    objects: &'a Objects,
    limits: &'a Limits,
    known: Option<&'a TreeCache>,
    index: State,
    /// Of what is read.
    path: BString,
    size: TreeTotals,
}

/// A tree that is read to some place.
struct Open {
    body: Vec<u8>,
    at: usize,
    /// How much of the path is that of the directory.
    path: usize,
}

impl Files<'_> {
    fn read_all(&mut self, commit: ObjectId) -> std::result::Result<(), Refusal> {
        let mut buffer = Vec::new();
        let root = self.objects.find_commit_iter(&commit, &mut buffer)?.tree_id()?;
        let mut open = Vec::new();
        self.enter(root, &mut open)?;
        while let Some(Open { body, at, path }) = open.last_mut() {
            self.path.truncate(*path);
            let mut rest = TreeRefIter::from_bytes(&body[*at..], commit.kind());
            let Some(entry) = rest.next().transpose()? else {
                open.pop();
                continue;
            };
            *at = rest.offset_to_next_entry(body);
            append(&mut self.path, entry.filename);
            let id = entry.oid.to_owned();
            match entry.mode.kind() {
                EntryKind::Tree => self.enter(id, &mut open)?,
                kind => push(&mut self.index, self.path.as_bstr(), id, kind.into()),
            }
        }
        Ok(())
    }

    /// Go on with the tree whose path this is, if it is not known.
    fn enter(&mut self, id: ObjectId, open: &mut Vec<Open>) -> std::result::Result<(), Refusal> {
        if let Some(known) = self.known
            && let Some(tree) = known.tree(&self.path, &id)
        {
            for (path, entry) in known.files(tree) {
                push(&mut self.index, path, entry.id, entry.mode);
            }
            return Ok(self.check_limits(tree.size)?);
        }
        let mut buffer = Vec::new();
        let found = self.objects.find(&id, &mut buffer)?;
        if found.kind != Kind::Tree {
            let text = format!("{:?} is a {}, not a tree", self.path, found.kind);
            return Err(gix::Error::from_error(corrupt(text)).into());
        }
        let body = found.data.to_owned();
        let size = validate(self.path.as_bstr(), &body, id.kind())?;
        self.check_limits(size)?;
        open.push(Open { body, at: 0, path: self.path.len() });
        Ok(())
    }

    /// Refuse what comes to too much.
    fn check_limits(&mut self, size: TreeTotals) -> std::result::Result<(), String> {
        self.size += size;
        self.limits.check_files(self.size.entries).map_err(|excess| excess.to_string())?;
        if self.size.paths > PATHS {
            return Err(format!("the paths of its files have more than {PATHS} bytes"));
        }
        Ok(())
    }
}

fn push(index: &mut State, path: &BStr, id: ObjectId, mode: Mode) {
    index.dangerously_push_entry(Stat::default(), id, Flags::empty(), mode, path);
}

/// What trees come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TreeTotals {
    /// Files and directories.
    entries: u64,
    /// Bytes of their paths.
    paths: usize,
}

impl AddAssign for TreeTotals {
    fn add_assign(&mut self, more: TreeTotals) {
        self.entries += more.entries;
        self.paths += more.paths;
    }
}

/// Refuse a tree that may not be one. What it holds comes to so much, without what is below.
fn validate(dir: &BStr, body: &[u8], hash: gix::hash::Kind) -> std::result::Result<TreeTotals, Refusal> {
    let (mut size, mut last) = (TreeTotals::default(), None::<EntryRef<'_>>);
    // The files whose names the next may begin with: between a file and a directory of one name there are no others.
    let mut files: Vec<&BStr> = Vec::new();
    for entry in TreeRefIter::from_bytes(body, hash) {
        let entry = entry?;
        let name = entry.filename;
        validate_entry(dir, entry)?;
        let named = |fault| format!("the tree names {:?} {fault}", join(dir, name));
        match last.map(|last| last.cmp(&entry)) {
            Some(Ordering::Equal) => return Err(named("twice").into()),
            Some(Ordering::Greater) => return Err(named("out of order").into()),
            _ => last = Some(entry),
        }
        while files.pop_if(|file| !name.starts_with(file)).is_some() {}
        match entry.mode.is_tree() {
            true if files.last() == Some(&name) => return Err(named("as a file and as a directory").into()),
            true => {}
            false => files.push(name),
        }
        size += TreeTotals { entries: 1, paths: join_length(dir, name) };
    }
    Ok(size)
}
