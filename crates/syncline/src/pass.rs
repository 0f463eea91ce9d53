//! One pass: look, receive, check out, flip the link, prune. Blocking, with owned data, so that the loop can
//! hand it to a thread and get it back.

use std::time::Duration;

use sync_core::{
    CommitId, Condition, Error, Interrupt, Progress, Recovery, Result, Stage, Store, Upstream, Worktree,
    altered_files, checkout,
};
use tracing::{debug, info, warn};

use crate::publish::{Link, prune, retire};

/// All that passes work on.
pub struct Syncer {
    pub store: Store,
    pub upstream: Upstream,
    pub link: Link,
    pub stale_worktree_timeout: Duration,
    pub interrupt: Interrupt,
    pub progress: Progress,
    /// Whether this process has seen that what is published is whole; an earlier one may have been killed, or
    /// had other options.
    pub verified: bool,
    /// Whether the store holds history that is no longer asked for.
    pub has_excess_history: bool,
}

/// What a pass came to.
#[derive(Debug)]
pub enum Passed {
    /// The link shows what it showed before.
    Unchanged(CommitId),
    /// The link shows this now.
    Published { tree: Worktree, before: Option<CommitId> },
}

impl Syncer {
    /// Bring the link up to date. A damaged store is rebuilt, once.
    pub fn pass(&mut self) -> Result<Passed> {
        let passed = match self.try_pass() {
            Err(err) if err.recovery() == Recovery::Rebuild && !self.interrupt.is_triggered() => {
                warn!(error = %err, "the store is damaged: fetching it anew");
                self.store.rebuild()?;
                self.try_pass()
            }
            passed => passed,
        };
        if let Ok(passed) = &passed {
            self.tidy(passed);
        }
        self.progress.enter(Stage::Idle);
        passed
    }

    fn try_pass(&mut self) -> Result<Passed> {
        let current = self
            .link
            .current(&self.store)
            .map_err(|err| Error::io(format!("read the link {}", self.link.path().display()), &err))?;
        let tip = self.upstream.look()?;
        if current == Some(tip.commit) && (self.verified || self.is_sound(tip.commit)?) {
            self.verified = true;
            return Ok(Passed::Unchanged(tip.commit));
        }
        let fetched = self.upstream.receive(&tip, &mut self.store)?;
        let tree = checkout(&self.store, &fetched, current, &self.progress, &self.interrupt)?;
        if current != Some(tree.commit) {
            self.link.flip(&tree).map_err(|err| {
                Error::io(format!("publish {} at {}", tree.commit, self.link.path().display()), &err)
            })?;
            if let Some(old) = current {
                let _ = retire(&self.store, old)
                    .inspect_err(|err| warn!(error = %err, "cannot mark the old tree"));
            }
        }
        self.verified = true;
        if current == Some(tree.commit) && tree.written + tree.linked == 0 {
            return Ok(Passed::Unchanged(tree.commit));
        }
        Ok(Passed::Published { tree, before: current })
    }

    /// Whether what the link shows is whole: objects, depth and files.
    fn is_sound(&mut self, commit: CommitId) -> Result<bool> {
        let depth = self.upstream.source().depth;
        let condition = self.store.inspect(commit, depth, &self.interrupt)?;
        match condition {
            Condition::Sound => self.store.adopt(commit)?,
            Condition::TooShallow | Condition::TooDeep => {
                info!(%commit, "the history is not as long as asked for");
                self.has_excess_history |= condition == Condition::TooDeep;
                return Ok(false);
            }
            Condition::Damaged => {
                warn!(%commit, "objects are missing or damaged: fetching them anew");
                self.store.rebuild()?;
                return Ok(false);
            }
        }
        match altered_files(&self.store, commit) {
            Ok(files) if files.is_empty() => Ok(true),
            Ok(files) => {
                warn!(%commit, ?files, "published files were altered: making the tree anew");
                Ok(false)
            }
            Err(err) => {
                warn!(%commit, error = %err, "the published tree is damaged: making it anew");
                Ok(false)
            }
        }
    }

    /// What follows a pass and cannot fail it.
    fn tidy(&mut self, passed: &Passed) {
        let (Passed::Unchanged(commit) | Passed::Published { tree: Worktree { commit, .. }, .. }) = passed;
        match prune(&self.store, *commit, self.stale_worktree_timeout) {
            Ok(0) => {}
            Ok(removed) => debug!(removed, "removed old trees"),
            Err(err) => warn!(error = %err, "cannot remove old trees"),
        }
        if self.has_excess_history
            || (matches!(passed, Passed::Published { .. }) && self.store.has_many_packs())
        {
            let depth = self.upstream.source().depth;
            match self.store.fold(depth, &self.progress, &self.interrupt) {
                Ok(()) => debug!("folded the store's packs into one"),
                Err(err) => warn!(error = %err, "cannot fold the store's packs"),
            }
            self.has_excess_history = false;
        }
    }
}
