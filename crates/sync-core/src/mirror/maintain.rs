//! Maintenance after an update: remove replaced trees, and keep the store small. Its failures do not fail the update.

use std::cmp::Reverse;
use std::time::Duration;

use super::notice::Notice;
use super::{Mirror, Repack};
use crate::checkout::lfs::{count_pointers, prune_objects};
use crate::error::{Context, Error, Recovery, Result};
use crate::interrupt::Interrupt;
use crate::progress::{Progress, Stage};
use crate::spec::Depth;
use crate::spec::reference::CommitId;
use crate::store::Store;
use crate::store::repacking::RepackExtent;

impl Mirror {
    /// Maintain the root after a successful [`Mirror::update`]: remove replaced trees, unused submodules and temporary
    /// files, and repack. `commit` is the published commit.
    ///
    /// A failure is reported to the observer, and the next maintenance tries again. An interrupt ends only the repack.
    pub fn maintain(&mut self, commit: CommitId) {
        let has_changed = std::mem::take(&mut self.has_changed);
        let size = self.size_of_tree(commit).objects();
        self.prune(&[commit], self.keeps_recyclable);
        if has_changed {
            match self.store.remove_git_sync_v3_trees() {
                Ok(0) => {}
                Ok(_) => self.notify(&Notice::info("moved from git-sync v3's layout")),
                Err(err) => {
                    self.notify(&Notice::warning("cannot remove the trees of git-sync v3").error(&err))
                }
            }
            self.remove_unused_submodules();
            self.remove_foreign_worktrees();
        }
        if std::mem::take(&mut self.has_unused_lfs) {
            self.count_pointers(commit);
            let pruned = self.prune_lfs();
            self.has_unused_lfs = self.observer.failed(pruned, "cannot remove unused objects of Git LFS");
        }
        if self.has_excess_history {
            self.repack(Some(RepackExtent::Everything));
        } else if has_changed {
            self.repack(self.due_repack(&self.store, size, false));
        }
        if has_changed {
            self.repack_submodules(false);
        }
        self.has_leftovers |= has_changed; // a staged tree that cannot be removed is not reported
        self.end_maintenance();
    }

    /// Maintain the root after a failed [`Mirror::update`], so that the store stays small while each new commit is
    /// fetched and then rejected: remove trees that were not published and unused submodules, and repack. The newest
    /// commit stays, since the next update may need it.
    ///
    /// A failure is reported to the observer, and the next maintenance tries again. An interrupt ends only the repack.
    pub fn maintain_after_failure(&mut self) {
        let (Ok(named), Ok(current)) =
            (self.publisher.named(&self.store), self.publisher.current(&self.store))
        else {
            return;
        };
        let in_use: Vec<CommitId> = named.into_iter().chain(self.store.newest()).collect();
        self.prune(&in_use, false);
        let size = self.tree_size.map_or(0, |(_, size)| size.objects());
        let due = self.due_repack(&self.store, size, true);
        if self.settings.repack != Repack::Never && due.is_some() {
            // A repack keeps the commit of the branch.
            let _ = current.map(|current| self.store.set_branch(current));
            self.remove_unused_submodules();
            self.repack(due);
        }
        self.repack_submodules(true);
        self.end_maintenance();
    }

    /// Whether the retired tree may be updated in place: it was replaced long enough ago that no process should have it
    /// open.
    pub(super) fn may_recycle(&self) -> bool {
        let (Some(retired_at), Some(retention)) = (self.retired_at, &self.settings.retention) else {
            return false;
        };
        (retention.clock.monotonic)().saturating_sub(retired_at) >= retention.reuse_delay
    }

    fn prune(&mut self, in_use: &[CommitId], keeps_recyclable: bool) {
        let ready = self.ready.as_ref().map(|(_, tree)| tree.commit);
        let in_use: Vec<CommitId> = in_use.iter().copied().chain(ready).chain(self.guards.held()).collect();
        let pruned = self.unused_trees(&in_use).and_then(|unused| self.prune_trees(unused, keeps_recyclable));
        self.has_leftovers |= self.observer.failed(pruned, "cannot remove old trees");
        let pruned = self
            .publisher
            .prune(self.keep())
            .step(|| "remove what the publisher made for earlier trees".into());
        self.observer.failed(pruned, "cannot remove what the publisher made for earlier trees");
    }

    fn keep(&self) -> Duration {
        self.settings.retention.map_or(Duration::ZERO, |retention| retention.keep)
    }

    /// The trees that are not `in_use`, and that consumers of the publisher do not read either.
    fn unused_trees(&self, in_use: &[CommitId]) -> Result<Vec<CommitId>> {
        let mut trees = self.store.trees().map_err(|err| Error::io("list the old trees", &err))?;
        trees.retain(|id| !in_use.contains(id));
        if !trees.is_empty() {
            let shown = self.publisher.in_use(&self.store);
            let shown = shown.step(|| "find out which old trees consumers may read".into())?;
            trees.retain(|id| !shown.contains(id));
        }
        Ok(trees)
    }

    /// Remove those trees that were replaced long enough ago. With `keeps_recyclable`, the newest of them is set aside
    /// for reuse. If one cannot be removed, the others still are.
    fn prune_trees(&mut self, unused: Vec<CommitId>, keeps_recyclable: bool) -> Result<usize> {
        let retention = self.settings.retention;
        let age = |id: &CommitId| match &retention {
            Some(retention) => retention.clock.time_since_replacement(&self.store.tree_path(*id)),
            None => Some(Duration::ZERO),
        };
        let with_age = unused.into_iter().filter_map(|id| Some((age(&id)?, id)));
        let keep = self.keep();
        let mut old: Vec<_> = with_age.filter(|(age, _)| *age >= keep).collect();
        old.sort_by_key(|(age, _)| Reverse(*age));
        let mut outcome = Ok(old.len());
        for (at, (_, id)) in old.iter().enumerate() {
            let is_newest = at + 1 == old.len();
            let removed = if is_newest && keeps_recyclable {
                self.retired_at = retention.map(|retention| (retention.clock.monotonic)());
                self.store.retain_for_reuse(*id)
            } else {
                self.store.remove_tree(*id)
            };
            outcome = removed.and(outcome);
        }
        outcome
    }

    /// Say once that files are pointers of Git LFS, and what would fetch their content.
    fn count_pointers(&mut self, commit: CommitId) {
        if self.fetcher.source().selection.lfs.is_none()
            && !std::mem::replace(&mut self.has_counted_pointers, true)
            && let Ok(count @ 1..) = count_pointers(&self.store, commit)
        {
            let text = "there are pointers of Git LFS in place of content; --lfs=on fetches it";
            self.notify(&Notice::info(text).reason(format!("{count} files")).of(commit));
        }
    }

    /// Remove objects of Git LFS that no tree uses.
    fn prune_lfs(&self) -> Result<()> {
        let step = || format!("remove unused objects of Git LFS in {}", self.store.root().display());
        self.store.repositories().step(step)?.iter().try_for_each(|git| prune_objects(git).step(step))
    }

    pub(super) fn remove_foreign_worktrees(&mut self) {
        self.observer
            .failed(self.store.remove_foreign_worktrees(), "cannot remove something unknown in .worktrees");
    }

    fn remove_unused_submodules(&mut self) {
        self.observer.failed(self.store.remove_unused_submodules(), "cannot remove unused submodules");
    }

    /// What to repack now. `tree_size` is what the objects of a tree of the store take, in bytes, or 0. After a failure
    /// (`has_failed`) the store may hold commits that are not published.
    fn due_repack(&self, store: &Store, tree_size: u64, has_failed: bool) -> Option<RepackExtent> {
        let depth = self.fetcher.source().depth.0;
        let is_tip_only = !has_failed && depth.is_some_and(|depth| depth.get() == 1);
        // With all history, only a commit that a forced push replaced is no longer needed.
        let needs_all =
            || !has_failed && depth.is_none() && store.forget_ancestors(&self.interrupt).unwrap_or(false);
        let has_many = self.settings.repack != Repack::Never && store.has_many_packs();
        let everything = match self.settings.repack {
            Repack::Never => false,
            Repack::WhenNeeded => {
                store.has_excess_packs(is_tip_only, tree_size) || (has_many && !needs_all())
            }
            Repack::Always => store.has_several_packs(),
        };
        if everything {
            return Some(RepackExtent::Everything);
        }
        store.interrupted_repack().or(has_many.then_some(RepackExtent::SmallPacks))
    }

    /// Without a permit, the next maintenance tries again.
    fn repack(&mut self, due: Option<RepackExtent>) {
        let Some(extent) = due.and_then(|due| self.feasible(due)) else { return };
        let Some(_permit) = self.pool.permits().take_free() else {
            self.has_changed = true;
            return;
        };
        let depth = self.fetcher.source().depth;
        let repacked = repack(&mut self.store, extent, depth, &self.progress, &self.interrupt);
        self.report_repack(&repacked);
        match repacked {
            Ok(()) if extent == RepackExtent::Everything => {
                (self.has_excess_history, self.stopped_at) = (false, None);
            }
            Ok(()) => {}
            Err(err) => {
                self.has_leftovers = true;
                if extent == RepackExtent::Everything && self.interrupt.is_triggered() {
                    self.stopped_at = Some(self.store.disk_usage());
                }
                self.rebuild_after(&err);
            }
        }
    }

    /// What can be repacked in time. After an interrupt only small packs are, until the store has grown by half. A repack
    /// that deleted packs by then has to be completed.
    fn feasible(&self, due: RepackExtent) -> Option<RepackExtent> {
        let takes_too_long = |then| self.store.disk_usage() <= then + then / 2;
        if due == RepackExtent::Everything
            && self.stopped_at.is_some_and(takes_too_long)
            && self.store.interrupted_repack() != Some(RepackExtent::Everything)
        {
            return self.store.has_many_packs().then_some(RepackExtent::SmallPacks);
        }
        Some(due)
    }

    fn repack_submodules(&mut self, has_failed: bool) {
        let stores = self.store.submodules().unwrap_or_else(|err| {
            self.notify(&Notice::warning("cannot repack submodules").error(&err));
            Vec::new()
        });
        for mut store in stores {
            let Some(extent) = self.due_repack(&store, 0, has_failed) else { continue };
            let Some(_permit) = self.pool.permits().take_free() else {
                self.has_changed = true;
                return;
            };
            let depth = self.fetcher.source().depth;
            let repacked = repack(&mut store, extent, depth, &self.progress, &self.interrupt);
            self.report_repack(&repacked);
            self.has_leftovers |= repacked.is_err();
        }
    }

    fn report_repack(&self, repacked: &Result<()>) {
        match repacked {
            Ok(()) => self.notify(&Notice::debug("repacked the store")),
            Err(err) => self.notify(&Notice::warning("cannot repack the store").error(err)),
        }
    }

    /// Rebuild the store if the repack found damage, which an update might not notice. The next update fetches
    /// everything again.
    fn rebuild_after(&mut self, err: &Error) {
        if err.recovery() == Recovery::Rebuild && !self.interrupt.is_triggered() {
            self.is_verified = false;
            let rebuilt = self.store.rebuild();
            self.observer.failed(rebuilt, "cannot rebuild the store");
        }
    }

    fn end_maintenance(&mut self) {
        if self.has_leftovers {
            self.clean_up();
        }
        self.progress.enter(Stage::Idle);
    }
}

fn repack(
    store: &mut Store,
    extent: RepackExtent,
    depth: Depth,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    match extent {
        RepackExtent::Everything => store.repack(depth, progress, interrupt),
        RepackExtent::SmallPacks => store.repack_small_packs(progress, interrupt),
    }
}
