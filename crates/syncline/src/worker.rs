//! What the loop drives on a thread of its own: updates and their maintenance.

use sync_core::{
    CommitId, Found, Held, Interrupt, Look, Mirror, Permit, Progress, Reference, Result, Signer, SyncOutcome,
    Tip,
};
use tracing::debug;

use crate::hooks::{Event, What};
use crate::relay::Feeding;
use crate::status::{Published, Status, Volume};

/// What a look found.
pub enum Looked<F> {
    /// Nothing has to be done.
    UpToDate(SyncOutcome),
    /// There is work to do, which takes memory.
    Found(F),
}

/// Blocking work that the loop hands to a thread and gets back.
pub trait Worker: Send + 'static {
    /// What a look hands to what follows from it.
    type Found: Send + 'static;

    /// The first half of an update: look whether there is something to do.
    fn look(&mut self) -> Result<Looked<Self::Found>>;

    /// The second half: do it.
    fn apply(&mut self, found: Self::Found, permit: Permit) -> Result<SyncOutcome>;

    /// Publish a commit whose tree was finished and deferred.
    fn publish_ready(&mut self, commit: CommitId) -> Result<SyncOutcome>;

    /// Sync this commit from now on.
    fn pin(&mut self, commit: CommitId);

    /// What to tell the hooks about the published commit.
    fn event(&self, commit: CommitId) -> Event;

    /// The commit that a rule holds back.
    fn held(&self) -> Option<Held>;

    /// Tell the status what is published.
    fn describe(&mut self, commit: CommitId, status: &Status);

    /// Tell the status how much room there is.
    fn measure(&self, status: &Status);

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

/// A mirror, and what feeds a relay with what it publishes, if anything does.
pub struct Synced {
    pub mirror: Mirror,
    pub feeding: Option<Feeding>,
}

impl Worker for Synced {
    type Found = Found;

    fn look(&mut self) -> Result<Looked<Found>> {
        Ok(match self.mirror.look()? {
            Look::UpToDate(outcome) => Looked::UpToDate(outcome),
            Look::Found(found) => Looked::Found(found),
        })
    }

    fn apply(&mut self, found: Found, permit: Permit) -> Result<SyncOutcome> {
        self.mirror.apply(found, permit)
    }

    fn publish_ready(&mut self, commit: CommitId) -> Result<SyncOutcome> {
        self.mirror.publish_ready(commit)
    }

    fn pin(&mut self, commit: CommitId) {
        self.mirror.set_reference(Reference::Commit(commit));
    }

    fn event(&self, commit: CommitId) -> Event {
        let reference = self.mirror.published_tip().and_then(Tip::reference).map(ToOwned::to_owned);
        let signer = self.mirror.signers(commit).first().map(Signer::to_string);
        let tree = self.mirror.store().tree_path(commit);
        Event { reference, signer, ..Event::new(What::Commit(commit), tree) }
    }

    fn held(&self) -> Option<Held> {
        self.mirror.held().cloned()
    }

    fn describe(&mut self, commit: CommitId, status: &Status) {
        match self.mirror.store().describe(commit) {
            Ok(info) => {
                let Event { reference, signer, .. } = self.event(commit);
                status.published(Published { info, reference, signer }, self.mirror.tree_size(commit));
            }
            Err(err) => debug!(error = %err, "cannot describe the commit"),
        }
        status.store_has(self.mirror.store().disk_usage());
    }

    fn measure(&self, status: &Status) {
        if let Ok(found) = rustix::fs::statvfs(self.mirror.store().root()) {
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            status.volume_has(Volume { available: bytes(found.f_bavail), size: bytes(found.f_blocks) });
        }
    }

    fn maintain(&mut self, commit: CommitId) {
        // Consumers have the commit already; whoever follows gets it before the store is cleaned up.
        if let (Some(feeding), Some(tip)) = (&mut self.feeding, self.mirror.published_tip()) {
            feeding.feed(tip, self.mirror.store(), self.mirror.interrupt());
        }
        self.mirror.maintain(commit);
    }

    fn maintain_after_failure(&mut self) {
        self.mirror.maintain_after_failure();
    }

    fn verify_next_time(&mut self) {
        self.mirror.verify_next_time();
    }

    fn interrupt(&self) -> Interrupt {
        self.mirror.interrupt().clone()
    }

    fn progress(&self) -> Progress {
        self.mirror.progress().clone()
    }
}
