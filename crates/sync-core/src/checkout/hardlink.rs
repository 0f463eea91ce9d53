//! Reuse the files of a tree through hard links: nothing is inflated or written, and no inodes are created (on ext4
//! creating files is slow for minutes after many were deleted).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use gix::bstr::{BStr, BString};
use gix::index::entry::{self, Flags};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, Mode as RawMode, OFlags, Stat, fstat, linkat, openat, statat, unlinkat};

use crate::interrupt::Interrupt;
use crate::threads::on_threads;
use crate::worktree::entry::{Modes, index_stat, is_file, needs_writing, split_path, to_path};

/// The result of linking.
pub(super) struct Linked {
    /// The number of files that were copied because the system refused links.
    pub(super) copied: usize,
    /// Files of the old tree that were altered.
    pub(super) altered: Vec<BString>,
}

/// Link every file of `index` from `old_dir` to `new_dir`, a directory without other files. The other entries, and
/// those whose file was altered, get `SKIP_WORKTREE`.
///
/// A file is linked first and checked afterwards: the link changes its ctime anyway, and no consumer sees the new
/// tree yet.
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

/// The result of one thread.
#[derive(Default)]
struct Share {
    /// For every entry the stat of its new file, if there is one.
    stats: Vec<Option<entry::Stat>>,
    copied: usize,
    altered: Vec<BString>,
}

impl<'a> Linker<'a> {
    fn link_all(&self, entries: &'a [Entry]) -> io::Result<Share> {
        let mut share = Share::default();
        let mut open: Option<(&BStr, Option<[OwnedFd; 2]>)> = None;
        for entry in entries {
            self.interrupt.check()?;
            if !is_file(entry) || !needs_writing(entry) {
                share.stats.push(None);
                continue;
            }
            let (parent, name) = split_path(entry.path(self.index));
            if open.as_ref().is_none_or(|(known, _)| *known != parent) {
                open = Some((parent, self.open(to_path(parent))?));
            }
            let stat = match &open {
                Some((_, Some(dirs))) => self.link(entry, dirs, name, &mut share)?,
                _ => None,
            };
            share.stats.push(stat.as_ref().map(index_stat));
        }
        Ok(share)
    }

    /// Open a directory in both trees, and create the new one; `None` if the old one is gone.
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

    /// Link or copy one file; `None` if it was altered or cannot be copied.
    fn link(
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
            // The file system has no links, the user may not link this file, or it has too many links.
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

    /// Copy a file, and share its blocks if the file system can (reflink); `None` if it was altered or cannot be
    /// copied.
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
