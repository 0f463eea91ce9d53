//! Reuse the files of a tree through hard links: nothing is inflated or written, and no inodes are created (on ext4
//! creating files is slow for minutes after many were deleted).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use gix::bstr::{BStr, BString};
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, Mode as RawMode, OFlags, Stat, fstat, linkat, openat, statat, unlinkat};

use crate::interrupt::Interrupt;
use crate::threads::on_threads;
use crate::worktree::entry::{Modes, has_file, index_stat, is_file, set_no_file, split_path, to_path};

/// The result of linking.
#[derive(Default)]
pub(super) struct Linked {
    /// The number of files that were copied because the system refused links.
    pub(super) copied: usize,
    /// Files of the old tree that were altered.
    pub(super) altered: Vec<BString>,
}

/// Link every file of `index` from `old_dir` to `new_dir`, a directory without other files. Symbolic links and files
/// that were altered are left out.
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
    let (entries, paths) = index.entries_mut_and_pathbacking();
    let share = entries.len().div_ceil(threads).max(1);
    let linker = Linker { old_dir, paths, new_dir, modes, interrupt };
    let shares = on_threads(entries.chunks_mut(share), |entries| linker.link_all(entries))?;
    let mut all = Linked::default();
    for share in shares {
        all.copied += share.copied;
        all.altered.extend(share.altered);
    }
    Ok(all)
}

struct Linker<'a> {
    old_dir: &'a Path,
    /// The paths of the entries.
    paths: &'a [u8],
    new_dir: &'a Path,
    modes: Modes,
    interrupt: &'a Interrupt,
}

impl<'a> Linker<'a> {
    /// Link the files of some entries. Entries get the stats of their new files.
    fn link_all(&self, entries: &mut [Entry]) -> io::Result<Linked> {
        let mut linked = Linked::default();
        let mut open: Option<(&'a BStr, Option<[OwnedFd; 2]>)> = None;
        for entry in entries.iter_mut().filter(|entry| has_file(entry)) {
            self.interrupt.check()?;
            if !is_file(entry) {
                set_no_file(entry);
                continue;
            }
            let (parent, name) = split_path(entry.path_in(self.paths));
            if open.as_ref().is_none_or(|(known, _)| *known != parent) {
                open = Some((parent, self.open(to_path(parent))?));
            }
            let stat = match &open {
                Some((_, Some(dirs))) => self.link(entry, dirs, name, &mut linked)?,
                _ => None,
            };
            match stat {
                Some(stat) => entry.stat = index_stat(&stat),
                None => set_no_file(entry),
            }
        }
        Ok(linked)
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
        linked: &mut Linked,
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
                    linked.copied += 1;
                    return Ok(Some(copy));
                }
            }
        }
        linked.altered.push(entry.path_in(self.paths).to_owned());
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
