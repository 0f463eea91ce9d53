//! Reading and receiving packs, and the decision when to repack.

use std::io;
use std::path::PathBuf;

use gix::hash::Kind;

use super::Store;
use crate::error::{Error, Result};
use crate::fs_ext::entries;
use crate::index_pack::PackReceiver;
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::progress::Progress;
use crate::resources::Resources;
use crate::worktree::entry::needs_writing;
use crate::worktree::index_file;
use crate::worktree::tree_size::TreeSize;

/// With more packs than this it is time to repack: every lookup searches each of them.
const MAX_PACKS: usize = 40;

/// An excess of fewer bytes is not worth a repack.
const EXCESS: u64 = 1 << 20;

impl Store {
    /// Whether there are so many packs that it is time to [`Store::repack`]. Also true if the packs cannot be
    /// counted: the repack then reports why.
    #[must_use]
    pub fn has_many_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > MAX_PACKS)
    }

    /// Whether there is more than one pack. Also true if the packs cannot be counted.
    #[must_use]
    pub fn has_several_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > 1)
    }

    /// Whether the packs are clearly larger than the published trees need. `is_tip_only` means that the store keeps
    /// no history and no commit except the published ones; `tree_bytes` is what the objects of one
    /// published tree take at most. False if that cannot be found out.
    ///
    /// This is an estimate. With `is_tip_only` the trees need at most the size of their files, otherwise perhaps as
    /// much as the largest pack has. So if a repack frees nothing, the next one comes only after the store grew by
    /// half.
    #[must_use]
    pub fn has_excess_packs(&self, is_tip_only: bool, tree_bytes: u64) -> bool {
        self.exceeds_need(is_tip_only, tree_bytes).unwrap_or(false)
    }

    fn exceeds_need(&self, is_tip_only: bool, tree_bytes: u64) -> io::Result<bool> {
        let packs = self.packs_by_size()?;
        let bytes: u64 = packs.iter().map(|(size, _)| size).sum();
        let largest = packs.last().map_or(0, |(size, _)| *size);
        let exceeds = |needed: u64| bytes > needed + needed / 2 + EXCESS;
        if packs.len() < 2 || !exceeds(if is_tip_only { tree_bytes } else { tree_bytes.max(largest) }) {
            return Ok(false);
        }
        let (needed, is_whole) = self.checked_out_size()?;
        Ok(exceeds(needed) && ((is_tip_only && is_whole) || exceeds(largest)))
    }

    /// The packs with their sizes in bytes, the largest last.
    pub(super) fn packs_by_size(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let packs = self.packs()?.into_iter().map(|pack| Ok((fs_err::metadata(&pack)?.len(), pack)));
        let mut packs = packs.collect::<io::Result<Vec<_>>>()?;
        packs.sort_unstable();
        Ok(packs)
    }

    /// The total size of the files in all trees of this repository with their entries, in bytes, according to the
    /// indexes of the trees; and whether all files are checked out (no index entry has `SKIP_WORKTREE`).
    fn checked_out_size(&self) -> io::Result<(u64, bool)> {
        let (hash, mut bytes, mut is_whole) = (self.kind.unwrap_or(Kind::Sha1), 0, true);
        for admin in entries(&self.git.join("worktrees"))? {
            let path = admin?.path().join("index");
            let index = index_file::read(path, hash).map_err(io::Error::other)?;
            bytes += TreeSize::of(&index).objects();
            is_whole &= index.entries().iter().all(needs_writing);
        }
        Ok((bytes, is_whole))
    }

    pub(crate) fn resources(&self) -> Resources {
        self.resources
    }

    /// A reader for the objects in our packs and in the loose files of `repo`. It maps no packs into memory.
    pub(crate) fn objects(&self, repo: &gix::Repository) -> Result<Objects> {
        Objects::of(repo, &self.pack_dir(), self.resources)
            .map_err(|err| Error::reading(format!("open the packs of {}", repo.path().display()), &err))
    }

    /// A receiver that stores a pack in this repository.
    pub(crate) fn pack_receiver<'a>(
        &self,
        progress: &'a Progress,
        interrupt: &'a Interrupt,
    ) -> PackReceiver<'a> {
        let (hash, resources) = (self.kind.unwrap_or(Kind::Sha1), self.resources);
        PackReceiver { pack_dir: self.pack_dir(), hash, tree: None, resources, progress, interrupt }
    }
}
