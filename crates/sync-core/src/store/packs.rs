//! How packs are read and taken in, and when there is too much in them.

use std::io;

use gix::hash::Kind;
use gix::index::entry::Flags;

use super::Store;
use crate::error::{Error, Result};
use crate::fs_ext::entries;
use crate::index_pack::PackReceiver;
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::progress::Progress;
use crate::resources::Resources;

/// More packs than this are folded into one: every request names the boundary of each, every look-up asks each.
const MAX_PACKS: usize = 40;

/// Less than this is not worth folding for.
const EXCESS: u64 = 1 << 20;

/// What a file takes in trees and in a pack's index, about.
const NAME: u64 = 128;

impl Store {
    /// Whether it is time to [`Store::repack`]. Where packs cannot be counted that is tried, and says why not.
    pub fn has_many_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > MAX_PACKS)
    }

    /// Whether there is anything to repack, as far as can be told.
    pub fn has_several_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > 1)
    }

    /// Whether the packs are clearly larger than what is published can need, as far as can be told. `is_tip_only` says
    /// that no history was asked for, and nothing but what is published is kept; `known` is what the files of one tree
    /// come to, for a quick answer.
    ///
    /// Then it needs no more than its files come to; otherwise perhaps as much as the largest pack has. So nothing is
    /// folded for nothing more than once before the store grows by half.
    pub fn has_excess_packs(&self, is_tip_only: bool, known: u64) -> bool {
        self.exceeds_need(is_tip_only, known).unwrap_or(false)
    }

    fn exceeds_need(&self, is_tip_only: bool, known: u64) -> io::Result<bool> {
        let sizes = self.packs()?.into_iter().map(|pack| Ok(fs_err::metadata(pack)?.len()));
        let sizes = sizes.collect::<io::Result<Vec<u64>>>()?;
        let (bytes, largest): (u64, u64) = (sizes.iter().sum(), sizes.iter().max().copied().unwrap_or(0));
        let exceeds = |needed: u64| bytes > needed + needed / 2 + EXCESS;
        if sizes.len() < 2 || !exceeds(if is_tip_only { known } else { known.max(largest) }) {
            return Ok(false);
        }
        let (needed, is_whole) = self.checked_out_size()?;
        Ok(exceeds(needed) && ((is_tip_only && is_whole) || exceeds(largest)))
    }

    /// The bytes of the files of all trees of this repository and of what names them, as their indexes have them; and
    /// whether no file is left out.
    fn checked_out_size(&self) -> io::Result<(u64, bool)> {
        let (hash, mut bytes, mut is_whole) = (self.kind.unwrap_or(Kind::Sha1), 0, true);
        for admin in entries(&self.git.join("worktrees"))? {
            let path = admin?.path().join("index");
            let index =
                gix::index::File::at(path, hash, true, Default::default()).map_err(io::Error::other)?;
            for entry in index.entries() {
                bytes += u64::from(entry.stat.size) + NAME;
                is_whole &= !entry.flags.contains(Flags::SKIP_WORKTREE);
            }
        }
        Ok((bytes, is_whole))
    }

    pub(crate) fn resources(&self) -> Resources {
        self.resources
    }

    /// Access to the objects of a repository, by default our own, that maps no packs.
    pub(crate) fn objects(&self, repo: &gix::Repository) -> Result<Objects> {
        Objects::of(repo, &self.pack_dir(), self.resources)
            .map_err(|err| Error::reading(format!("open the packs of {}", repo.path().display()), &err))
    }

    /// How a pack comes in here.
    pub(crate) fn pack_receiver<'a>(
        &self,
        progress: &'a Progress,
        interrupt: &'a Interrupt,
    ) -> PackReceiver<'a> {
        let (hash, resources) = (self.kind.unwrap_or(Kind::Sha1), self.resources);
        PackReceiver { pack_dir: self.pack_dir(), hash, tree: None, resources, progress, interrupt }
    }
}
