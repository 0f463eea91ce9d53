//! Staging: prepare a tree from which the next one is made, so that a checkout writes only the files that changed.
//! It is the tree that was retired last, if it is unaltered ([`recycle`]), or a tree of hard links to the published
//! one ([`hardlink`]). The time for this grows with the number of files, so it is done while the pack is fetched.
//! The time for the rest grows with the number of changes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::index::entry::Flags;

use super::lfs::LfsFiles;
use super::lfs_note::LfsNote;
use super::{hardlink, recycle};
use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::{TemporaryTree, WorktreePaths};
use crate::trees::CommitFiles;
use crate::trees::cache::TreeCache;
use crate::worktree::entry::{Modes, has_file, needs_writing, to_path};
use crate::worktree::index_file;

/// How files of an earlier tree were reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// As hard links to the files of the last tree.
    Links,
    /// At least some as copies, because the system refused hard links.
    Copies,
    /// In place: the tree is a retired one that was updated.
    RetiredTree,
}

impl Origin {
    /// A short text for a log.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Origin::Links => "hard links",
            Origin::Copies => "copies",
            Origin::RetiredTree => "retired tree",
        }
    }
}

/// The plan for a [`StagedTree`]. It borrows nothing, so that another thread can run it during a fetch into the
/// [`Store`].
#[derive(Debug)]
#[must_use = "a plan does nothing until it is run"]
pub struct StagePlan {
    /// A retired tree to update in place.
    pub(crate) recyclable: Option<TemporaryTree>,
    /// The published tree.
    pub(crate) last: WorktreePaths,
    /// Its commit.
    pub(crate) id: CommitId,
    /// The paths for a tree of hard links.
    pub(crate) paths: TemporaryTree,
    pub(crate) threads: usize,
}

/// A tree under a temporary name, from which [`checkout`](super::checkout) makes the next tree. It is removed on
/// drop.
#[derive(Debug)]
#[must_use = "a staged tree is removed on drop"]
pub struct StagedTree {
    dir: StagedDir,
    /// Its index and trees.
    known: TreeCache,
}

/// The directory of a staged tree.
#[derive(Debug)]
pub(super) struct StagedDir {
    tree: TemporaryTree,
    origin: Origin,
    altered: Vec<String>,
    last: WorktreePaths,
}

/// Files that were reused.
pub(super) struct Reused {
    pub(super) count: usize,
    pub(super) origin: Origin,
    /// Files of the last tree that were altered, and not reused.
    pub(super) altered: Vec<String>,
}

impl StagePlan {
    /// Plan to stage a tree while that of commit `last` is published. With `reuse_retired` it is the tree that
    /// [`Store::retain_for_reuse`] keeps, if that is unaltered; otherwise it is made of hard links to the tree of
    /// `last`.
    ///
    /// A process that is still inside the retired tree will see the files of the next commit appear there.
    pub fn new(store: &mut Store, last: CommitId, reuse_retired: bool) -> StagePlan {
        StagePlan {
            recyclable: if reuse_retired { store.take_recyclable() } else { None },
            last: store.worktree_paths(last),
            id: last,
            paths: TemporaryTree::staged(store.root()),
            threads: store.resources().threads(),
        }
    }

    /// Stage the tree.
    ///
    /// # Errors
    ///
    /// An error of the file system, or one that an interrupt caused. It does no harm: without a staged tree, the
    /// checkout writes all files.
    pub fn run(self, interrupt: &Interrupt) -> io::Result<StagedTree> {
        let StagePlan { recyclable, last, id, paths, threads } = self;
        let modes = create_dir(&paths.dir)?;
        if let Some(recyclable) = recyclable
            && let Some(known) = recycle::check(&recyclable, id, modes, threads, interrupt)?
        {
            let dir = StagedDir { tree: recyclable, origin: Origin::RetiredTree, altered: Vec::new(), last };
            return Ok(StagedTree { dir, known });
        }
        StagedTree::link(paths, last, id, modes, threads, interrupt)
    }
}

impl StagedTree {
    /// Make a tree of hard links.
    fn link(
        tree: TemporaryTree,
        last: WorktreePaths,
        id: CommitId,
        modes: Modes,
        threads: usize,
        interrupt: &Interrupt,
    ) -> io::Result<StagedTree> {
        let index = index_file::read(last.index(), id.0.kind()).map_err(io::Error::other)?;
        let no_tree = || io::Error::other("the index was altered: no tree has such files");
        let mut known = TreeCache::of(index).ok_or_else(no_tree)?;
        let index = known.index_mut();
        let linked = hardlink::link_files(&last.dir, index, &tree.dir, modes, threads, interrupt)?;
        for path in &linked.altered {
            // The directory of the file may be empty, and the next tree may have a file of that name.
            remove_empty_parents(&tree.dir, to_path(path.as_bstr()));
        }
        let origin = if linked.copied > 0 { Origin::Copies } else { Origin::Links };
        let altered = linked.altered.iter().map(ToString::to_string).collect();
        Ok(StagedTree { dir: StagedDir { tree, origin, altered, last }, known })
    }

    /// An index of another object format cannot become that of the next tree.
    pub(super) fn object_format(&self) -> gix::hash::Kind {
        self.known.object_format()
    }

    pub(super) fn into_parts(self) -> (StagedDir, TreeCache) {
        (self.dir, self.known)
    }
}

impl StagedDir {
    /// The paths of the tree that was published when this one was staged.
    pub(super) fn last(&self) -> &WorktreePaths {
        &self.last
    }

    /// Whether its files of Git LFS are content and pointers as the next tree wants them.
    pub(super) fn serves(&self, wanted: Option<&LfsFiles<'_>>) -> bool {
        let admin = if self.origin == Origin::RetiredTree { &self.tree.admin } else { &self.last.admin };
        match (LfsNote::read(admin), wanted) {
            (Ok(Some(note)), Some(wanted)) => note.serves(&wanted.note),
            (Ok(note), wanted) => note.is_none() && wanted.is_none(),
            (Err(_), _) => false,
        }
    }

    /// Move the tree to `dir`, an empty directory. Remove the files that the next tree does not have, and mark the
    /// others as written.
    pub(super) fn move_to(self, dir: &Path, files: &mut CommitFiles) -> io::Result<Reused> {
        fs_err::rename(&self.tree.dir, dir)?;
        // Remove the file instead of overwriting it: a process may have it open.
        fs_err::remove_file(dir.join(".git"))?;
        for file in &files.replaced {
            remove(dir, to_path(file.path.as_bstr()))?;
        }
        let (entries, paths) = files.index.entries_mut_and_pathbacking();
        let mut count = 0;
        for entry in entries.iter_mut().filter(|entry| has_file(entry)) {
            if needs_writing(entry) {
                entry.flags.insert(Flags::SKIP_WORKTREE);
                count += 1;
            } else {
                remove(dir, to_path(entry.path_in(paths)))?;
            }
        }
        Ok(Reused { count, origin: self.origin, altered: self.altered })
    }
}

/// Create a directory with a file in it, and return the permissions that they get.
fn create_dir(dir: &Path) -> io::Result<Modes> {
    fs_err::create_dir(dir)?;
    fs_err::write(dir.join(".git"), "")?;
    let mode = |path: PathBuf| Ok::<_, io::Error>(fs_err::symlink_metadata(path)?.mode() & 0o7777);
    Ok(Modes { file: mode(dir.join(".git"))?, dir: mode(dir.to_owned())? })
}

/// Remove a file, and its parent directories that are then empty.
fn remove(dir: &Path, file: &Path) -> io::Result<()> {
    fs_err::remove_file(dir.join(file))?;
    remove_empty_parents(dir, file);
    Ok(())
}

fn remove_empty_parents(dir: &Path, file: &Path) {
    let parents = file.ancestors().skip(1).take_while(|parent| !parent.as_os_str().is_empty());
    for parent in parents {
        if fs_err::remove_dir(dir.join(parent)).is_err() {
            break; // not empty
        }
    }
}
