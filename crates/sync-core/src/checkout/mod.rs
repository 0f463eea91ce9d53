//! From a fetched commit to a complete tree of files under its final name.
//!
//! A tree is built beside its place ([`build`]): from what an earlier tree has already ([`staged`]), large files and
//! those in a form that gix does not write are written here ([`filter`]), gix writes the rest. Symbolic links come
//! last, so nothing is ever written through one. The name is the mark: a tree under its final name is complete.

mod build;
mod free_space;
mod hardlink;
mod recycle;
mod special;
pub(crate) mod staging;
mod symlinks;
pub(crate) mod verify;

use std::io;
use std::path::{Path, PathBuf};

use crate::checkout::staging::{Origin, StagedTree};
use crate::error::{Context, Error, Result};
use crate::fetched::Fetched;
use crate::fs_ext::remove_dir_if_there;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Stage};
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::WorktreePaths;
use crate::worktree::index_file;

use build::{Build, BuildSite};

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

/// Make the tree of `fetched`, its submodules included, from `staged` where there is one
/// ([`StagePlan`](staging::StagePlan)).
///
/// A tree of this commit that is there already is kept as it is when nobody altered it; otherwise a new one is
/// built beside it and exchanged for it in one step. After an error the final name is as it was.
pub fn checkout(
    store: &Store,
    fetched: &Fetched,
    staged: Option<StagedTree>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Worktree> {
    let id = fetched.commit;
    let step = || format!("check out {id}");
    let paths = store.worktree_paths(id);
    let mut made = Worktree {
        commit: id,
        path: paths.dir.clone(),
        written: 0,
        early: 0,
        reused: 0,
        origin: None,
        altered: Vec::new(),
    };
    let building = store.staging_paths(id);
    if paths.dir.exists() && verify::is_intact(store, fetched, interrupt) {
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
    let staged = staged.filter(|_| !is_begun);
    let mut build = Build {
        root: store.root(),
        id,
        submodules: Vec::new(),
        made: &mut made,
        files: 0,
        bytes: 0,
        progress,
        interrupt,
    };
    let early = if is_begun { &fetched.early.files[..] } else { &[] };
    let outcome = symlinks::check(store, fetched, staged.as_ref().map(StagedTree::known), interrupt)
        .and_then(|()| {
            build.tree(store, fetched, BuildSite { building: &building, paths: &paths, staged, early })
        })
        .and_then(|()| interrupt.check().step(step))
        .and_then(|()| install(&building, &paths).step(step));
    let submodules = build.submodules;
    match &outcome {
        Ok(()) => store.keep_submodule_worktrees(id, &submodules).step(step)?,
        // Give the space back at once; the disk may be full. What stays is cleared at the next start.
        Err(_) => {
            for leftover in submodules.iter().chain([&building.dir, &building.admin]) {
                let _ = remove_dir_if_there(leftover);
            }
        }
    }
    outcome.map(|()| made)
}

/// The bytes of all files of a published tree, as its index has them: of a file of 4 GiB or more only what is
/// beyond that, and without submodules. 0 for a tree that is not there.
pub fn tree_size(store: &Store, id: CommitId) -> u64 {
    let index = index_file::read(store.worktree_paths(id).index(), id.0.kind());
    index.map_or(0, |index| index.entries().iter().map(|entry| u64::from(entry.stat.size)).sum())
}

fn missing(id: CommitId, err: &gix::Error) -> Error {
    Error::reading(format!("read the tree of {id}"), err)
}

/// Give both halves of the worktree their final names, in place of what may be there.
fn install(building: &WorktreePaths, paths: &WorktreePaths) -> io::Result<()> {
    remove_dir_if_there(&paths.admin)?;
    fs_err::create_dir_all(paths.admin.parent().unwrap_or(&paths.admin))?;
    fs_err::rename(&building.admin, &paths.admin)?;
    match fs_err::rename(&building.dir, &paths.dir) {
        Ok(()) => Ok(()),
        Err(_) if paths.dir.symlink_metadata().is_ok() => {
            exchange(&building.dir, &paths.dir)?;
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
