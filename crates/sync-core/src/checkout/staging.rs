//! What the next tree is made from, so that only what changed needs work: a tree beside the published ones that
//! is as its index says. The tree that was retired last is one, where nobody altered it ([`recyclable`]); otherwise
//! hard links to the published tree are made ([`link`]). That takes as long as there are files, so it is done
//! while the pack is fetched; what remains is in proportion to what changed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::index::State;
use gix::index::entry::Flags;

use super::{hardlink, recycle};
use crate::attributes::attribute_files;
use crate::interrupt::Interrupt;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::worktree_paths::{TemporaryTree, WorktreePaths};
use crate::trees::cache::TreeCache;
use crate::worktree::entry::{Modes, needs_writing, to_path};
use crate::worktree::index_file;

/// How files that an earlier tree had already came into a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are shared with the last tree by hard links.
    Links,
    /// They, or some of them, are copies, because links were refused.
    Copies,
    /// They were left where they were: the tree is a retired one, brought up to date.
    RetiredTree,
}

impl Origin {
    /// In two words, for a log.
    pub fn describe(self) -> &'static str {
        match self {
            Origin::Links => "hard links",
            Origin::Copies => "copies",
            Origin::RetiredTree => "retired tree",
        }
    }
}

/// How to make a [`StagedTree`]. It is owned, so that a staged can be made while a [`Store`](crate::Store) is fetched into.
#[derive(Debug)]
pub struct StagePlan {
    pub(crate) recyclable: Option<TemporaryTree>,
    /// The published tree, of this commit.
    pub(crate) last: WorktreePaths,
    pub(crate) id: CommitId,
    /// Where links are made.
    pub(crate) paths: TemporaryTree,
    pub(crate) threads: usize,
}

/// A tree beside the published ones, from which [`checkout`](super::checkout) makes the next. It is removed when it
/// is not used.
#[derive(Debug)]
pub struct StagedTree {
    tree: TemporaryTree,
    /// What is not there is marked SKIP_WORKTREE in its index.
    known: TreeCache,
    origin: Origin,
    altered: Vec<String>,
    last: WorktreePaths,
}

/// What came from a staged.
pub(super) struct Adopted {
    pub(super) count: usize,
    pub(super) origin: Origin,
    /// Files of the last tree that are not as they were written.
    pub(super) altered: Vec<String>,
}

impl StagePlan {
    /// How to make what the next tree is made from, now that the tree of `last` is published: if `takes_spare`, of
    /// what was kept by [`Store::retain_for_reuse`] if that is still as it was written, else by hard links to the tree of
    /// `last`.
    ///
    /// Whoever still has the kept tree open would see the next commit's files come into it.
    pub fn new(store: &mut Store, last: CommitId, takes_spare: bool) -> StagePlan {
        StagePlan {
            recyclable: if takes_spare { store.take_recyclable() } else { None },
            last: store.worktree_paths(last),
            id: last,
            paths: TemporaryTree::staged(store.root()),
            threads: store.resources().threads(),
        }
    }

    /// Make the staged. An error means that the next tree has to be written in full, and nothing worse.
    pub fn run(self, interrupt: &Interrupt) -> io::Result<StagedTree> {
        let StagePlan { recyclable, last, id, paths, threads } = self;
        let modes = begin(&paths.dir)?;
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
            // Nothing may have come into the directory, and the next tree may have a file of that name.
            remove_empty_parents(&tree.dir, to_path(path.as_bstr()));
        }
        let origin = if linked.copied > 0 { Origin::Copies } else { Origin::Links };
        let altered = linked.altered.iter().map(ToString::to_string).collect();
        Ok(StagedTree { tree, known: TreeCache::of(index), origin, altered, last })
    }

    /// The published tree when the staged was made.
    pub(super) fn last(&self) -> &WorktreePaths {
        &self.last
    }

    /// The index of the tree that it was made from.
    pub(super) fn known(&self) -> &TreeCache {
        &self.known
    }

    /// Put the staged in the place of `dir`, an empty directory, remove from it what `new` has not or has otherwise,
    /// and mark in `new` what is there. `None`, and nothing is done, where the form of every file may differ.
    pub(super) fn set_branch(self, new: &mut State, dir: &Path) -> io::Result<Option<Adopted>> {
        let old = self.known.index();
        // Attributes decide in which form an unchanged blob is written.
        if !has_same_attributes(old, new) {
            return Ok(None);
        }
        fs_err::rename(&self.tree.dir, dir)?;
        // It says where the staged was from, and may be open somewhere.
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
        Ok(Some(Adopted { count, origin: self.origin, altered: self.altered }))
    }
}

/// Make a directory with a file in it, to see what permissions new ones get.
fn begin(dir: &Path) -> io::Result<Modes> {
    fs_err::create_dir(dir)?;
    fs_err::write(dir.join(".git"), "")?;
    let mode = |path: PathBuf| Ok::<_, io::Error>(fs_err::symlink_metadata(path)?.mode() & 0o7777);
    Ok(Modes { file: mode(dir.join(".git"))?, dir: mode(dir.to_owned())? })
}

/// Remove a file, and the directories above it that are empty then.
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
