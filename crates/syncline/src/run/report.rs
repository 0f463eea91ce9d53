//! What is said of a sync.

use std::time::Duration;

use sync_core::{Error, ErrorKind, Origin, Stage, SyncOutcome};
use tracing::{debug, error, info};

use crate::schedule::Next;

/// The error of a sync that was interrupted.
pub(super) fn timed_out(err: &Error, limit: Duration, stage: Stage) -> Error {
    let limit = humantime::format_duration(limit);
    let while_doing = match stage {
        Stage::Idle => String::new(),
        stage => format!(" while {}", stage.describe()),
    };
    let cause = format!("timed out after {limit} (--sync-timeout){while_doing}");
    Error::new(ErrorKind::TimedOut, err.step(), cause)
}

/// A line for what a sync came to.
pub(super) fn succeeded(outcome: &SyncOutcome, took: Duration) {
    let milliseconds = took.as_millis() as u64;
    match outcome {
        SyncOutcome::Updated(update) => {
            let tree = update.tree();
            if !tree.altered.is_empty() {
                info!(files = ?tree.altered, "files of the last tree had been altered; they were written again");
            }
            let before = update.previous().map(|id| id.to_string()).unwrap_or_default();
            let (commit, written, early, reused) = (tree.commit, tree.written, tree.early, tree.reused);
            let by = tree.origin.map(Origin::describe).unwrap_or_default();
            info!(%commit, before, written, early, reused, by, milliseconds, "published");
        }
        SyncOutcome::Ready { commit, .. } => debug!(%commit, milliseconds, "ready for the group"),
        outcome => debug!(commit = %outcome.commit(), milliseconds, "nothing new"),
    }
}

/// A line for what a sync failed of.
pub(super) fn failed(err: &Error, next: &Next, failures: u32) {
    match next {
        Next::Exit(_) => error!(error = %err, failures, "sync failed; giving up"),
        Next::Wait(pause) => {
            let retry_in =
                humantime::format_duration(Duration::from_millis(pause.as_millis() as u64)).to_string();
            error!(error = %err, failures, retry_in, "sync failed; the published tree stays");
        }
    }
}
