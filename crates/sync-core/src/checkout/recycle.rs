//! Check that a retired tree is unaltered, so that it can be updated in place to become the next tree.
//!
//! This is only possible at the moment of reuse: the retired tree shares inodes with the published one, and a
//! consumer may still modify these files. The check needs one stat per file and one listing per directory.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::bstr::BStr;
use gix::index::entry::{Mode, Stat};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, FileType, Mode as RawMode, OFlags, RawDir, fstat, statat};

use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::worktree_paths::WorktreePaths;
use crate::threads::on_threads;
use crate::worktree::entry::{Modes, index_stat, needs_writing, split_path, to_path};
use crate::worktree::index_file;

/// The largest number of files in a part.
const PART_SIZE: usize = 256;

/// The index of the tree with the current stats of its files; `None` if anything in the tree was altered, or if it
/// has submodules.
pub(super) fn check(
    paths: &WorktreePaths,
    id: CommitId,
    modes: Modes,
    threads: usize,
    interrupt: &Interrupt,
) -> io::Result<Option<State>> {
    let Ok(mut index) = index_file::read(paths.index(), id.0.kind()) else { return Ok(None) };
    if index.entries().iter().any(|entry| entry.mode == Mode::COMMIT) {
        return Ok(None);
    }
    let (parts, next) = (parts(&index), AtomicUsize::new(0));
    let checker = Checker { dir: &paths.dir, index: &index, modes, interrupt };
    let stats = on_threads(0..threads, |_| checker.stats(&parts, &next))?;
    let Some(stats) = stats.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    for (at, stat) in stats.into_iter().flatten() {
        index.entries_mut()[at].stat = stat;
    }
    Ok(Some(index))
}

/// A directory or a part of it: the unit of work of a thread.
struct Part<'a> {
    dir: &'a BStr,
    /// The index entries of the part.
    files: Range<usize>,
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
fn parts(index: &State) -> Vec<Part<'_>> {
    // The root also contains the file `.git`.
    let mut listings = HashMap::from([(BStr::new(""), Listing { files: 1, directories: 0 })]);
    let parent = |entry: &Entry| split_path(entry.path(index)).0;
    let (mut parts, mut end) = (Vec::new(), 0);
    for siblings in index.entries().chunk_by(|a, b| parent(a) == parent(b)) {
        let (start, mut dir) = (end, parent(&siblings[0]));
        end += siblings.len();
        let files = siblings.iter().filter(|entry| needs_writing(entry)).count();
        if files == 0 {
            continue;
        }
        let part = |at| Part { dir, files: at..end.min(at + PART_SIZE), listing: None };
        parts.extend((start..end).step_by(PART_SIZE).map(part));
        let mut is_known = listings.contains_key(dir);
        listings.entry(dir).or_default().files += files;
        while !is_known {
            dir = split_path(dir).0;
            is_known = listings.contains_key(dir);
            listings.entry(dir).or_default().directories += 1;
        }
    }
    for part in &mut parts {
        part.listing = listings.remove(part.dir);
    }
    let only_directories = |(dir, listing)| Part { dir, files: 0..0, listing: Some(listing) };
    parts.extend(listings.into_iter().map(only_directories));
    parts
}

struct Checker<'a> {
    dir: &'a Path,
    index: &'a State,
    modes: Modes,
    interrupt: &'a Interrupt,
}

impl Checker<'_> {
    /// Check one part after the other until none is left. Returns the stats of their files; `None` if anything was
    /// altered.
    fn stats(&self, parts: &[Part<'_>], next: &AtomicUsize) -> io::Result<Option<Vec<(usize, Stat)>>> {
        let (mut stats, mut buffer) = (Vec::new(), Vec::with_capacity(32 * 1024));
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            self.interrupt.check()?;
            if !self.check_part(part, &mut stats, buffer.spare_capacity_mut())? {
                next.store(parts.len(), Ordering::Relaxed);
                return Ok(None);
            }
        }
        Ok(Some(stats))
    }

    /// Check one part, and add the stats of its files. False if anything was altered.
    fn check_part(
        &self,
        part: &Part<'_>,
        stats: &mut Vec<(usize, Stat)>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(self.dir.join(to_path(part.dir)), flags, RawMode::empty());
        let Ok(dir) = opened else { return Ok(false) };
        for at in part.files.clone() {
            let entry = &self.index.entries()[at];
            if !needs_writing(entry) {
                continue;
            }
            let name = split_path(entry.path(self.index)).1;
            match statat(&dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if self.modes.is_unaltered(&found, entry) => stats.push((at, index_stat(&found))),
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
