//! What the next tree is made from, so that only what changed needs work: a tree beside the published ones that
//! is as its index says. The tree that was retired last is one, where nobody altered it ([`spare`]); otherwise
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
use crate::store::place::{Place, Temporary};
use crate::trees::cache::Known;
use crate::worktree::entry::{Modes, is_unmarked, to_path};
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

/// How to make a [`Draft`]. It is owned, so that a draft can be made while a [`Store`](crate::Store) is fetched into.
#[derive(Debug)]
pub struct DraftPlan {
    pub(crate) spare: Option<Temporary>,
    /// The published tree, of this commit.
    pub(crate) last: Place,
    pub(crate) id: CommitId,
    /// Where links are made.
    pub(crate) place: Temporary,
    pub(crate) threads: usize,
}

/// A tree beside the published ones, from which [`checkout`](super::checkout) makes the next. It is removed when it
/// is not used.
#[derive(Debug)]
pub struct Draft {
    tree: Temporary,
    /// What is not there is marked SKIP_WORKTREE in its index.
    known: Known,
    origin: Origin,
    altered: Vec<String>,
    last: Place,
}

/// What came from a draft.
pub(super) struct Adopted {
    pub(super) count: usize,
    pub(super) origin: Origin,
    /// Files of the last tree that are not as they were written.
    pub(super) altered: Vec<String>,
}

impl DraftPlan {
    /// How to make what the next tree is made from, now that the tree of `last` is published: if `takes_spare`, of
    /// what was kept by [`Store::keep_spare`] if that is still as it was written, else by hard links to the tree of
    /// `last`.
    ///
    /// Whoever still has the kept tree open would see the next commit's files come into it.
    pub fn new(store: &mut Store, last: CommitId, takes_spare: bool) -> DraftPlan {
        DraftPlan {
            spare: if takes_spare { store.take_spare() } else { None },
            last: store.place(last),
            id: last,
            place: Temporary::draft(store.root()),
            threads: store.resources().threads(),
        }
    }

    /// Make the draft. An error means that the next tree has to be written in full, and nothing worse.
    pub fn carry_out(self, interrupt: &Interrupt) -> io::Result<Draft> {
        let DraftPlan { spare, last, id, place, threads } = self;
        let modes = begin(&place.dir)?;
        if let Some(spare) = spare
            && let Some(index) = recycle::check(&spare, id, modes, threads, interrupt)?
        {
            let known = Known::of(index);
            return Ok(Draft { tree: spare, known, origin: Origin::RetiredTree, altered: Vec::new(), last });
        }
        Draft::link(place, last, id, modes, threads, interrupt)
    }
}

impl Draft {
    fn link(
        tree: Temporary,
        last: Place,
        id: CommitId,
        modes: Modes,
        threads: usize,
        interrupt: &Interrupt,
    ) -> io::Result<Draft> {
        let mut index = index_file::read(last.index(), id.0.kind()).map_err(io::Error::other)?;
        let linked = hardlink::link_files(&last.dir, &mut index, &tree.dir, modes, threads, interrupt)?;
        for path in &linked.altered {
            // Nothing may have come into the directory, and the next tree may have a file of that name.
            remove_empty_parents(&tree.dir, to_path(path.as_bstr()));
        }
        let origin = if linked.copied > 0 { Origin::Copies } else { Origin::Links };
        let altered = linked.altered.iter().map(ToString::to_string).collect();
        Ok(Draft { tree, known: Known::of(index), origin, altered, last })
    }

    /// The published tree when the draft was made.
    pub(super) fn last(&self) -> &Place {
        &self.last
    }

    /// The index of the tree that it was made from.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Put the draft in the place of `dir`, an empty directory, remove from it what `new` has not or has otherwise,
    /// and mark in `new` what is there. `None`, and nothing is done, where the form of every file may differ.
    pub(super) fn adopt(self, new: &mut State, dir: &Path) -> io::Result<Option<Adopted>> {
        let old = self.known.index();
        // Attributes decide in which form an unchanged blob is written.
        if !has_same_attributes(old, new) {
            return Ok(None);
        }
        fs_err::rename(&self.tree.dir, dir)?;
        // It says where the draft was from, and may be open somewhere.
        fs_err::remove_file(dir.join(".git"))?;
        let mut candidates = old.entries().iter().filter(|entry| is_unmarked(entry)).peekable();
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
            if is_unmarked(entry) && found.id == entry.id && found.mode == entry.mode {
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
