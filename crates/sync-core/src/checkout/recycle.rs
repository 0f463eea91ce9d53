//! Check that a retired tree is unaltered, so that it can be updated in place to become the next tree.
//!
//! This is only possible at the moment of reuse: the retired tree shares inodes with the published one, and a
//! consumer may still modify these files. The check needs one stat per file and one listing per directory.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gix::bstr::BStr;
use gix::index::Entry;
use gix::index::entry::Mode;
use rustix::fs::{AtFlags, FileType, Mode as RawMode, OFlags, RawDir, fstat, statat};

use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::worktree_paths::WorktreePaths;
use crate::threads::on_threads;
use crate::trees::cache::TreeCache;
use crate::worktree::entry::{Modes, has_file, index_stat, split_path, to_path};
use crate::worktree::index_file;

/// The largest number of files in a part.
const PART_SIZE: usize = 256;

/// What is known of the tree, with the current stats of its files; `None` if anything in it was altered, or if it has
/// submodules.
pub(super) fn check(
    paths: &WorktreePaths,
    id: CommitId,
    modes: Modes,
    threads: usize,
    interrupt: &Interrupt,
) -> io::Result<Option<TreeCache>> {
    let Ok(index) = index_file::read(paths.index(), id.0.kind()) else { return Ok(None) };
    if index.entries().iter().any(|entry| entry.mode == Mode::COMMIT) {
        return Ok(None);
    }
    let Some(mut known) = TreeCache::of(index) else { return Ok(None) };
    let (entries, names) = known.index_mut().entries_mut_and_pathbacking();
    let checker = Checker { dir: &paths.dir, paths: names, modes, interrupt };
    let parts = Mutex::new(parts(entries, names).into_iter());
    let are_unaltered = on_threads(0..threads, |_| checker.check(&parts))?;
    Ok(are_unaltered.iter().all(|unaltered| *unaltered).then_some(known))
}

/// A directory or a part of it: the unit of work of a thread.
struct Part<'a> {
    dir: &'a BStr,
    files: &'a mut [Entry],
    /// The expected content of the directory. Only one part of each directory has it.
    listing: Option<Listing>,
}

/// The number of files and directories in a directory.
#[derive(Default, PartialEq)]
struct Listing {
    files: usize,
    directories: usize,
}

/// Divide the files of an index, and all their directories, into parts.
fn parts<'a>(entries: &'a mut [Entry], paths: &'a [u8]) -> Vec<Part<'a>> {
    // The root also contains the file `.git`.
    let mut listings = HashMap::from([(BStr::new(""), Listing { files: 1, directories: 0 })]);
    let parent = |entry: &Entry| split_path(entry.path_in(paths)).0;
    let mut parts = Vec::new();
    for siblings in entries.chunk_by_mut(|a, b| parent(a) == parent(b)) {
        let mut dir = parent(&siblings[0]);
        let count = siblings.iter().filter(|entry| has_file(entry)).count();
        if count == 0 {
            continue;
        }
        let part = |files| Part { dir, files, listing: None };
        parts.extend(siblings.chunks_mut(PART_SIZE).map(part));
        let mut is_known = listings.contains_key(dir);
        listings.entry(dir).or_default().files += count;
        while !is_known {
            dir = split_path(dir).0;
            is_known = listings.contains_key(dir);
            listings.entry(dir).or_default().directories += 1;
        }
    }
    for part in &mut parts {
        part.listing = listings.remove(part.dir);
    }
    let only_directories = |(dir, listing)| Part { dir, files: &mut [], listing: Some(listing) };
    parts.extend(listings.into_iter().map(only_directories));
    parts
}

struct Checker<'a> {
    dir: &'a Path,
    /// The paths of the entries.
    paths: &'a [u8],
    modes: Modes,
    interrupt: &'a Interrupt,
}

impl Checker<'_> {
    /// Check one part after the other until none is left. False if anything was altered.
    fn check(&self, parts: &Mutex<std::vec::IntoIter<Part<'_>>>) -> io::Result<bool> {
        let mut buffer = Vec::with_capacity(32 * 1024);
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(part) = next() {
            self.interrupt.check()?;
            if !self.check_part(part, buffer.spare_capacity_mut())? {
                while next().is_some() {}
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Check one part. Entries get the current stats of their files. False if anything was altered.
    fn check_part(&self, part: Part<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |more| rustix::fs::open(self.dir.join(to_path(part.dir)), flags | more, RawMode::empty());
        // A listing changes the access time of each directory, which costs a write. Only their owner may prevent it.
        let Ok(dir) = open(OFlags::NOATIME).or_else(|_| open(OFlags::empty())) else { return Ok(false) };
        for entry in part.files.iter_mut().filter(|entry| has_file(entry)) {
            let name = split_path(entry.path_in(self.paths)).1;
            match statat(&dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if self.modes.is_unaltered(&found, entry) => entry.stat = index_stat(&found),
                _ => return Ok(false),
            }
        }
        let Some(expected) = &part.listing else { return Ok(true) };
        // All files exist. So if the numbers are right, the directory contains nothing else.
        Ok(fstat(&dir)?.st_mode & 0o7777 == self.modes.dir
            && count(RawDir::new(dir, buffer))?.as_ref() == Some(expected))
    }
}

/// Count the entries of a directory; `None` if it contains anything but files, symbolic links and directories.
fn count(mut listing: RawDir<'_, impl AsFd>) -> io::Result<Option<Listing>> {
    let mut found = Listing::default();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        match entry.file_type() {
            FileType::Directory if [c".", c".."].contains(&entry.file_name()) => {}
            FileType::Directory => found.directories += 1,
            FileType::RegularFile | FileType::Symlink => found.files += 1,
            _ => return Ok(None),
        }
    }
    Ok(Some(found))
}
