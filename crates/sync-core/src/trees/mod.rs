//! Reading the trees of a commit into an index. Trees are untrusted: each is validated and counted before its
//! entries are used, so that a small tree that contains another one again and again soon hits a limit.

pub(crate) mod cache;
mod merge;
pub(crate) mod needed;
pub(crate) mod rules;
mod subdirectory;
pub(crate) mod watch;

use std::cmp::Ordering;
use std::ops::AddAssign;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::State;
use gix::index::entry::Stat;
use gix::objs::tree::{EntryKind, EntryRef};
use gix::objs::{FindExt, Kind, TreeRefIter};

use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::objects::{Objects, corrupt};
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::trees::cache::TreeCache;
use crate::trees::merge::Merge;
use crate::trees::rules::{join_length, validate_entry};

use rules::{append, join};

/// The limit for the total length of all paths, in bytes: about a thousand for each of a million files. An index
/// holds them in memory.
const MAX_PATH_BYTES: usize = 1 << 30;

/// The files of a commit, and how they differ from those of an index that was known before.
#[derive(Debug)]
pub(crate) struct CommitFiles {
    /// The files, sorted. Entries that are as before say whether they have a file.
    pub(crate) index: State,
    /// All other files that were known before.
    pub(crate) replaced: Vec<ReplacedFile>,
    /// Whether the attribute files are those that were known before.
    pub(crate) has_same_attributes: bool,
}

/// A file that the commit does not have, or not with this content and mode.
#[derive(Debug)]
pub(crate) struct ReplacedFile {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
    pub(crate) stat: Stat,
}

/// Make the index of `known`, or an empty one, that of all files of `commit`. `count` is increased by the number of
/// files and directories, and checked against the limits. Trees that are known are not read again, and those for whose
/// path `leaves_out` is true are not read at all.
///
/// # Errors
///
/// [`ErrorKind::Rejected`] if a tree breaks a rule or a limit; [`ErrorKind::DamagedStore`] if one is missing or
/// damaged.
fn files_of(
    objects: &Objects,
    commit: ObjectId,
    limits: &Limits,
    count: &mut u64,
    known: Option<TreeCache>,
    leaves_out: impl Fn(&BStr) -> bool,
) -> Result<CommitFiles> {
    let step = || format!("read the tree of {commit}");
    let totals = TreeTotals { entries: *count, paths: 0 };
    let known = known.unwrap_or_else(|| TreeCache::empty(commit.kind()));
    let path = BString::default();
    let mut walk = Walk { objects, limits, merge: Merge::into(known), leaves_out, path, totals };
    walk.read_all(commit).map_err(|refusal| match refusal {
        Refusal::Rule(rule) => Error::new(ErrorKind::Rejected, step(), rule),
        Refusal::Object(err) => Error::reading(step(), &err),
    })?;
    *count = walk.totals.entries;
    Ok(walk.merge.finish())
}

/// Read all files of `commit`, and mark those that the sparse patterns of `selection` leave out with `SKIP_WORKTREE`.
/// The index of `known` becomes that of the commit.
///
/// # Errors
///
/// Those of [`files_of`]; [`ErrorKind::Rejected`] if the subdirectory of `selection` is no directory with files.
pub(crate) fn selected_files(
    objects: &Objects,
    commit: CommitId,
    selection: &Selection,
    count: &mut u64,
    known: Option<TreeCache>,
) -> Result<CommitFiles> {
    let mut files = files_of(objects, commit.0, &selection.limits, count, known, |_| false)?;
    if let Some(sparse) = &selection.sparse {
        sparse.apply(&mut files.index).step(|| format!("apply the sparse patterns to {commit}"))?;
    }
    if let Some(directory) = &selection.subdirectory {
        let step = || format!("find the subdirectory {:?} in {commit}", directory.as_str());
        subdirectory::check(&files.index, directory)
            .map_err(|reason| Error::new(ErrorKind::Rejected, step(), reason))?;
    }
    Ok(files)
}

/// Why a tree is refused.
enum Refusal {
    /// It breaks a rule or a limit.
    Rule(String),
    /// It is missing or damaged.
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

/// Reads trees, one directory inside the other.
struct Walk<'a, L> {
    objects: &'a Objects,
    limits: &'a Limits,
    merge: Merge,
    leaves_out: L,
    /// The path of the current entry.
    path: BString,
    totals: TreeTotals,
}

/// A tree that is being read.
struct Open {
    body: Vec<u8>,
    /// The start of the next entry in `body`.
    at: usize,
    /// The length of the directory's part of [`Walk::path`].
    path: usize,
}

impl<L: Fn(&BStr) -> bool> Walk<'_, L> {
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
                EntryKind::Tree if (self.leaves_out)(self.path.as_bstr()) => {}
                EntryKind::Tree => self.enter(id, &mut open)?,
                kind => self.merge.add(self.path.as_bstr(), id, kind.into()),
            }
        }
        Ok(())
    }

    /// Continue with the tree at the current path, unless it is known.
    fn enter(&mut self, id: ObjectId, open: &mut Vec<Open>) -> std::result::Result<(), Refusal> {
        if let Some(totals) = self.merge.keep(&self.path, &id) {
            return Ok(self.check_limits(totals)?);
        }
        let mut buffer = Vec::new();
        let found = self.objects.find(&id, &mut buffer)?;
        if found.kind != Kind::Tree {
            let text = format!("{:?} is a {}, not a tree", self.path, found.kind);
            return Err(gix::Error::from_error(corrupt(text)).into());
        }
        let body = found.data.to_owned();
        let totals = validate(self.path.as_bstr(), &body, id.kind())?;
        self.check_limits(totals)?;
        open.push(Open { body, at: 0, path: self.path.len() });
        Ok(())
    }

    /// Add to the totals, and check the limits.
    fn check_limits(&mut self, totals: TreeTotals) -> std::result::Result<(), String> {
        self.totals += totals;
        self.limits.check_files(self.totals.entries).map_err(|excess| excess.to_string())?;
        if self.totals.paths > MAX_PATH_BYTES {
            return Err(format!("the paths of its files have more than {MAX_PATH_BYTES} bytes"));
        }
        Ok(())
    }
}

/// Totals of one or more trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TreeTotals {
    /// Files and directories.
    entries: u64,
    /// The length of their paths, in bytes.
    paths: usize,
}

impl AddAssign for TreeTotals {
    fn add_assign(&mut self, more: TreeTotals) {
        self.entries += more.entries;
        self.paths += more.paths;
    }
}

/// Refuse a tree that breaks a rule. Returns the totals of its entries, without those of the trees below it.
fn validate(dir: &BStr, body: &[u8], hash: gix::hash::Kind) -> std::result::Result<TreeTotals, Refusal> {
    let (mut totals, mut last) = (TreeTotals::default(), None::<EntryRef<'_>>);
    // The last files whose names are prefixes of the current one. In the order of a tree, all names between a file
    // and a directory of the same name begin with that name.
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
        totals += TreeTotals { entries: 1, paths: join_length(dir, name) };
    }
    Ok(totals)
}
