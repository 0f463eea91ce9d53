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

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, FileType, Mode as RawMode, OFlags, RawDir, fstat, statat};

use super::draft::Modes;
use super::{index_file, index_stat, on_threads, to_path};
use crate::store::Place;
use crate::{CommitId, Interrupt};

/// The index of the tree with its stats as they are now; `None` if anything in it is not as it was written, or
/// cannot be taken over.
pub(super) fn check(
    place: &Place,
    id: CommitId,
    modes: Modes,
    threads: usize,
    interrupt: &Interrupt,
) -> io::Result<Option<State>> {
    let Ok(index) = index_file::read(place, id) else { return Ok(None) };
    let mut index = index;
    if index.entries().iter().any(|entry| entry.mode == Mode::COMMIT) {
        return Ok(None);
    }
    let checker = Checker { dir: &place.dir, index: &index, modes, interrupt };
    let mut directories: Vec<(&BStr, Directory)> = directories(&index).into_iter().collect();
    directories.sort_unstable_by_key(|(path, _)| *path);
    let share = directories.len().div_ceil(threads).max(1);
    let stats = on_threads(directories.chunks(share), |directories| checker.stats(directories))?;
    let Some(stats) = stats.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    for (at, stat) in stats.concat() {
        index.entries_mut()[at].stat = stat;
    }
    Ok(Some(index))
}

fn is_there(entry: &Entry) -> bool {
    !entry.flags.contains(Flags::SKIP_WORKTREE)
}

/// What a directory is to hold.
#[derive(Default)]
struct Directory {
    /// Where its files are among the entries.
    files: Vec<Range<usize>>,
    directories: usize,
}

/// The directories that the files of an index need.
fn directories(index: &State) -> HashMap<&BStr, Directory> {
    let mut all = HashMap::from([(BStr::new(""), Directory::default())]);
    let parent = |entry: &Entry| split(entry.path(index)).0;
    let mut end = 0;
    for side_by_side in index.entries().chunk_by(|a, b| parent(a) == parent(b)) {
        let start = end;
        end += side_by_side.len();
        if !side_by_side.iter().any(is_there) {
            continue;
        }
        let mut dir = parent(&side_by_side[0]);
        let mut is_known = all.contains_key(dir);
        all.entry(dir).or_default().files.push(start..end);
        while !is_known {
            dir = split(dir).0;
            is_known = all.contains_key(dir);
            all.entry(dir).or_default().directories += 1;
        }
    }
    all
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
    /// The stats of the files of these directories; `None` if anything there is not as it was written.
    fn stats(&self, directories: &[(&BStr, Directory)]) -> io::Result<Option<Vec<(usize, Stat)>>> {
        let (mut stats, mut buffer) = (Vec::new(), Vec::with_capacity(32 * 1024));
        for (path, expected) in directories {
            self.interrupt.check()?;
            if !self.directory(path, expected, &mut stats, buffer.spare_capacity_mut())? {
                return Ok(None);
            }
        }
        Ok(Some(stats))
    }

    fn directory(
        &self,
        path: &BStr,
        expected: &Directory,
        stats: &mut Vec<(usize, Stat)>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(self.dir.join(to_path(path)), flags, RawMode::empty());
        let Ok(dir) = opened else { return Ok(false) };
        if fstat(&dir)?.st_mode & 0o7777 != self.modes.dir {
            return Ok(false);
        }
        let before = stats.len();
        for at in expected.files.iter().cloned().flatten() {
            let entry = &self.index.entries()[at];
            if !is_there(entry) {
                continue;
            }
            let name = split(entry.path(self.index)).1;
            match statat(&dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if self.modes.is_unaltered(&found, entry) => stats.push((at, index_stat(&found))),
                _ => return Ok(false),
            }
        }
        // All of its files are there. If there are no more, nothing is foreign. In the tree's own there is `.git`.
        let files = stats.len() - before + usize::from(path.is_empty());
        Ok(count(RawDir::new(dir, buffer))? == Some((files, expected.directories)))
    }
}

/// How many files and how many directories are listed; `None` if there is anything else.
fn count(mut listing: RawDir<'_, impl AsFd>) -> io::Result<Option<(usize, usize)>> {
    let (mut files, mut directories) = (0, 0);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        match entry.file_type() {
            FileType::Directory if [c".", c".."].contains(&entry.file_name()) => {}
            FileType::Directory => directories += 1,
            FileType::RegularFile | FileType::Symlink => files += 1,
            _ => return Ok(None),
        }
    }
    Ok(Some((files, directories)))
}
