//! Whether a retired tree is still as it was written, so that it can become the next.
//!
//! This cannot be found out while there is time for it: the tree shares inodes with the published one, and what a
//! consumer writes there must not get into the next. It takes a stat per file and a listing per directory.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Mode, Stat};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, FileType, Mode as RawMode, OFlags, RawDir, fstat, statat};

use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::worktree_paths::WorktreePaths;
use crate::threads::on_threads;
use crate::worktree::entry::{Modes, index_stat, needs_writing, to_path};
use crate::worktree::index_file;

/// How many files are looked at in one go.
const PART: usize = 256;

/// The index of the tree with its stats as they are now; `None` if anything in it is not as it was written, or
/// cannot be taken over.
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

/// A part of a directory, or all of it.
struct Part<'a> {
    dir: &'a BStr,
    /// Where its files are among the entries.
    files: Range<usize>,
    /// What the directory holds, said with one of its parts.
    listing: Option<Listing>,
}

#[derive(Default, PartialEq)]
struct Listing {
    files: usize,
    directories: usize,
}

/// The directories that the files of an index need.
fn parts(index: &State) -> Vec<Part<'_>> {
    // In the tree's own there is `.git`.
    let mut listings = HashMap::from([(BStr::new(""), Listing { files: 1, directories: 0 })]);
    let parent = |entry: &Entry| split(entry.path(index)).0;
    let (mut parts, mut end) = (Vec::new(), 0);
    for side_by_side in index.entries().chunk_by(|a, b| parent(a) == parent(b)) {
        let (start, mut dir) = (end, parent(&side_by_side[0]));
        end += side_by_side.len();
        let files = side_by_side.iter().filter(|entry| needs_writing(entry)).count();
        if files == 0 {
            continue;
        }
        let part = |at| Part { dir, files: at..end.min(at + PART), listing: None };
        parts.extend((start..end).step_by(PART).map(part));
        let mut is_known = listings.contains_key(dir);
        listings.entry(dir).or_default().files += files;
        while !is_known {
            dir = split(dir).0;
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

/// The directory that a path is in, and its name there.
fn split(path: &BStr) -> (&BStr, &BStr) {
    match path.rfind_byte(b'/') {
        Some(at) => (path[..at].as_bstr(), path[at + 1..].as_bstr()),
        None => (BStr::new(""), path),
    }
}

struct Checker<'a> {
    dir: &'a Path,
    index: &'a State,
    modes: Modes,
    interrupt: &'a Interrupt,
}

impl Checker<'_> {
    /// The stats of the files of whatever part is next; `None` if anything there is not as it was written.
    fn stats(&self, parts: &[Part<'_>], next: &AtomicUsize) -> io::Result<Option<Vec<(usize, Stat)>>> {
        let (mut stats, mut buffer) = (Vec::new(), Vec::with_capacity(32 * 1024));
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            self.interrupt.check()?;
            if !self.part(part, &mut stats, buffer.spare_capacity_mut())? {
                next.store(parts.len(), Ordering::Relaxed);
                return Ok(None);
            }
        }
        Ok(Some(stats))
    }

    fn part(
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
            let name = split(entry.path(self.index)).1;
            match statat(&dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if self.modes.is_unaltered(&found, entry) => stats.push((at, index_stat(&found))),
                _ => return Ok(false),
            }
        }
        let Some(expected) = &part.listing else { return Ok(true) };
        // Where all files are there and no more, nothing is foreign.
        Ok(fstat(&dir)?.st_mode & 0o7777 == self.modes.dir
            && count(RawDir::new(dir, buffer))?.as_ref() == Some(expected))
    }
}

/// What is listed, unless it is anything but files and directories.
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
