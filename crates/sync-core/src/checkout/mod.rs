//! From a fetched commit to a complete tree of files under its final name.
//!
//! A tree is built beside its place ([`build`]): from what an earlier tree has already ([`draft`]), large files and
//! those in a form that gix does not write are written here ([`filter`]), gix writes the rest. Symbolic links come
//! last, so nothing is ever written through one. The name is the mark: a tree under its final name is complete.

mod build;
mod draft;
mod filter;
mod form;
mod index_file;
mod link;
mod room;
mod spare;
mod symlinks;
mod verify;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gix::bstr::BStr;
use gix::index::entry::{Flags, Mode, Stat};
use rustix::fs::FileType;

use crate::error::{Context, Error, Result};
use crate::fetch::Fetched;
use crate::progress::{Progress, Stage};
use crate::store::{Place, Store, remove_dir_if_there};
use crate::{CommitId, Interrupt};

use build::{Build, Site};
pub use draft::{Draft, DraftPlan, Origin};
pub(crate) use filter::may_change_form;
#[cfg(feature = "fuzzing")]
pub(crate) use form::expand_ident;
pub use symlinks::Symlinks;
pub use verify::altered_files;

/// What no name in a tree may be, whatever the file system: somebody may copy the tree to another.
pub(crate) const PATH_RULES: gix::validate::path::component::Options =
    gix::validate::path::component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };

/// Linux makes links to fewer bytes.
const PATH_MAX: u64 = 4096;

/// Where a worktree's patterns are, as git has it.
const SPARSE_FILE: &str = "info/sparse-checkout";

/// A complete tree under its final name. It is never written again.
#[derive(Clone, Debug)]
pub struct Worktree {
    /// The commit whose tree this is.
    pub commit: CommitId,
    /// The absolute path of the tree.
    pub path: PathBuf,
    /// How many files were written.
    pub written: usize,
    /// How many of these while the pack still came.
    pub early: usize,
    /// How many files came from an earlier tree, and how.
    pub reused: usize,
    /// How they came; `None` where there are none.
    pub origin: Option<Origin>,
    /// Files of the last tree that somebody altered, and which were therefore written anew.
    pub altered: Vec<String>,
}

/// Make the tree of `fetched`, its submodules included, from `draft` where there is one
/// ([`Store::plan_draft`]).
///
/// A tree of this commit that is there already is kept as it is when nobody altered it; otherwise a new one is
/// built beside it and exchanged for it in one step. After an error the final name is as it was.
pub fn checkout(
    store: &Store,
    fetched: &Fetched,
    draft: Option<Draft>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Worktree> {
    let id = fetched.commit;
    let step = || format!("check out {id}");
    let place = store.place(id);
    let mut made = Worktree {
        commit: id,
        path: place.dir.clone(),
        written: 0,
        early: 0,
        reused: 0,
        origin: None,
        altered: Vec::new(),
    };
    let building = store.building_place(id);
    if place.dir.exists() && verify::is_intact(store, fetched, interrupt) {
        remove_dir_if_there(&building.dir).step(step)?;
        return Ok(made);
    }
    progress.enter(Stage::Writing);
    remove_dir_if_there(&building.admin).step(step)?;
    let is_begun = !fetched.early.files.is_empty() && building.dir.is_dir();
    if !is_begun {
        remove_dir_if_there(&building.dir).step(step)?;
        fs_err::create_dir(&building.dir).step(step)?;
    }
    let draft = draft.filter(|_| !is_begun);
    let mut build = Build {
        root: store.root(),
        id,
        modules: Vec::new(),
        made: &mut made,
        files: 0,
        bytes: 0,
        progress,
        interrupt,
    };
    let early = if is_begun { &fetched.early.files[..] } else { &[] };
    let outcome = symlinks::check(store, fetched, draft.as_ref().map(Draft::known), interrupt)
        .and_then(|()| build.tree(store, fetched, Site { building: &building, place: &place, draft, early }))
        .and_then(|()| interrupt.check().step(step))
        .and_then(|()| install(&building, &place).step(step));
    let modules = build.modules;
    match &outcome {
        Ok(()) => store.keep_module_places(id, &modules).step(step)?,
        // Give the space back at once; the disk may be full. What stays is cleared at the next start.
        Err(_) => {
            for leftover in modules.iter().chain([&building.dir, &building.admin]) {
                let _ = remove_dir_if_there(leftover);
            }
        }
    }
    outcome.map(|()| made)
}

/// The bytes of all files of a published tree, as its index has them: of a file of 4 GiB or more only what is
/// beyond that, and without submodules. 0 for a tree that is not there.
pub fn tree_size(store: &Store, id: CommitId) -> u64 {
    let index = index_file::read(&store.place(id), id);
    index.map_or(0, |index| index.entries().iter().map(|entry| u64::from(entry.stat.size)).sum())
}

/// The permissions of a tree's files that are not executable: those of its `.git` file, made under the same umask.
fn file_mode(dir: &Path) -> io::Result<u32> {
    Ok(fs_err::metadata(dir.join(".git"))?.permissions().mode() & 0o777)
}

/// Content is taken as unchanged when type, permissions, size, time and inode are. `file_mode` is that of a file that
/// is not executable.
fn is_same_file(found: &rustix::fs::Stat, entry: &gix::index::Entry, file_mode: u32) -> bool {
    let kind = match (entry.mode, FileType::from_raw_mode(found.st_mode)) {
        (Mode::SYMLINK, kind) => kind == FileType::Symlink,
        (_, kind) => kind == FileType::RegularFile && found.st_mode & 0o7777 == permissions(entry, file_mode),
    };
    let (found, known) = (index_stat(found), &entry.stat);
    kind && found.size == known.size && found.mtime == known.mtime && found.ino == known.ino
}

/// What a file of the tree is to have.
fn permissions(entry: &gix::index::Entry, file_mode: u32) -> u32 {
    if entry.mode == Mode::FILE_EXECUTABLE { executable(file_mode) } else { file_mode }
}

/// Whether an entry is not marked as left out, or as done.
pub(crate) fn is_unmarked(entry: &gix::index::Entry) -> bool {
    !entry.flags.contains(Flags::SKIP_WORKTREE)
}

/// Whoever may read may execute.
pub(crate) fn executable(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

/// A stat as the index keeps it: the low 32 bits of each.
#[expect(clippy::unnecessary_cast, reason = "the types differ between machines")]
pub(crate) fn index_stat(found: &rustix::fs::Stat) -> Stat {
    let time = |secs, nsecs| gix::index::entry::stat::Time { secs, nsecs };
    Stat {
        mtime: time(found.st_mtime as u32, found.st_mtime_nsec as u32),
        ctime: time(found.st_ctime as u32, found.st_ctime_nsec as u32),
        dev: found.st_dev as u32,
        ino: found.st_ino as u32,
        uid: found.st_uid as u32,
        gid: found.st_gid as u32,
        size: found.st_size as u32,
    }
}

pub(crate) fn to_path(path: &BStr) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
}

fn missing(id: CommitId, err: &gix::Error) -> Error {
    Error::reading(format!("read the tree of {id}"), err)
}

/// Give both halves of the worktree their final names, in place of what may be there.
fn install(building: &Place, place: &Place) -> io::Result<()> {
    remove_dir_if_there(&place.admin)?;
    fs_err::create_dir_all(place.admin.parent().unwrap_or(&place.admin))?;
    fs_err::rename(&building.admin, &place.admin)?;
    match fs_err::rename(&building.dir, &place.dir) {
        Ok(()) => Ok(()),
        Err(_) if place.dir.symlink_metadata().is_ok() => {
            exchange(&building.dir, &place.dir)?;
            remove_dir_if_there(&building.dir)
        }
        Err(err) => Err(err),
    }
}

/// Readers of `there` see the old or the new; on file systems that cannot exchange, there is a moment of
/// neither.
fn exchange(here: &Path, there: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    if renameat_with(CWD, here, CWD, there, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // Should this be the end of us, `Store::open` puts it back.
    let aside = here.with_extension("old");
    fs_err::rename(there, &aside)?;
    fs_err::rename(here, there).inspect_err(|_| {
        let _ = fs_err::rename(&aside, there);
    })?;
    fs_err::rename(&aside, here)
}

/// Work on every share on a thread of its own.
fn on_threads<T: Send, R: Send>(
    shares: impl Iterator<Item = T>,
    work: impl Fn(T) -> io::Result<R> + Sync,
) -> io::Result<Vec<R>> {
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let died = |_| io::Error::other("a thread died");
        started.into_iter().map(|thread| thread.join().map_err(died)?).collect()
    })
}

/// The stat of a file just made, for the index.
fn stat_of(path: &Path) -> io::Result<Stat> {
    Ok(index_stat(&rustix::fs::lstat(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_to_execute_follows_permission_to_read() {
        for (file, exec) in [(0o644, 0o755), (0o664, 0o775), (0o600, 0o700), (0o640, 0o750)] {
            assert_eq!(executable(file), exec);
        }
    }
}
