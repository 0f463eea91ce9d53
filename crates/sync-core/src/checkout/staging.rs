//! Staging: prepare a tree from which the next one is made, so that a checkout writes only the files that changed.
//! It is the tree that was retired last, if it is unaltered ([`recycle`]), or a tree of hard links to the published
//! one ([`hardlink`]). The time for this grows with the number of files, so it is done while the pack is fetched.
//! The time for the rest grows with the number of changes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::index::State;
use gix::index::entry::Flags;

use super::lfs::LfsFiles;
use super::lfs_note::LfsNote;
use super::{hardlink, recycle};
use crate::attributes::attribute_files;
use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::{TemporaryTree, WorktreePaths};
use crate::trees::cache::TreeCache;
use crate::worktree::entry::{Modes, needs_writing, to_path};
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
    tree: TemporaryTree,
    /// Its index and trees. Entries without a file have `SKIP_WORKTREE`.
    known: TreeCache,
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
            && let Some(index) = recycle::check(&recyclable, id, modes, threads, interrupt)?
        {
            let known = TreeCache::of(index);
            return Ok(StagedTree {
                tree: recyclable,
                known,
                origin: Origin::RetiredTree,
                altered: Vec::new(),
                last,
            });
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
        let mut index = index_file::read(last.index(), id.0.kind()).map_err(io::Error::other)?;
        let linked = hardlink::link_files(&last.dir, &mut index, &tree.dir, modes, threads, interrupt)?;
        for path in &linked.altered {
            // The directory of the file may be empty, and the next tree may have a file of that name.
            remove_empty_parents(&tree.dir, to_path(path.as_bstr()));
        }
        let origin = if linked.copied > 0 { Origin::Copies } else { Origin::Links };
        let altered = linked.altered.iter().map(ToString::to_string).collect();
        Ok(StagedTree { tree, known: TreeCache::of(index), origin, altered, last })
    }

    /// The paths of the tree that was published when this one was staged.
    pub(super) fn last(&self) -> &WorktreePaths {
        &self.last
    }

    /// The index and the trees of the staged tree.
    pub(super) fn known(&self) -> &TreeCache {
        &self.known
    }

    /// The index and the trees of the staged tree, which is removed.
    pub(super) fn into_known(self) -> TreeCache {
        self.known
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

    /// Move the tree to `dir`, an empty directory. Remove the files that are not in `new` or differ there, and mark
    /// the others in `new` as written. If attributes differ, nothing is moved and nothing is reused: every file may need
    /// another conversion. Returns what was known of the staged tree, too.
    pub(super) fn move_to(self, dir: &Path, new: &mut State) -> io::Result<(Option<Reused>, TreeCache)> {
        let old = self.known.index();
        // Attributes decide how the content of a blob is converted.
        if !has_same_attributes(old, new) {
            return Ok((None, self.known));
        }
        fs_err::rename(&self.tree.dir, dir)?;
        // Remove the file instead of overwriting it: a process may have it open.
        fs_err::remove_file(dir.join(".git"))?;
        let mut candidates = old.entries().iter().filter(|entry| needs_writing(entry)).peekable();
        let old_path = |entry: &gix::index::Entry| entry.path(old).to_owned();
        let mut count = 0;
        let (entries, paths) = new.entries_mut_and_pathbacking();
        for entry in entries {
            let path = entry.path_in(paths);
            while let Some(gone) = candidates.next_if(|candidate| candidate.path(old) < path) {
                remove(dir, to_path(old_path(gone).as_bstr()))?;
            }
            let Some(found) = candidates.next_if(|candidate| candidate.path(old) == path) else {
                continue;
            };
            if needs_writing(entry) && found.id == entry.id && found.mode == entry.mode {
                entry.stat = found.stat;
                entry.flags.insert(Flags::SKIP_WORKTREE);
                count += 1;
            } else {
                remove(dir, to_path(path))?;
            }
        }
        for gone in candidates {
            remove(dir, to_path(old_path(gone).as_bstr()))?;
        }
        Ok((Some(Reused { count, origin: self.origin, altered: self.altered }), self.known))
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

fn has_same_attributes(one: &State, other: &State) -> bool {
    attribute_files(one)
        .map(|entry| (entry.path(one), entry.id))
        .eq(attribute_files(other).map(|entry| (entry.path(other), entry.id)))
}
