//! The loop and the push hooks.

use sync_core::{Error, SyncOutcome};

use super::{Pass, Service};
use crate::receive::{Pushes, Seen};
use crate::worker::Worker;

impl<W: Worker> Service<W> {
    /// Tell those who wait for what hooks announced, and poll as often as that allows.
    pub(super) fn tell_pushes(&mut self, pass: Pass, outcome: &Result<SyncOutcome, Error>) {
        let Some(pushes) = self.pushes.clone() else { return };
        if matches!(pass, Pass::Sync) {
            let is_held = self.worker().held().is_some();
            pushes.end(match outcome {
                Err(_) => Seen::Failed,
                Ok(SyncOutcome::Ready { commit, .. }) => Seen::New(*commit),
                Ok(SyncOutcome::Updated(update)) if update.previous() != Some(update.commit()) => {
                    Seen::New(update.commit())
                }
                Ok(outcome) => Seen::Same { published: outcome.commit(), is_held },
            });
        }
        if let Ok(SyncOutcome::Updated(update)) = outcome {
            pushes.published(update.commit());
        }
        self.schedule.stretch(pushes.period());
    }
}

/// Completes when a push hook announces something.
pub(super) async fn heard(pushes: Option<&Pushes>) {
    match pushes {
        Some(pushes) => pushes.heard().await,
        None => std::future::pending().await,
    }
}
