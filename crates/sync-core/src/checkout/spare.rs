//! Whether a retired tree is still as it was written, so that it can become the next.
//!
//! This cannot be found out while there is time for it: the tree shares inodes with the published one, and what a
//! consumer writes there must not get into the next. It takes a stat per file and a listing per directory.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, FileType, Mode as RawMode, OFlags, RawDir, fstat, statat};

use super::draft::Modes;
use super::{index_stat, on_threads, read_index, to_path};
use crate::store::Place;
use crate::{CommitId, Interrupt};

/// How many files and how many directories there are in a directory.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    files: usize,
    directories: usize,
}

/// The index of the tree with its stats as they are now; `None` if anything in it is not as it was written, or
/// cannot be taken over.
pub(super) fn check(
    place: &Place,
    id: CommitId,
    modes: Modes,
    threads: usize,
    interrupt: &Interrupt,
) -> io::Result<Option<State>> {
    let Ok(index) = read_index(place, id) else { return Ok(None) };
    let mut index = index.into_parts().0;
    if index.entries().iter().any(|entry| entry.mode == Mode::COMMIT) {
        return Ok(None);
    }
    let checker = Checker { dir: &place.dir, index: &index, modes, interrupt };
    let directories: Vec<(&BStr, Count)> = count(&index).into_iter().collect();
    let share = directories.len().div_ceil(threads).max(1);
    let listed = on_threads(directories.chunks(share), |directories| checker.are_listed(directories))?;
    if !listed.into_iter().all(|as_expected| as_expected) {
        return Ok(None);
    }
    let share = index.entries().len().div_ceil(threads).max(1);
    let stats = on_threads(index.entries().chunks(share), |entries| checker.stats(entries))?;
    let Some(stats) = stats.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    for (entry, stat) in index.entries_mut().iter_mut().filter(|entry| is_there(entry)).zip(stats.concat()) {
        entry.stat = stat;
    }
    Ok(Some(index))
}

fn is_there(entry: &Entry) -> bool {
    !entry.flags.contains(Flags::SKIP_WORKTREE)
}

/// The directories that the files of an index need, and what is in each.
fn count(index: &State) -> HashMap<&BStr, Count> {
    // In the tree's own there is `.git`.
    let mut counts = HashMap::from([(BStr::new(""), Count { files: 1, directories: 0 })]);
    for entry in index.entries().iter().filter(|entry| is_there(entry)) {
        let mut dir = split(entry.path(index)).0;
        let mut is_known = counts.contains_key(dir);
        counts.entry(dir).or_default().files += 1;
        while !is_known {
            dir = split(dir).0;
            is_known = counts.contains_key(dir);
            counts.entry(dir).or_default().directories += 1;
        }
    }
    counts
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

impl<'a> Checker<'a> {
    /// Whether these directories hold as many files and directories as expected: nothing foreign, then, if all of the
    /// files are there.
    fn are_listed(&self, directories: &[(&BStr, Count)]) -> io::Result<bool> {
        let mut buffer = Vec::with_capacity(32 * 1024);
        for (path, expected) in directories {
            self.interrupt.check()?;
            let Ok(dir) = self.open(path, OFlags::RDONLY) else { return Ok(false) };
            if fstat(&dir)?.st_mode & 0o7777 != self.modes.dir {
                return Ok(false);
            }
            let mut found = Count::default();
            let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry?;
                match entry.file_type() {
                    FileType::Directory if [c".", c".."].contains(&entry.file_name()) => {}
                    FileType::Directory => found.directories += 1,
                    FileType::RegularFile | FileType::Symlink => found.files += 1,
                    _ => return Ok(false),
                }
            }
            if found != *expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The stats of the files of these entries; `None` if one is not as it was written.
    fn stats(&self, entries: &'a [Entry]) -> io::Result<Option<Vec<Stat>>> {
        let mut stats = Vec::with_capacity(entries.len());
        let mut open: Option<(&BStr, OwnedFd)> = None;
        for entry in entries.iter().filter(|entry| is_there(entry)) {
            self.interrupt.check()?;
            let (parent, name) = split(entry.path(self.index));
            if open.as_ref().is_none_or(|(known, _)| *known != parent) {
                let Ok(dir) = self.open(parent, OFlags::PATH) else { return Ok(None) };
                open = Some((parent, dir));
            }
            let Some((_, dir)) = &open else { return Ok(None) };
            match statat(dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if self.modes.is_unaltered(&found, entry) => stats.push(index_stat(&found)),
                _ => return Ok(None),
            }
        }
        Ok(Some(stats))
    }

    fn open(&self, path: &BStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(self.dir.join(to_path(path)), flags, RawMode::empty())
    }
}
