//! What the loop drives on a thread of its own: updates and their maintenance.

use sync_core::{CommitId, Held, Interrupt, Mirror, Progress, Result, Signer, SyncOutcome, Tip};
use tracing::debug;

use crate::hooks::Event;
use crate::status::{Published, Status};

/// Blocking work that the loop hands to a thread and gets back.
pub trait Worker: Send + 'static {
    /// Bring what is published up to date.
    fn update(&mut self) -> Result<SyncOutcome>;

    /// What to tell the hooks about the published commit.
    fn event(&self, commit: CommitId) -> Event;

    /// The commit that a rule holds back.
    fn held(&self) -> Option<Held>;

    /// Tell the status what is published.
    fn describe(&mut self, commit: CommitId, status: &Status);

    /// Maintenance after a success. It cannot fail.
    fn maintain(&mut self, commit: CommitId);

    /// Maintenance after a failure.
    fn maintain_after_failure(&mut self);

    /// Compare what is published with what was written at the next update.
    fn verify_next_time(&mut self);

    /// The interrupt that stops it.
    fn interrupt(&self) -> Interrupt;

    /// The progress of its work.
    fn progress(&self) -> Progress;
}

impl Worker for Mirror {
    fn update(&mut self) -> Result<SyncOutcome> {
        Mirror::update(self)
    }

    fn event(&self, commit: CommitId) -> Event {
        let reference = self.published_tip().and_then(Tip::reference).map(ToOwned::to_owned);
        let signer = self.signers(commit).first().map(Signer::to_string);
        Event { commit, tree: self.store().tree_path(commit), reference, signer }
    }

    fn held(&self) -> Option<Held> {
        Mirror::held(self).cloned()
    }

    fn describe(&mut self, commit: CommitId, status: &Status) {
        match self.store().describe(commit) {
            Ok(info) => {
                let Event { reference, signer, .. } = self.event(commit);
                status.published(Published { info, reference, signer }, self.tree_size(commit));
            }
            Err(err) => debug!(error = %err, "cannot describe the commit"),
        }
        status.store_has(self.store().disk_usage());
    }

    fn maintain(&mut self, commit: CommitId) {
        Mirror::maintain(self, commit);
    }

    fn maintain_after_failure(&mut self) {
        Mirror::maintain_after_failure(self);
    }

    fn verify_next_time(&mut self) {
        Mirror::verify_next_time(self);
    }

    fn interrupt(&self) -> Interrupt {
        Mirror::interrupt(self).clone()
    }

    fn progress(&self) -> Progress {
        Mirror::progress(self).clone()
    }
}
