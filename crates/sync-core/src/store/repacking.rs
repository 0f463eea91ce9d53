//! Repacking: everything that is needed as one pack, or small packs as one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::hashtable::HashSet as IdSet;

use super::Store;
use super::history::checked_out_objects;
use super::layout::mark_promised;
use crate::error::{Context, Error, Result};
use crate::fs_ext::{entries, remove_dir_if_there, remove_if_there, remove_matching};
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::objects::ancestry::search;
use crate::objects::closure::{boundary, closure};
use crate::objects::packs::remove_pack;
use crate::progress::{Progress, Stage};
use crate::repack::repack;
use crate::spec::Depth;
use crate::spec::reference::CommitId;

/// How much to repack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepackExtent {
    /// All that is needed, as one pack ([`Store::repack`]).
    Everything,
    /// Small packs, as one ([`Store::repack_small_packs`]).
    SmallPacks,
}

/// The content of the mark of a repack of small packs.
const SMALL_PACKS: &[u8] = b"small packs\n";

impl Store {
    /// What was being repacked by a repack that was interrupted while it deleted packs. Then run it again.
    #[must_use]
    pub fn interrupted_repack(&self) -> Option<RepackExtent> {
        let mark = fs_err::read(self.repack_mark()).ok()?;
        Some(if mark == SMALL_PACKS { RepackExtent::SmallPacks } else { RepackExtent::Everything })
    }

    /// A file that exists while a repack deletes packs. It is empty if everything was repacked.
    fn repack_mark(&self) -> PathBuf {
        self.git_dir().join("syncline-folding")
    }

    /// Write one pack with the objects that the trees under the root and the newest commit need, with `depth`
    /// commits of history each, and delete all other objects and references. Temporarily both the old packs and the
    /// new one are on disk.
    ///
    /// After an error or an interrupt the store is complete. If some old objects are deleted by then,
    /// [`Store::interrupted_repack`] says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut)
    /// after an interrupt; [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if an object is missing or
    /// damaged; [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) or
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the new pack cannot be written or an old one cannot be removed.
    pub fn repack(&mut self, depth: Depth, progress: &Progress, interrupt: &Interrupt) -> Result<()> {
        let step = || format!("repack {}", self.pack_dir().display());
        progress.enter(Stage::Repacking);
        let old_packs = self.packs().step(step)?;
        let repo = self.repository()?;
        let tips = self.haves(&repo)?;
        let ids: Vec<ObjectId> = tips.iter().copied().collect();
        let (objects, shallow) = (self.objects(&repo)?, boundary(&repo).step(step)?);
        let known = self.objects_of_trees(&objects, &ids);
        let is_known = |id: &gix::oid| known.contains(id);
        let mut live = closure(&objects, &ids, (&shallow, depth), is_known, |_| false, interrupt)
            .map_err(|err| Error::reading(step(), &err))?;
        live.objects.extend(known);
        if self.is_partial() {
            live.objects.retain(|id| repo.has_object(id));
        }
        let new_pack = self.write_pack(&objects, live.objects, (progress, interrupt))?;
        // From here until the final write_shallow, every commit has its parents or an entry in the boundary.
        self.extend_shallow(&repo, &live.boundary).map_err(|err| err.within(&step()))?;
        fs_err::write(self.repack_mark(), "").step(step)?;
        // The reflog keeps the commits of trees that are removed before the next repack.
        self.write_log(&repo, &tips, self.branch().unwrap_or_else(|| repo.object_hash().null()))
            .step(step)?;
        self.remove_other_references().step(step)?;
        drop((repo, objects));
        remove_packs(&old_packs, new_pack.as_deref()).step(step)?;
        let is_loose = |name: &str| name.len() == 2 && u8::from_str_radix(name, 16).is_ok();
        remove_matching(&self.git.join("objects"), &is_loose).step(step)?;
        self.write_shallow(&live.boundary).step(step)?;
        remove_if_there(&self.repack_mark()).step(step)
    }

    /// Copy the objects of small packs into one, and delete these packs. Objects that are no longer needed stay. The work
    /// depends on the size of the small packs, not on that of the store: each pack that stays is at least twice as
    /// large as all that are smaller, as with `git repack --geometric=2`, and the largest always stays.
    ///
    /// After an error or an interrupt the store is complete. If some packs are deleted by then,
    /// [`Store::interrupted_repack`] says so.
    ///
    /// # Errors
    ///
    /// Those of [`Store::repack`].
    pub fn repack_small_packs(&mut self, progress: &Progress, interrupt: &Interrupt) -> Result<()> {
        let step = || format!("repack the small packs of {}", self.pack_dir().display());
        progress.enter(Stage::Repacking);
        let small = self.small_packs().step(step)?;
        if small.len() < 2 {
            return remove_if_there(&self.repack_mark()).step(step);
        }
        let repo = self.repository()?;
        let objects = Objects::of_packs(&small, &repo, &self.pack_dir(), self.resources)
            .map_err(|err| Error::reading(step(), &err))?;
        let new_pack = self.write_pack(&objects, objects.packed(), (progress, interrupt))?;
        remove_matching(&self.pack_dir(), &is_multi_pack_index).step(step)?;
        fs_err::write(self.repack_mark(), SMALL_PACKS).step(step)?;
        drop((repo, objects));
        remove_packs(&small, new_pack.as_deref()).step(step)?;
        remove_if_there(&self.repack_mark()).step(step)
    }

    /// The packs to be copied into one, so that each of the others is at least twice as large as all smaller ones. The
    /// largest is not among them.
    fn small_packs(&self) -> io::Result<BTreeSet<PathBuf>> {
        let mut packs = self.packs_by_size()?;
        packs.pop();
        let count = count_small(packs.iter().map(|(size, _)| *size));
        Ok(packs.into_iter().take(count).map(|(_, pack)| pack).collect())
    }

    /// Write a pack. Objects may be in several packs of `objects`, and come once.
    fn write_pack(
        &self,
        objects: &Objects,
        ids: Vec<ObjectId>,
        (progress, interrupt): (&Progress, &Interrupt),
    ) -> Result<Option<PathBuf>> {
        let step = || format!("write a pack in {}", self.pack_dir().display());
        let pack = repack(objects, ids, &self.pack_dir(), (progress, interrupt))
            .map_err(|err| Error::reading(step(), &gix::Error::from_error(err)))?;
        if let Some(pack) = pack.as_ref().filter(|_| self.is_partial()) {
            mark_promised(pack).step(step)?;
        }
        Ok(pack)
    }

    /// The trees and blobs of those commits whose trees are checked out, from the indexes of the trees. This spares
    /// reading the trees of the commits.
    fn objects_of_trees(&self, objects: &Objects, commits: &[ObjectId]) -> IdSet<ObjectId> {
        let mut found = IdSet::default();
        for id in commits {
            let index = self.index(CommitId(*id));
            found.extend(checked_out_objects(objects, CommitId(*id), index.as_ref()).into_iter().flatten());
        }
        found
    }

    /// Remove commits from the reflog of the branch that the branch reaches anyway. True if no other commit is left in
    /// it: then the store has no commit that was replaced. False if it is shallow, since the log names the commits that
    /// the shallow boundary cuts off.
    pub(crate) fn forget_ancestors(&self, interrupt: &Interrupt) -> Result<bool> {
        let step = || format!("update the reflog of {}", self.git_dir().display());
        let repo = self.repository()?;
        let Some(branch) = self.branch().filter(|_| !repo.is_shallow().unwrap_or(true)) else {
            return Ok(false);
        };
        let mut kept: BTreeSet<ObjectId> = self.reflog_commits().into_iter().collect();
        let forget = |id: &ObjectId| {
            kept.remove(id);
            kept.is_empty()
        };
        search(&self.objects(&repo)?, branch, forget, interrupt)
            .map_err(|err| Error::reading(step(), &err))?;
        self.write_log(&repo, &kept, branch).step(step)?;
        Ok(kept.is_empty())
    }

    /// Remove files of git or git-sync that may name objects about to be deleted: references, reflogs, an index,
    /// commit graphs and multi-pack indexes.
    fn remove_other_references(&self) -> io::Result<()> {
        for file in ["packed-refs", "logs/HEAD", "ORIG_HEAD", "FETCH_HEAD", "index"] {
            remove_if_there(&self.git.join(file))?;
        }
        for admin in entries(&self.git.join("worktrees"))? {
            remove_dir_if_there(&admin?.path().join("logs"))?;
        }
        for dir in ["refs", "refs/heads"] {
            let ours = if dir == "refs" { "heads" } else { "git-sync" };
            remove_matching(&self.git.join(dir), &|name| name != ours)?;
        }
        remove_matching(&self.git.join("objects/info"), &|name| name.starts_with("commit-graph"))?;
        remove_matching(&self.pack_dir(), &is_multi_pack_index)
    }
}

/// An index of several packs that git may have written.
fn is_multi_pack_index(name: &str) -> bool {
    name.starts_with("multi-pack-index")
}

fn remove_packs(packs: &BTreeSet<PathBuf>, new: Option<&Path>) -> io::Result<()> {
    packs.iter().filter(|pack| Some(pack.as_path()) != new).try_for_each(|pack| remove_pack(pack))
}

/// How many of some packs to copy into one, so that each of the others is at least twice as large as all smaller ones.
/// `sizes` ascend.
fn count_small(sizes: impl IntoIterator<Item = u64>) -> usize {
    let (mut count, mut smaller) = (0, 0);
    for (at, size) in sizes.into_iter().enumerate() {
        if size < 2 * smaller {
            count = at + 1;
        }
        smaller += size;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::count_small;

    #[test]
    fn packs_that_stay_are_twice_as_large_as_all_smaller_ones() {
        for (sizes, count) in [
            (&[][..], 0),
            (&[5], 0),
            (&[1, 2], 0),
            (&[1, 1], 2),
            (&[1, 2, 6, 18], 0),
            (&[1, 1, 4], 2),
            (&[1, 1, 3], 3),
            (&[1, 1, 4, 11], 4),
            (&[3, 3, 3, 1000, 3000], 3),
        ] {
            assert_eq!(count_small(sizes.iter().copied()), count, "{sizes:?}");
        }
    }

    #[test]
    fn more_than_forty_packs_leave_few() {
        let mut packs: Vec<u64> = vec![1 << 40];
        for change in 0..10_000 {
            packs.push(1000 + change % 7);
            if packs.len() > 40 {
                packs.sort_unstable();
                let count = count_small(packs.iter().copied());
                let combined = packs.drain(..count).sum();
                packs.insert(0, combined);
                assert!(packs.len() <= 10, "{packs:?}");
            }
        }
        assert!(packs.contains(&(1 << 40)));
    }
}
