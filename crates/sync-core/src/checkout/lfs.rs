//! Files of Git LFS: their content in place of the pointers. The objects are in the store of the repository; a file is a
//! hard link to its object, or a copy.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use gix::ObjectId;
use gix::attrs::StateRef;
use gix::index::entry::{Flags, Mode, Stat};
use gix::index::{Entry, State};
use gix::objs::{FindExt, HeaderExt};

use super::lfs_note::{LfsNote, copied_objects};
use super::matching::{AttributeFiles, AttributeMatcher};
use super::missing;
use super::special::{Parents, create};
use crate::attributes::mentions_lfs;
use crate::convert::FileConversion;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Fetched, LfsRemote, WantedContent};
use crate::fs_ext::entries;
use crate::interrupt::Interrupt;
use crate::lfs::LfsObject;
use crate::lfs::endpoint::{MAX_CONFIG, RepositoryConfig};
use crate::lfs::pointer::{Pointer, TOO_LARGE};
use crate::lfs::store::{LfsStore, for_each_piece};
use crate::objects::Objects;
use crate::spec::lfs::{LfsConfig, LfsSelection};
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::trees::ReplacedFile;
use crate::worktree::entry::{
    file_mode, has_file, index_stat, is_file, needs_writing, permissions, stat_of, to_path,
};
use crate::worktree::index_file;

/// The most paths that are kept for a report.
const MAX_REPORTED: usize = 10;

/// Counts of the files of Git LFS of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LfsCounts {
    /// The number of objects that were fetched.
    pub fetched: usize,
    /// The number of objects that were in the store already, for files that had to be written.
    pub reused: usize,
    /// The number of objects that the server does not have. Their files are pointers.
    pub missing: usize,
    /// Files that stay pointers because the server does not have their objects, at most ten.
    pub missing_files: Vec<String>,
    /// Files that stay pointers because only a program could make their content, at most ten.
    pub extended_files: Vec<String>,
}

impl LfsCounts {
    pub(super) fn add(&mut self, other: &LfsCounts) {
        self.fetched += other.fetched;
        self.reused += other.reused;
        self.missing += other.missing;
        self.missing_files.extend_from_slice(&other.missing_files);
        self.missing_files.truncate(MAX_REPORTED);
        self.extended_files.extend_from_slice(&other.extended_files);
        self.extended_files.truncate(MAX_REPORTED);
    }
}

/// The files of a tree that need their content.
pub(super) struct LfsFiles<'a> {
    id: CommitId,
    store: LfsStore,
    selection: &'a LfsSelection,
    remote: &'a dyn LfsRemote,
    config: RepositoryConfig,
    pub(super) note: LfsNote,
    files: Vec<LfsFile>,
    pub(super) counts: LfsCounts,
}

struct LfsFile {
    /// The position of its entry in the index.
    at: usize,
    object: LfsObject,
}

impl<'a> LfsFiles<'a> {
    /// Read what the repository says about Git LFS; `None` if the user wants no content.
    pub(super) fn of(
        objects: &Objects,
        index: &State,
        fetched: &'a Fetched,
        store: &Store,
    ) -> Result<Option<Self>> {
        let (Some(selection), Some(remote)) = (&fetched.selection.lfs, &fetched.lfs) else { return Ok(None) };
        let id = fetched.commit;
        let config = match index.entry_by_path(".lfsconfig".into()) {
            Some(entry)
                if is_file(entry) && needs_writing(entry) && selection.config != LfsConfig::Ignore =>
            {
                read_config(objects, entry, id)?
            }
            _ => RepositoryConfig::default(),
        };
        let note = LfsNote::new(selection, &config);
        let (files, counts) = Default::default();
        let remote = remote.as_ref();
        remote.check(&config)?;
        Ok(Some(LfsFiles { id, store: store.lfs(), selection, remote, config, note, files, counts }))
    }

    /// Find the files that are not written yet.
    pub(super) fn find(
        &mut self,
        objects: &Objects,
        index: &State,
        attributes: &AttributeFiles,
        dir: &Path,
    ) -> Result<()> {
        let is_wanted = |entry: &Entry| {
            let path = entry.path(index);
            needs_writing(entry) && self.selection.takes(path) && self.config.takes(path)
        };
        let pointers = pointers(objects, index, attributes, (self.id, dir), is_wanted)?;
        for (at, object) in pointers {
            match object {
                Some(object) => self.files.push(LfsFile { at, object }),
                None => {
                    let path = index.entries()[at].path(index).to_string();
                    self.counts.extended_files.push(path);
                }
            }
        }
        self.counts.extended_files.truncate(MAX_REPORTED);
        Ok(())
    }

    /// The sizes of the files by the positions of their entries.
    pub(super) fn sizes(&self) -> HashMap<usize, u64> {
        self.files.iter().map(|file| (file.at, file.object.size)).collect()
    }

    /// How many bytes the objects have, each counted once, and copies of them.
    pub(super) fn space(&self, index: &State) -> u64 {
        let mut seen = HashSet::new();
        let needs_own = |file: &LfsFile| !self.may_link(&index.entries()[file.at]);
        let sizes = self.files.iter().map(|file| {
            let count = u64::from(seen.insert(file.object.oid)) + u64::from(needs_own(file));
            file.object.size.saturating_mul(count)
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Bring the objects into the store. Files of the last tree are verified: those in `replaced`, and those that
    /// entries have.
    pub(super) fn fetch(
        &mut self,
        index: &State,
        replaced: &[ReplacedFile],
        interrupt: &Interrupt,
    ) -> Result<()> {
        let step = || format!("read the objects of Git LFS for {}", self.id);
        let blobs: HashSet<ObjectId> = self.files.iter().map(|file| index.entries()[file.at].id).collect();
        let known = index.entries().iter().filter(|entry| has_file(entry));
        let verified: HashMap<ObjectId, Stat> = known
            .map(|entry| (entry.id, entry.stat))
            .chain(replaced.iter().map(|file| (file.id, file.stat)))
            .filter(|(id, _)| blobs.contains(id))
            .collect();
        let (mut seen, mut wanted, mut reused) = (HashSet::new(), Vec::new(), 0);
        for file in self.files.iter().filter(|file| !file.object.is_empty()) {
            if !seen.insert(file.object.oid) {
                continue;
            }
            let entry = &index.entries()[file.at];
            let is_verified = |found: &rustix::fs::Stat| {
                let found = index_stat(found);
                verified.get(&entry.id).is_some_and(|stat| {
                    (stat.ino, stat.mtime, stat.size) == (found.ino, found.mtime, found.size)
                })
            };
            match self.store.has(&file.object, is_verified, interrupt).step(step)? {
                true => reused += 1,
                false => {
                    let path = entry.path(index).to_owned();
                    wanted.push(WantedContent { object: file.object, path });
                }
            }
        }
        self.counts.reused = reused;
        if !wanted.is_empty() {
            let received = self.remote.fetch(&wanted, &self.config, &self.store)?;
            self.counts.fetched = received.fetched;
            self.counts.missing = received.missing.len();
            self.note.missing = received.missing;
        }
        Ok(())
    }

    /// Put the objects into the tree in `dir`, mark the files as written, and return their number.
    pub(super) fn place(&mut self, index: &mut State, dir: &Path, interrupt: &Interrupt) -> Result<usize> {
        let (mut parents, mut count) = (Parents::of(dir), 0);
        let mode = file_mode(dir).step(|| format!("write to {}", dir.display()))?;
        for file in &self.files {
            if self.note.missing.contains(&file.object.oid) {
                let path = index.entries()[file.at].path(index).to_string();
                self.counts.missing_files.push(path);
                continue;
            }
            let (entries, paths) = index.entries_mut_and_pathbacking();
            let entry = &mut entries[file.at];
            let path = to_path(entry.path_in(paths));
            let target = dir.join(path);
            let step = || format!("write {}", target.display());
            interrupt.check().step(step)?;
            parents.create(path).step(step)?;
            let source = self.store.path(file.object.oid);
            if file.object.is_empty() {
                create(&target, entry.mode).step(step)?;
            } else if !(self.may_link(entry) && link(&source, &target, permissions(entry, mode))) {
                copy(&source, &target, entry.mode, interrupt).step(step)?;
                self.note.copied.insert(file.object.oid);
            }
            entry.stat = stat_of(&target).step(step)?;
            entry.flags.insert(Flags::SKIP_WORKTREE);
            count += 1;
        }
        self.counts.missing_files.truncate(MAX_REPORTED);
        Ok(count)
    }

    /// An inode has one mode, and objects are not executable.
    fn may_link(&self, entry: &Entry) -> bool {
        self.selection.shares_files && entry.mode == Mode::FILE
    }
}

fn read_config(objects: &Objects, entry: &Entry, id: CommitId) -> Result<RepositoryConfig> {
    let refuse = |text: String| Error::new(ErrorKind::Rejected, format!("read .lfsconfig of {id}"), text);
    let size = objects.headers().header(&entry.id).map_err(|err| missing(id, &err))?.size;
    if size > MAX_CONFIG {
        return Err(refuse(format!("it has {size} bytes, more than {MAX_CONFIG}")));
    }
    let mut text = Vec::new();
    let text = objects.find_blob(&entry.id, &mut text).map_err(|err| missing(id, &err))?;
    RepositoryConfig::parse(text.data).map_err(|fault| refuse(fault.to_string()))
}

/// The entries of an index that are pointers under the attribute `filter=lfs`, with their objects; `None` if only a
/// program could make the content.
fn pointers(
    objects: &Objects,
    index: &State,
    attributes: &AttributeFiles,
    (id, dir): (CommitId, &Path),
    is_wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<(usize, Option<LfsObject>)>> {
    let mut found = Vec::new();
    if !attributes.any(objects, index, |_, text| mentions_lfs(text))? {
        return Ok(found);
    }
    let names = [&FileConversion::attributes()[..], &["filter"]].concat();
    let mut matcher = AttributeMatcher::new(objects, index, attributes, dir, names)?;
    let (headers, mut blob) = (objects.headers(), Vec::new());
    for (at, entry) in index.entries().iter().enumerate() {
        if !is_file(entry) || !is_wanted(entry) {
            continue;
        }
        let matched =
            matcher.at(entry.path(index), entry.mode).step(|| format!("read the attributes of {id}"))?;
        let is_lfs = matched.iter_selected().any(|found| {
            found.assignment.name.as_str() == "filter"
                && matches!(found.assignment.state, StateRef::Value(value) if value.as_bstr() == "lfs")
        });
        let read = |err| missing(id, &err);
        if is_lfs && headers.header(&entry.id).map_err(read)?.size < TOO_LARGE {
            let blob = objects.find_blob(&entry.id, &mut blob).map_err(|err| missing(id, &err))?;
            // git converts what it gives to git-lfs.
            let converted = FileConversion::of(matched).apply(blob.data, entry.id).unwrap_or_default();
            match Pointer::parse(&converted) {
                Pointer::Object(object) => found.push((at, Some(object))),
                Pointer::Extended => found.push((at, None)),
                Pointer::No => {}
            }
        }
    }
    Ok(found)
}

/// How many files of a tree are pointers, if it was made without Git LFS.
pub(crate) fn count_pointers(store: &Store, id: CommitId) -> Result<usize> {
    let objects = store.objects(&store.repository()?)?;
    let paths = store.worktree_paths(id);
    let index = index_file::read(paths.index(), id.0.kind()).step(|| format!("read the index of {id}"))?;
    let attributes = AttributeFiles::measure(&objects, &index, id)?;
    Ok(pointers(&objects, &index, &attributes, (id, &paths.dir), needs_writing)?.len())
}

/// Whether files of a tree, or of its submodules, stayed pointers because a server did not have their objects.
pub(crate) fn lacks_objects(store: &Store, id: CommitId) -> io::Result<bool> {
    for git in store.repositories()? {
        for admin in entries(&git.join("worktrees"))? {
            let admin = admin?;
            // Those of submodules are `<id>-<number>`.
            let is_of_tree = admin.file_name().to_string_lossy().starts_with(&id.to_string());
            if is_of_tree && LfsNote::read(&admin.path())?.is_some_and(|note| !note.missing.is_empty()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Remove the objects that no tree uses, and what is left of objects that did not arrive.
pub(crate) fn prune_objects(git: &Path) -> io::Result<()> {
    discard_parts(git)?;
    LfsStore::of(git).prune(&copied_objects(git)?)
}

/// Remove what is left of objects that did not arrive: the disk is full.
pub(crate) fn discard_parts(git: &Path) -> io::Result<()> {
    LfsStore::of(git).keep_parts(&HashSet::new())
}

/// Link an object into the tree. False if that is not possible, or if the file would have other permissions.
fn link(source: &Path, target: &Path, permissions: u32) -> bool {
    if fs_err::hard_link(source, target).is_err() {
        return false;
    }
    let is_same = rustix::fs::lstat(target).is_ok_and(|found| found.st_mode & 0o7777 == permissions);
    is_same || fs_err::remove_file(target).is_err()
}

/// Copy an object, and share its blocks if the file system can.
fn copy(source: &Path, target: &Path, mode: Mode, interrupt: &Interrupt) -> io::Result<()> {
    let (from, mut to) = (fs_err::File::open(source)?, create(target, mode)?);
    if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
        for_each_piece(from, interrupt, |piece| to.write_all(piece).map(|()| true))?;
    }
    Ok(())
}
