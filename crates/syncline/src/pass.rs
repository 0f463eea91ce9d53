//! One pass: look, receive, check out, publish, prune. Blocking, with owned data, so that the loop can
//! hand it to a thread and get it back.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sync_core::{
    CommitId, Condition, Draft, DraftPlan, Error, ErrorKind, Fetched, Interrupt, Origin, Progress, Recovery,
    Result, SparsePatterns, Stage, Store, Tip, Upstream, Worktree, altered_files, checkout, read_bounded,
    tree_size,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::config::{ExecHook, Folding};
use crate::hooks::{self, Event};
use crate::login::Logins;
use crate::publish::{Publication, prune, retire};
use crate::status::Status;

/// All that passes work on.
pub struct Syncer {
    pub store: Store,
    pub upstream: Upstream,
    pub publication: Publication,
    pub logins: Logins,
    /// Whether trees may have files in common, as hard links.
    pub shares_files: bool,
    /// Whether a retired tree may become the next.
    pub reuses_trees: bool,
    /// How long a retired tree stays untouched: somebody may still be in it.
    pub reuse_delay: Duration,
    /// When the tree that is kept to become the next was retired.
    pub retired_at: Option<Instant>,
    /// Whether a retired tree is worth keeping for that: it shares its files with the published one.
    pub keeps_spare: bool,
    /// Whether everything is written to disk before it is published.
    pub is_durable: bool,
    pub folding: Folding,
    pub sparse_file: Option<PathBuf>,
    pub stale_worktree_timeout: Duration,
    pub pre_publish: Option<watch::Sender<Option<Event>>>,
    /// The program that has to agree before anything is published.
    pub gate: Option<ExecHook>,
    pub interrupt: Interrupt,
    pub progress: Progress,
    /// Whether this process has seen that what is published is whole; an earlier one may have been killed, or
    /// had other options.
    pub verified: bool,
    /// Whether the store holds history that is no longer asked for.
    pub has_excess_history: bool,
    /// What the files of the published tree come to.
    pub tree_size: u64,
    /// Whether something half-made could not be cleared so far.
    pub has_leftovers: bool,
}

/// What a pass came to.
#[derive(Debug)]
pub enum Passed {
    /// The same is published as before.
    Unchanged(CommitId),
    /// This is published now.
    Published { tree: Worktree, before: Option<CommitId> },
}

impl Passed {
    pub fn event(&self, store: &Store) -> Event {
        let commit = match self {
            Passed::Unchanged(commit) => *commit,
            Passed::Published { tree, .. } => tree.commit,
        };
        Event { commit, tree: store.tree_path(commit) }
    }
}

impl Syncer {
    /// Bring what is published up to date. A damaged store is rebuilt, a refused login renewed, once.
    /// [`Syncer::tidy`] is to follow a success.
    pub fn pass(&mut self) -> Result<Passed> {
        if self.has_leftovers {
            self.clear_leftovers();
        }
        let passed = match self.try_pass() {
            Err(err) if self.interrupt.is_triggered() => Err(err),
            Err(err) if err.recovery() == Recovery::Rebuild => {
                warn!(error = %err, "the store is damaged: fetching it anew");
                self.store.rebuild().and_then(|()| self.try_pass())
            }
            Err(err) if err.recovery() == Recovery::Login && self.logins.renew() => {
                info!(error = %err, "the login was refused: trying another");
                self.try_pass()
            }
            passed => passed,
        };
        if passed.is_err() {
            self.clear_leftovers();
        }
        self.progress.enter(Stage::Idle);
        passed
    }

    fn clear_leftovers(&mut self) {
        let cleared = self.store.clear_leftovers();
        self.has_leftovers = cleared.inspect_err(|err| debug!(error = %err, "leftovers stay")).is_err();
    }

    fn try_pass(&mut self) -> Result<Passed> {
        let current = self.publication.current(&self.store).map_err(|err| self.reading(&err))?;
        self.upstream.set_credentials(self.logins.current()?);
        self.refresh_sparse()?;
        let tip = self.upstream.look()?;
        let is_untouched = |syncer: &Self| syncer.verified && syncer.store.has_untouched_tree(tip.commit);
        if current == Some(tip.commit) && (is_untouched(self) || self.is_sound(tip.commit)?) {
            self.verified = true;
            return Ok(Passed::Unchanged(tip.commit));
        }
        if let Some(last) = current.filter(|current| *current != tip.commit && !self.verified) {
            self.inspect(last)?; // what is the same in the next commit is not read again
        }
        let packs = self.store.all_packs()?;
        let tree = self.make_tree(&tip, current).inspect_err(|err| {
            if err.kind() == ErrorKind::StorageFull {
                let _ = self
                    .store
                    .give_back(&packs, current)
                    .inspect_err(|err| warn!(error = %err, "cannot give back what was received"));
            }
        })?;
        if current != Some(tree.commit) || !self.is_shown_whole(tree.commit)? {
            self.publish(&tree, current)?;
        }
        self.verified = true;
        let shares_most = tree.reused >= tree.written && tree.origin != Some(Origin::Copies);
        self.keeps_spare = self.reuses_trees && shares_most;
        if current == Some(tree.commit) && tree.written + tree.reused == 0 {
            return Ok(Passed::Unchanged(tree.commit));
        }
        Ok(Passed::Published { tree, before: current })
    }

    fn reading(&self, err: &io::Error) -> Error {
        Error::io(format!("read what is published at {}", self.publication.path().display()), err)
    }

    fn is_shown_whole(&self, commit: CommitId) -> Result<bool> {
        let tree = self.store.tree_path(commit);
        self.publication.is_whole(&tree, &self.interrupt).map_err(|err| self.reading(&err))
    }

    fn publish(&self, tree: &Worktree, current: Option<CommitId>) -> Result<()> {
        if current != Some(tree.commit) {
            self.before_publishing(tree)?;
        }
        if self.is_durable {
            self.store.flush()?;
        }
        // Before the flip: a kill in between must not cost the old tree its time.
        if let Some(old) = current.filter(|old| *old != tree.commit) {
            let _ =
                retire(&self.store, old).inspect_err(|err| warn!(error = %err, "cannot mark the old tree"));
        }
        self.publication.show(tree, &self.interrupt).map_err(|err| {
            Error::io(format!("publish {} at {}", tree.commit, self.publication.path().display()), &err)
        })
    }

    /// Receive a commit and make its tree.
    fn make_tree(&mut self, tip: &Tip, current: Option<CommitId>) -> Result<Worktree> {
        self.remove_foreign_worktrees(); // one may have this tree's name
        let lacked_filter = self.upstream.lacks_filter();
        let (fetched, draft) = self.receive(tip, current.filter(|current| *current != tip.commit))?;
        if self.upstream.lacks_filter() && !lacked_filter {
            warn!("the server does not support --filter: it sends everything");
        }
        checkout(&self.store, &fetched, draft, &self.progress, &self.interrupt)
    }

    /// Fetch, and meanwhile prepare what the next tree is made from.
    fn receive(&mut self, tip: &Tip, last: Option<CommitId>) -> Result<(Fetched, Option<Draft>)> {
        let is_there = self.store.tree_path(tip.commit).exists();
        let last = last.filter(|_| self.shares_files && !is_there);
        let is_free = self.retired_at.is_some_and(|retired_at| retired_at.elapsed() >= self.reuse_delay);
        let plan = last.map(|last| DraftPlan::new(&mut self.store, last, is_free));
        let interrupt = self.interrupt.clone();
        std::thread::scope(|scope| {
            let draft = plan.map(|plan| scope.spawn(move || plan.carry_out(&interrupt)));
            let fetched = self.upstream.receive(tip, &mut self.store)?;
            let draft = draft.and_then(|draft| draft.join().ok()).and_then(|draft| {
                draft.inspect_err(|err| debug!(error = %err, "every file has to be written")).ok()
            });
            Ok((fetched, draft))
        })
    }

    /// Whether what is published is whole: objects, depth and files.
    fn is_sound(&mut self, commit: CommitId) -> Result<bool> {
        if self.store.is_partial() && self.upstream.source().filter.is_none() {
            info!(%commit, "the store lacks what a filter left out");
            return Ok(false);
        }
        match self.inspect(commit)? {
            Condition::Sound => self.store.adopt(commit)?,
            Condition::TooShallow | Condition::TooDeep => {
                info!(%commit, "the history is not as long as asked for");
                return Ok(false);
            }
            Condition::Damaged(_) => return Ok(false),
        }
        match altered_files(&self.store, commit, &self.upstream.source().selection, &self.interrupt) {
            Ok(files) if files.is_empty() => self.is_shown_whole(commit).inspect(|is_whole| {
                if !is_whole {
                    warn!(%commit, "published files were altered: publishing them anew");
                }
            }),
            Ok(files) => {
                warn!(%commit, ?files, "published files were altered: making the tree anew");
                Ok(false)
            }
            Err(err) if self.interrupt.is_triggered() => Err(err),
            Err(err) => {
                warn!(%commit, error = %err, "the published tree is not as it should be: making it anew");
                Ok(false)
            }
        }
    }

    /// How the store has a commit. Where it is damaged, all of it goes.
    fn inspect(&mut self, commit: CommitId) -> Result<Condition> {
        let depth = self.upstream.source().depth;
        let condition = self.store.inspect(commit, depth, &self.interrupt)?;
        self.has_excess_history |= condition == Condition::TooDeep;
        if let Condition::Damaged(reason) = &condition {
            warn!(%commit, reason, "objects are missing or damaged: fetching them again");
            self.store.rebuild()?;
        }
        Ok(condition)
    }

    /// The patterns may be edited while we run; they are used for the next tree.
    fn refresh_sparse(&mut self) -> Result<()> {
        if let Some(path) = &self.sparse_file {
            let text = read_bounded(path, SparsePatterns::MAX_SIZE)
                .map_err(|err| Error::io("read the sparse patterns", &err))?;
            self.upstream.set_sparse(Some(SparsePatterns::from_text(text)));
        }
        Ok(())
    }

    fn before_publishing(&self, tree: &Worktree) -> Result<()> {
        let event = Event { commit: tree.commit, tree: tree.path.clone() };
        if let Some(events) = &self.pre_publish {
            events.send_replace(Some(event.clone()));
        }
        let Some(gate) = &self.gate else { return Ok(()) };
        self.progress.enter(Stage::Idle); // what goes on now is none of ours
        // This thread may wait: it is not one of the runtime's.
        let asked = hooks::ask(gate, &event, &self.interrupt);
        tokio::runtime::Handle::current().block_on(asked).map_err(|refusal| {
            Error::new(
                ErrorKind::Other,
                format!("ask the pre-publish exechook about {}", tree.commit),
                refusal,
            )
        })
    }

    /// Say what is published to those who ask.
    pub fn describe(&mut self, commit: CommitId, status: &Status) {
        self.tree_size = tree_size(&self.store, commit);
        match self.store.describe(commit) {
            Ok(info) => status.published(info, self.tree_size),
            Err(err) => debug!(error = %err, "cannot describe the commit"),
        }
        status.store_has(self.store.disk_usage());
    }

    /// `known`: what the files of one of its trees come to. `has_failed`: something may be kept that is not published.
    fn is_time_to_fold(&self, store: &Store, known: u64, has_failed: bool) -> bool {
        let is_tip_only = !has_failed && self.upstream.source().depth.0.is_some_and(|depth| depth.get() == 1);
        let is_due = match self.folding {
            Folding::Never => false,
            Folding::WhenMany => store.has_many_packs() || store.has_excess_packs(is_tip_only, known),
            Folding::Always => store.has_several_packs(),
        };
        is_due || store.is_half_folded()
    }

    fn fold(&self, store: &Store) -> Result<()> {
        let folded = store.fold(self.upstream.source().depth, &self.progress, &self.interrupt);
        match &folded {
            Ok(()) => debug!("folded the store's packs into one"),
            Err(err) => warn!(error = %err, "cannot fold the store's packs"),
        }
        folded
    }

    /// A hole in what nobody looks at every time: the next pass finds an empty store and fills it.
    fn mend(&mut self, err: &Error) {
        if err.recovery() == Recovery::Rebuild && !self.interrupt.is_triggered() {
            self.verified = false;
            let _ = self.store.rebuild().inspect_err(|err| warn!(error = %err, "cannot rebuild the store"));
        }
    }

    /// What follows a success and cannot fail it. `is_news`: something changed, or an earlier process may have been
    /// killed before it came to this.
    pub fn tidy(&mut self, commit: CommitId, is_news: bool) {
        self.prune(&[commit], self.keeps_spare);
        if is_news {
            match self.store.remove_v3_trees() {
                Ok(0) => {}
                Ok(_) => info!("moved from git-sync v3's layout"),
                Err(err) => warn!(error = %err, "cannot remove the old tree"),
            }
            self.remove_unused_modules();
            self.remove_foreign_worktrees();
        }
        if self.has_excess_history || (is_news && self.is_time_to_fold(&self.store, self.tree_size, false)) {
            self.fold_repository();
        }
        if is_news {
            self.fold_modules(false);
        }
        self.has_leftovers |= is_news; // drafts go without a word when they cannot be removed
        self.end_tidying();
    }

    /// Bounds what commits leave that were fetched and then refused, one after the other: trees that were not
    /// published, packs, and submodules that no tree has. The newest commit may be tried again.
    pub fn tidy_after_failure(&mut self) {
        let (Ok(named), Ok(current)) =
            (self.publication.named(&self.store), self.publication.current(&self.store))
        else {
            return;
        };
        let in_use: Vec<CommitId> = named.into_iter().chain(self.store.newest()).collect();
        self.prune(&in_use, false);
        if self.folding != Folding::Never && self.is_time_to_fold(&self.store, self.tree_size, true) {
            // Folding keeps what the branch names.
            let _ = current.map(|current| self.store.adopt(current));
            self.remove_unused_modules();
            self.fold_repository();
        }
        self.fold_modules(true);
        self.end_tidying();
    }

    fn prune(&mut self, in_use: &[CommitId], keeps_spare: bool) {
        let removed = prune(&mut self.store, in_use, self.stale_worktree_timeout, keeps_spare);
        if keeps_spare && !matches!(removed, Ok(0)) {
            self.retired_at = Some(Instant::now());
        }
        match removed {
            Ok(0) => {}
            Ok(removed) => debug!(removed, "removed old trees"),
            Err(err) => {
                warn!(error = %err, "cannot remove old trees");
                self.has_leftovers = true;
            }
        }
        let _ = self
            .publication
            .prune(self.stale_worktree_timeout)
            .inspect_err(|err| warn!(error = %err, "cannot remove what was published before"));
    }

    fn remove_foreign_worktrees(&self) {
        let removed = self.store.remove_foreign_worktrees();
        let _ = removed.inspect_err(|err| warn!(error = %err, "something foreign stays in .worktrees"));
    }

    fn remove_unused_modules(&self) {
        let removed = self.store.remove_unused_modules();
        let _ = removed.inspect_err(|err| warn!(error = %err, "cannot tidy submodules"));
    }

    fn fold_repository(&mut self) {
        match self.fold(&self.store) {
            Ok(()) => self.has_excess_history = false,
            Err(err) => {
                self.has_leftovers = true;
                self.mend(&err);
            }
        }
    }

    fn fold_modules(&mut self, has_failed: bool) {
        let modules = self.store.modules().inspect_err(|err| warn!(error = %err, "cannot fold submodules"));
        for module in modules.unwrap_or_default() {
            if self.is_time_to_fold(&module, 0, has_failed) {
                self.has_leftovers |= self.fold(&module).is_err();
            }
        }
    }

    fn end_tidying(&mut self) {
        if self.has_leftovers {
            self.clear_leftovers();
        }
        self.progress.enter(Stage::Idle);
    }
}
