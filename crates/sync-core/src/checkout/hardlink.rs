//! A second tree of the same files by hard links: no inflating, no writing, no new inodes (ext4 makes creating
//! files slow for minutes after deleting many).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::{self, Flags, Mode};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, Mode as RawMode, OFlags, Stat, fstat, linkat, openat, statat, unlinkat};

use crate::interrupt::Interrupt;
use crate::threads::on_threads;
use crate::worktree::entry::{Modes, index_stat, needs_writing, to_path};

/// What came of linking.
pub(super) struct Linked {
    /// How many files were copied because links to them were refused.
    pub(super) copied: usize,
    /// Files of the old tree that are not as they were written.
    pub(super) altered: Vec<BString>,
}

/// Link every file of `index` from `old_dir` to `new_dir`, a directory without other files, and mark every other entry as not there.
///
/// Link first, check after: linking changes the stat anyway, and nobody sees the new tree yet. A file that is not
/// as its index says is left out.
pub(super) fn link_files(
    old_dir: &Path,
    index: &mut State,
    new_dir: &Path,
    modes: Modes,
    threads: usize,
    interrupt: &Interrupt,
) -> io::Result<Linked> {
    let share = index.entries().len().div_ceil(threads).max(1);
    let linker = Linker { old_dir, index: &*index, new_dir, modes, interrupt };
    let outcomes = on_threads(index.entries().chunks(share), |entries| linker.link_all(entries))?;
    let mut all = Linked { copied: 0, altered: Vec::new() };
    for (entries, outcome) in index.entries_mut().chunks_mut(share).zip(outcomes) {
        for (entry, stat) in entries.iter_mut().zip(outcome.stats) {
            match stat {
                Some(stat) => entry.stat = stat,
                None => entry.flags.insert(Flags::SKIP_WORKTREE),
            }
        }
        all.copied += outcome.copied;
        all.altered.extend(outcome.altered);
    }
    Ok(all)
}

struct Linker<'a> {
    old_dir: &'a Path,
    index: &'a State,
    new_dir: &'a Path,
    modes: Modes,
    interrupt: &'a Interrupt,
}

/// What one thread did: for every entry the stat of its file, if it has one now.
#[derive(Default)]
struct Share {
    stats: Vec<Option<entry::Stat>>,
    copied: usize,
    altered: Vec<BString>,
}

impl<'a> Linker<'a> {
    fn link_all(&self, entries: &'a [Entry]) -> io::Result<Share> {
        let mut share = Share::default();
        let mut open: Option<(&[u8], Option<[OwnedFd; 2]>)> = None;
        for entry in entries {
            self.interrupt.check()?;
            let is_file = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE);
            if !is_file || !needs_writing(entry) {
                share.stats.push(None);
                continue;
            }
            let path = entry.path(self.index);
            let (parent, name) = path.split_at(path.rfind_byte(b'/').map_or(0, |at| at + 1));
            if open.as_ref().is_none_or(|(known, _)| *known != parent) {
                open = Some((parent, self.open(to_path(parent.as_bstr()))?));
            }
            let stat = match &open {
                Some((_, Some(dirs))) => self.take(entry, dirs, name.as_bstr(), &mut share)?,
                _ => None,
            };
            share.stats.push(stat.as_ref().map(index_stat));
        }
        Ok(share)
    }

    /// The same directory of both trees; `None` where the old one is gone.
    fn open(&self, parent: &Path) -> io::Result<Option<[OwnedFd; 2]>> {
        let open = |dir: &Path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(dir.join(parent), flags, RawMode::empty())
        };
        let Ok(old) = open(self.old_dir) else { return Ok(None) };
        let new = open(self.new_dir).or_else(|_| {
            fs_err::create_dir_all(self.new_dir.join(parent))?;
            Ok::<_, io::Error>(open(self.new_dir)?)
        })?;
        Ok(Some([old, new]))
    }

    fn take(
        &self,
        entry: &Entry,
        [from, to]: &[OwnedFd; 2],
        name: &BStr,
        share: &mut Share,
    ) -> io::Result<Option<Stat>> {
        match linkat(from, to_path(name), to, to_path(name), AtFlags::empty()) {
            Ok(()) => {
                let found = statat(to, to_path(name), AtFlags::SYMLINK_NOFOLLOW)?;
                if self.modes.is_unaltered(&found, entry) {
                    return Ok(Some(found));
                }
                unlinkat(to, to_path(name), AtFlags::empty())?;
            }
            Err(rustix::io::Errno::NOENT) => {}
            // Not on this file system, not for this user, or too many links.
            Err(_) => {
                if let Some(copy) = self.copy(entry, [from, to], to_path(name)) {
                    share.copied += 1;
                    return Ok(Some(copy));
                }
            }
        }
        share.altered.push(entry.path(self.index).to_owned());
        Ok(None)
    }

    /// Copy a file, sharing its blocks where the file system can; `None` for one that is altered or cannot be copied.
    fn copy(&self, entry: &Entry, [from, to]: [&OwnedFd; 2], name: &Path) -> Option<Stat> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, name, flags, RawMode::empty()).ok()?;
        let is_whole = || fstat(&source).is_ok_and(|found| self.modes.is_unaltered(&found, entry));
        if !is_whole() {
            return None;
        }
        let mode = RawMode::from_raw_mode(self.modes.of(entry));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = openat(to, name, flags, mode).ok()?;
        let copied = rustix::fs::ioctl_ficlone(&target, &source).map_err(io::Error::from).or_else(|_| {
            let mut files =
                (std::fs::File::from(source.try_clone()?), std::fs::File::from(target.try_clone()?));
            io::copy(&mut files.0, &mut files.1).map(|_| ())
        });
        let copy = fstat(&target).ok().filter(|_| copied.is_ok() && is_whole());
        if copy.is_none() {
            let _ = unlinkat(to, name, AtFlags::empty());
        }
        copy
    }
}
