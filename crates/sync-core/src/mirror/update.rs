//! One update: from the reference to a published tree.

use std::io;

use gix::index::State;

use super::Mirror;
use super::changes::{self, Change};
use super::notice::Notice;
use super::outcome::{Found, Look, SyncOutcome, Update};
use super::publisher::{Candidate, Decision};
use crate::bounded_read::read_bounded;
use crate::checkout::lfs::{LfsCounts, discard_parts, lacks_objects};
use crate::checkout::staging::{Origin, StagePlan, StagedTree};
use crate::checkout::verify::altered_by_index;
use crate::checkout::{Worktree, checkout};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::{Fetched, Tip, tip};
use crate::permits::Permit;
use crate::spec::reference::CommitId;
use crate::spec::sparse::SparsePatterns;
use crate::store::history::Condition;
use crate::worktree::index_file;
use crate::worktree::tree_size::TreeSize;

impl Mirror {
    /// Look whether what is published, or ready, is what the reference names. After a full check, only two files are
    /// read.
    pub(super) fn try_look(&mut self) -> Result<Look> {
        let current = self.published()?;
        let tip = self.choose(current)?;
        let commit = tip.commit;
        if current == Some(commit) && self.is_verified && self.store.has_untouched_tree(commit) {
            (self.memory.shown, self.ready) = (Some(tip), None);
            return Ok(Look::UpToDate(SyncOutcome::Unchanged(commit)));
        }
        let is_ready = self.ready.as_ref().is_some_and(|(ready, _)| ready.is_same(&tip));
        if is_ready && self.store.has_untouched_tree(commit) {
            return Ok(Look::UpToDate(SyncOutcome::Ready { commit, published: current }));
        }
        Ok(Look::Found(Found { tip, current }))
    }

    /// Make the tree of what was found, and publish it. The permit is given back when the tree is finished.
    pub(super) fn try_apply(&mut self, found: Found, permit: &mut Option<Permit>) -> Result<SyncOutcome> {
        let Found { tip, current } = found;
        if current == Some(tip.commit) && self.is_intact(tip.commit)? {
            self.is_verified = true;
            let commit = tip.commit;
            (self.memory.shown, self.ready) = (Some(tip), None);
            return Ok(SyncOutcome::Unchanged(commit));
        }
        if let Some(last) = current.filter(|current| *current != tip.commit && !self.is_verified) {
            let index = self.store.index(last);
            self.inspect(last, index.as_ref())?; // unchanged parts of the next commit are not read again
        }
        let packs = self.store.all_packs()?;
        let made = self.make_tree(&tip, current).inspect_err(|err| {
            if err.kind() == ErrorKind::StorageFull {
                let removed = self.store.discard_new_packs(&packs, current);
                let _ =
                    self.store.repositories().map(|all| all.iter().try_for_each(|git| discard_parts(git)));
                self.observer.failed(removed, "cannot remove the new packs");
            }
        })?;
        let Some(tree) = made else {
            // Only a commit that would replace another one is held back.
            (self.has_changed, self.has_leftovers) = (true, true);
            return Ok(SyncOutcome::Unchanged(current.unwrap_or(tip.commit)));
        };
        *permit = None;
        let tip = Tip { commit: tree.commit, ..tip };
        if current != Some(tree.commit) && self.prepare(&tree, &tip)? == Decision::Defer {
            let commit = tree.commit;
            (self.has_changed, self.ready) = (true, Some((tip, tree)));
            return Ok(SyncOutcome::Ready { commit, published: current });
        }
        if current != Some(tree.commit) || !self.is_shown_intact(tree.commit)? {
            self.publish(&tree, current)?;
        }
        self.ready = None;
        Ok(self.published_as(tip, tree, current))
    }

    /// As [`Mirror::publish_ready`]. The tree of an earlier process is verified at the next update.
    pub(super) fn try_publish_ready(&mut self, commit: CommitId) -> Result<SyncOutcome> {
        let current = self.published()?;
        if current == Some(commit) {
            return Ok(SyncOutcome::Unchanged(commit));
        }
        if let Some((tip, tree)) = self.ready.take_if(|(_, tree)| tree.commit == commit) {
            self.publish(&tree, current)?;
            return Ok(self.published_as(tip, tree, current));
        }
        let path = self.store.tree_path(commit);
        if !path.is_dir() {
            let text = format!("there is no tree at {}", path.display());
            return Err(Error::new(ErrorKind::NotFound, format!("publish {commit}"), text));
        }
        let tree = Worktree::new(commit, path);
        self.publish(&tree, current)?;
        let outcome = self.published_as(tip(commit.0), tree, current);
        self.is_verified = false;
        Ok(outcome)
    }

    /// What to publish: the reference's commit, or an earlier one that the rules keep. It is verified if that is
    /// possible before it is fetched.
    fn choose(&mut self, current: Option<CommitId>) -> Result<Tip> {
        let credentials = self.credentials.credentials()?;
        self.fetcher.set_credentials(credentials);
        self.refresh_sparse_patterns()?;
        let branch = self.settings.rules.on_branch.clone();
        let (newest, refs) = self.fetcher.resolve_among(branch.as_deref())?;
        let mut tip = self.apply_rules(newest, &refs, current)?;
        tip.is_unverified = self.is_named(&tip) && !self.verify(&tip)?;
        Ok(tip)
    }

    /// Take note of a tree that is published in place of `previous`.
    fn published_as(&mut self, tip: Tip, tree: Worktree, previous: Option<CommitId>) -> SyncOutcome {
        self.is_verified = true;
        let shares_most = tree.reused >= tree.written && tree.origin != Some(Origin::Copies);
        let reuses_trees = self.settings.reuses_trees && self.settings.retention.is_some();
        self.keeps_recyclable = reuses_trees && shares_most;
        self.report_move(&tip);
        self.memory.shown = Some(tip);
        if previous == Some(tree.commit) && tree.written + tree.reused == 0 {
            return SyncOutcome::Unchanged(tree.commit);
        }
        self.has_changed = true;
        self.has_unused_lfs = true;
        self.report_pointers(&tree);
        let changes = self.changes(previous, tree.commit);
        let guard = self.guards.guard(tree.commit);
        SyncOutcome::Updated(Box::new(Update { tree, previous, changes, guard }))
    }

    /// Name the files that stay pointers of Git LFS though their content is wanted.
    fn report_pointers(&self, tree: &Worktree) {
        let LfsCounts { missing_files, extended_files, .. } = &tree.lfs;
        for (text, files) in [
            ("files stay pointers: the server does not have their objects of Git LFS", missing_files),
            ("files stay pointers: they are Git LFS pointers with extensions", extended_files),
        ] {
            if !files.is_empty() {
                self.notify(&Notice::warning(text).of(tree.commit).files(files.clone()));
            }
        }
    }

    /// Read the file of sparse patterns again. It may be edited at any time; the next tree uses the new patterns.
    fn refresh_sparse_patterns(&mut self) -> Result<()> {
        if let Some(path) = &self.settings.sparse_file {
            let text = read_bounded(path, SparsePatterns::MAX_SIZE)
                .map_err(|err| Error::io("read the sparse patterns", &err))?;
            self.fetcher.set_sparse(Some(SparsePatterns::from_text(text)));
        }
        Ok(())
    }

    /// Whether what is published is intact: objects, depth and every file.
    fn is_intact(&mut self, commit: CommitId) -> Result<bool> {
        if self.store.is_partial() && self.fetcher.source().filter.is_none() {
            self.notify(&Notice::info("the store lacks the objects that a filter left out").of(commit));
            return Ok(false);
        }
        let index = self.store.index(commit);
        match self.inspect(commit, index.as_ref())? {
            Condition::Sound => self.store.set_branch(commit)?,
            Condition::TooShallow | Condition::TooDeep => {
                self.notify(&Notice::info("the history does not have the configured depth").of(commit));
                return Ok(false);
            }
            Condition::Damaged(_) => return Ok(false),
        }
        let has_lfs = self.fetcher.source().selection.lfs.is_some();
        if has_lfs && lacks_objects(&self.store, commit).unwrap_or_default() {
            let text = "asking again for the objects of Git LFS that the server did not have";
            self.notify(&Notice::info(text).of(commit));
            return Ok(false);
        }
        self.tree_size = index.as_ref().map(|index| (commit, TreeSize::of(index)));
        let wanted = (&self.fetcher.source().selection, index.as_ref());
        match altered_by_index(&self.store, commit, wanted, &self.interrupt) {
            Ok(files) if files.is_empty() => self.is_shown_intact(commit).inspect(|is_intact| {
                if !is_intact {
                    let text =
                        "published files were altered, or others of this tree are wanted: publishing again";
                    self.notify(&Notice::warning(text).of(commit));
                }
            }),
            Ok(files) => {
                let text = "published files were altered: checking the tree out again";
                self.notify(&Notice::warning(text).of(commit).files(files));
                Ok(false)
            }
            Err(err) if self.interrupt.is_triggered() => Err(err),
            Err(err) => {
                let text = "the published tree is damaged: checking it out again";
                self.notify(&Notice::warning(text).of(commit).error(&err));
                Ok(false)
            }
        }
    }

    fn is_shown_intact(&self, commit: CommitId) -> Result<bool> {
        let tree = self.store.tree_path(commit);
        self.publisher.is_intact(&tree, &self.interrupt).map_err(|err| self.unreadable(&err))
    }

    /// The condition of a commit in the store. If it is damaged, the whole store is rebuilt.
    fn inspect(&mut self, commit: CommitId, index: Option<&State>) -> Result<Condition> {
        let depth = self.fetcher.source().depth;
        let condition = self.store.inspect_by_index(commit, depth, index, &self.interrupt)?;
        self.has_excess_history |= condition == Condition::TooDeep;
        if let Condition::Damaged(reason) = &condition {
            let text = "objects are missing or damaged: fetching them again";
            self.notify(&Notice::warning(text).of(commit).reason(reason));
            self.store.rebuild()?;
        }
        Ok(condition)
    }

    /// Fetch a commit and check it out; `None` if a rule holds it back.
    fn make_tree(&mut self, tip: &Tip, current: Option<CommitId>) -> Result<Option<Worktree>> {
        self.remove_foreign_worktrees(); // one may have the name of this tree
        let lacked_filter = self.fetcher.lacks_filter();
        let last = current.filter(|current| *current != tip.commit);
        let Some((fetched, staged)) = self.fetch(tip, last)? else { return Ok(None) };
        if self.fetcher.lacks_filter() && !lacked_filter {
            self.notify(&Notice::warning("the server does not support --filter: it sends everything"));
        }
        let tree = checkout(&self.store, &fetched, staged, &self.progress, &self.interrupt)?;
        self.tree_size = tree.size.map(|size| (tree.commit, size)).or(self.tree_size);
        Ok(Some(tree))
    }

    /// Fetch, and stage the files that the next tree reuses: meanwhile, or once the commit is accepted.
    fn fetch(&mut self, tip: &Tip, last: Option<CommitId>) -> Result<Option<(Fetched, Option<StagedTree>)>> {
        if self.accepts_after_fetch(tip, last) {
            let fetched = self.fetcher.fetch(tip, &mut self.store)?;
            if !self.accept(&Tip { commit: fetched.commit, ..tip.clone() }, last)? {
                return Ok(None);
            }
            let staged = self.stage_plan(tip, last).map(|plan| plan.run(&self.interrupt));
            return Ok(Some((fetched, self.staged(staged))));
        }
        let (plan, interrupt) = (self.stage_plan(tip, last), self.interrupt.clone());
        std::thread::scope(|scope| {
            let staged = plan.map(|plan| scope.spawn(move || plan.run(&interrupt)));
            let fetched = self.fetcher.fetch(tip, &mut self.store)?;
            let staged = staged.and_then(|staged| staged.join().ok());
            Ok(Some((fetched, self.staged(staged))))
        })
    }

    fn stage_plan(&mut self, tip: &Tip, last: Option<CommitId>) -> Option<StagePlan> {
        let exists = self.store.tree_path(tip.commit).exists();
        let last = last.filter(|_| self.settings.shares_files && !exists)?;
        let may_recycle = self.may_recycle();
        Some(StagePlan::new(&mut self.store, last, may_recycle))
    }

    fn staged(&self, outcome: Option<io::Result<StagedTree>>) -> Option<StagedTree> {
        let not_staged = Notice::debug("cannot reuse files: writing all");
        outcome?.map_err(|err| self.notify(&not_staged.error(&err))).ok()
    }

    /// Whether the commit can only be accepted once it is fetched.
    fn accepts_after_fetch(&self, tip: &Tip, last: Option<CommitId>) -> bool {
        tip.is_unverified || (last.is_some() && self.has_rules_for_fetched())
    }

    /// Judge a commit that is in the store. The answer is false if a rule holds it back. The branch of the store does
    /// not name a commit that is refused.
    fn accept(&mut self, tip: &Tip, last: Option<CommitId>) -> Result<bool> {
        let judged = self.verify_fetched(tip).and_then(|()| match last {
            Some(last) => self.check_forward_in_store(tip, last),
            None => Ok(()),
        });
        if let (Err(_), Some(last)) = (&judged, last) {
            let reset = self.store.set_branch(last);
            self.observer.failed(reset, "cannot set the branch back");
        }
        judged?;
        last.map_or(Ok(true), |last| self.changes_watched(tip, last))
    }

    fn prepare(&mut self, tree: &Worktree, tip: &Tip) -> Result<Decision> {
        let signers = self.judged.signers(tree.commit);
        self.publisher.prepare(&Candidate { tree, reference: tip.reference(), signers }, &self.interrupt)
    }

    fn publish(&mut self, tree: &Worktree, current: Option<CommitId>) -> Result<()> {
        if self.settings.flushes {
            self.store.flush()?;
        }
        // This is done before the tree is replaced. If it were done after, a kill in between would shorten the time for
        // which the old tree is kept.
        if let (Some(old), Some(retention)) =
            (current.filter(|old| *old != tree.commit), &self.settings.retention)
        {
            let started = retention.clock.record_replacement(&self.store.tree_path(old));
            self.observer.failed(
                started.step(|| "set the modification time of the old tree".into()),
                "cannot record when the old tree was replaced",
            );
        }
        let (commit, path) = (tree.commit, self.publisher.path().to_owned());
        self.publisher
            .publish(tree, &self.interrupt)
            .map_err(|err| Error::io(format!("publish {commit} at {}", path.display()), &err))
    }

    /// The paths that differ; none if the trees cannot be compared.
    fn changes(&self, old: Option<CommitId>, new: CommitId) -> Vec<Change> {
        let Some(old) = old.filter(|_| self.settings.lists_changes) else { return Vec::new() };
        let index =
            |commit: CommitId| index_file::read(self.store.worktree_paths(commit).index(), commit.0.kind());
        match (index(old), index(new)) {
            (Ok(old), Ok(new)) => changes::between(&old, &new),
            _ => Vec::new(),
        }
    }
}
