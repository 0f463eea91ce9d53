//! How packs are read and taken in, and when there is too much in them.

use std::io;
use std::time::SystemTime;

use gix::hash::Kind;

use super::Store;
use super::files::entries;
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::progress::Progress;
use crate::unpack::Intake;
use crate::{Interrupt, Resources};

/// More packs than this are folded into one: every request names the boundary of each, every look-up asks each.
const MAX_PACKS: usize = 40;

/// Less than this is not worth folding for.
const EXCESS: u64 = 1 << 20;

impl Store {
    /// Whether it is time to [`Store::fold`]. Where packs cannot be counted that is tried, and says why not.
    pub fn has_many_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > MAX_PACKS)
    }

    /// Whether there is anything to fold, as far as can be told.
    pub fn has_several_packs(&self) -> bool {
        self.packs().map_or(true, |packs| packs.len() > 1)
    }

    /// Whether the packs are clearly larger than what is published can need, as far as can be told.
    ///
    /// It needs no more than its files come to, or than the oldest pack has: that is the first that was fetched, with
    /// all of the history, or what the last folding left. So the store grows by half before it is folded again.
    pub fn has_excess_packs(&self) -> bool {
        let exceeds = |needed: u64, bytes: u64| bytes > needed + needed / 2 + EXCESS;
        self.pack_sizes().is_ok_and(|(bytes, oldest)| {
            exceeds(oldest, bytes) && self.checked_out_size().is_ok_and(|needed| exceeds(needed, bytes))
        })
    }

    /// The bytes of all packs, and of the oldest.
    fn pack_sizes(&self) -> io::Result<(u64, u64)> {
        let (mut bytes, mut oldest) = (0, None::<(SystemTime, u64)>);
        for pack in self.packs()? {
            let found = fs_err::metadata(pack)?;
            let this = (found.modified()?, found.len());
            oldest = Some(oldest.map_or(this, |oldest| oldest.min(this)));
            bytes += found.len();
        }
        Ok((bytes, oldest.map_or(0, |(_, bytes)| bytes)))
    }

    /// The bytes of the files of all trees of this repository, as their indexes have them.
    fn checked_out_size(&self) -> io::Result<u64> {
        let (hash, mut bytes) = (self.kind.unwrap_or(Kind::Sha1), 0);
        for admin in entries(&self.git.join("worktrees"))? {
            let path = admin?.path().join("index");
            let index =
                gix::index::File::at(path, hash, true, Default::default()).map_err(io::Error::other)?;
            bytes += index.entries().iter().map(|entry| u64::from(entry.stat.size)).sum::<u64>();
        }
        Ok(bytes)
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
    pub(crate) fn intake<'a>(&self, progress: &'a Progress, interrupt: &'a Interrupt) -> Intake<'a> {
        let (hash, resources) = (self.kind.unwrap_or(Kind::Sha1), self.resources);
        Intake { pack_dir: self.pack_dir(), hash, tree: None, resources, progress, interrupt }
    }
}
