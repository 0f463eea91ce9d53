//! Check out a fetched commit: write its files to a complete tree under its final name.
//!
//! A tree is built under a temporary name ([`build`]). Files of an earlier tree are reused ([`staging`]); large
//! files, and files that need a conversion that gix does not do, are written here ([`special`]); gix writes the
//! rest. Symbolic links come last, so that nothing is ever written through one. A tree under its final name is
//! always complete.

mod build;
mod free_space;
mod hardlink;
pub(crate) mod lfs;
mod lfs_note;
mod matching;
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
use crate::objects::Objects;
use crate::progress::{Progress, Stage};
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::WorktreePaths;
use crate::trees::cache::TreeCache;
use crate::trees::{CommitFiles, selected_files};
use crate::worktree::tree_size::TreeSize;

use build::{Build, BuildSite};
use lfs::LfsCounts;

/// The file with the sparse patterns of a worktree, in its admin directory, as in git.
const SPARSE_FILE: &str = "info/sparse-checkout";

/// A complete tree under its final name. It is never written again under this name.
#[derive(Clone, Debug)]
pub struct Worktree {
    /// The commit whose tree this is.
    pub commit: CommitId,
    /// The absolute path of the tree.
    pub path: PathBuf,
    /// The number of files that were written. 0 if the tree existed already and was unaltered.
    pub written: usize,
    /// How many of them were written while the pack was still arriving.
    pub early: usize,
    /// The number of files that were reused from an earlier tree.
    pub reused: usize,
    /// How they were reused; `None` if there are none.
    pub origin: Option<Origin>,
    /// The files of Git LFS.
    pub lfs: LfsCounts,
    /// Files of the last tree that were altered in place, and were therefore not reused. The paths are relative to
    /// the root of the tree or submodule.
    pub altered: Vec<String>,
    /// `None` if the tree existed already.
    pub(crate) size: Option<TreeSize>,
}

impl Worktree {
    /// A tree that was there already: nothing was written for it. Tests of a [`Publisher`](crate::Publisher) start with
    /// one.
    pub fn new(commit: CommitId, path: PathBuf) -> Self {
        Worktree {
            commit,
            path,
            written: 0,
            early: 0,
            reused: 0,
            origin: None,
            lfs: LfsCounts::default(),
            altered: Vec::new(),
            size: None,
        }
    }
}

/// Check out the tree of `fetched` and its submodules. The files of `staged` are reused if possible
/// ([`StagePlan`](staging::StagePlan)).
///
/// If a tree of this commit exists and is unaltered, it is returned as it is. If it was altered, a new one is built
/// and exchanged for it in one step. After an error the tree under the final name is unchanged.
///
/// `fetched` owns the files that were written while the pack arrived. They stay in a temporary directory until
/// `fetched` is checked out, or the store is opened again.
///
/// # Errors
///
/// [`ErrorKind::Rejected`](crate::ErrorKind::Rejected) if the tree contains something that must not be checked out,
/// such as a forbidden path or symbolic link, or lacks the subdirectory of the selection;
/// [`ErrorKind::Limit`](crate::ErrorKind::Limit) if it exceeds a limit;
/// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if it does not fit on the disk;
/// [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if an object is missing or damaged;
/// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file system fails. After an interrupt
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut);
/// the incomplete tree is removed then, as after every error.
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
    let mut worktree = Worktree::new(id, paths.dir.clone());
    let building = store.staging_paths(id);
    if paths.dir.exists() && verify::is_intact(store, fetched, interrupt) {
        remove_dir_if_there(&building.dir).step(step)?;
        check_part(store, fetched, interrupt)?;
        return Ok(worktree);
    }
    progress.enter(Stage::Writing);
    remove_dir_if_there(&building.admin).step(step)?;
    let has_early_files = !fetched.early.files.is_empty() && building.dir.is_dir();
    if !has_early_files {
        remove_dir_if_there(&building.dir).step(step)?;
        fs_err::create_dir(&building.dir).step(step)?;
    }
    let staged = staged.filter(|staged| !has_early_files && staged.object_format() == id.0.kind());
    let (staged, known) = staged.map(StagedTree::into_parts).unzip();
    let mut build = Build {
        root: store.root(),
        id,
        submodules: Vec::new(),
        made: &mut worktree,
        files: 0,
        bytes: 0,
        progress,
        interrupt,
    };
    let early = has_early_files.then_some(&fetched.early);
    let outcome = SelectedTree::read(store, fetched, known, &mut build.files)
        .and_then(|tree| {
            symlinks::check(store, fetched, &tree, interrupt)?;
            let site = BuildSite { building: &building, paths: &paths, staged, early };
            build.tree(store, fetched, tree, site)
        })
        .and_then(|()| interrupt.check().step(step))
        .and_then(|()| install(&building, &paths).step(step));
    let submodules = build.submodules;
    match &outcome {
        Ok(()) => store.prune_submodule_worktrees(id, &submodules).step(step)?,
        // Free the space at once: the disk may be full. The next start removes what cannot be removed now.
        Err(_) => {
            for leftover in submodules.iter().chain([&building.dir, &building.admin]) {
                let _ = remove_dir_if_there(leftover);
            }
        }
    }
    outcome.map(|()| worktree)
}

/// Check a tree that exists for what depends on the subdirectory, which may have been another when it was made.
fn check_part(store: &Store, fetched: &Fetched, interrupt: &Interrupt) -> Result<()> {
    if fetched.selection.subdirectory.is_none() {
        return Ok(());
    }
    let tree = SelectedTree::read(store, fetched, None, &mut 0)?;
    symlinks::check(store, fetched, &tree, interrupt)
}

/// The files of a tree, and the objects that they are made from.
struct SelectedTree {
    objects: Objects,
    files: CommitFiles,
}

impl SelectedTree {
    /// Read the tree of `fetched`. What is in `known` is not read. `count` is increased by the number of files and
    /// directories.
    fn read(store: &Store, fetched: &Fetched, known: Option<TreeCache>, count: &mut u64) -> Result<Self> {
        let objects = store.objects(&store.repository()?)?;
        let files = selected_files(&objects, fetched.commit, &fetched.selection, count, known)?;
        Ok(SelectedTree { objects, files })
    }
}

/// The total size of the files of a published tree, in bytes, according to its index; 0 if there is no such tree.
/// Files of submodules do not count. The size of each file is modulo 4 GiB, as in a git index.
#[must_use]
pub fn tree_size(store: &Store, id: CommitId) -> u64 {
    size_of_tree(store, id).files
}

/// The size of a published tree according to its index; none if there is no such tree.
pub(crate) fn size_of_tree(store: &Store, id: CommitId) -> TreeSize {
    store.index(id).as_ref().map(TreeSize::of).unwrap_or_default()
}

/// The error for an object of commit `id` that is missing or damaged.
fn missing(id: CommitId, err: &gix::Error) -> Error {
    Error::reading(format!("read the tree of {id}"), err)
}

/// Rename the tree and its admin directory to their final names, and replace what has these names.
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

/// Exchange two directories. Readers of `there` see the old one or the new one. On a file system that cannot exchange
/// names, there is a moment without either.
fn exchange(here: &Path, there: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    if renameat_with(CWD, here, CWD, there, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // If the process is killed here, `Store::open` renames it back.
    let aside = here.with_extension("old");
    fs_err::rename(there, &aside)?;
    fs_err::rename(here, there).inspect_err(|_| {
        let _ = fs_err::rename(&aside, there);
    })?;
    fs_err::rename(&aside, here)
}
