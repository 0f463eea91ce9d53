//! The main loop: sync, notify, clean up, decide, wait. The only place that starts blocking work for a sync.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::json;
use sync_core::{Error, ErrorKind, Origin, Stage, SyncOutcome};
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info};

use crate::hooks::Hooks;
use crate::schedule::{Exit, Next, Schedule};
use crate::status::{Outcome, Status};
use crate::systemd::Manager;
use crate::touch_and_error_files::Writer;
use crate::worker::Worker;

/// How long work may take to stop before the process ends without it.
pub const GRACE: Duration = Duration::from_millis(1500);

/// Everything that the loop drives.
pub struct Service<'a, W> {
    pub worker: W,
    pub schedule: Schedule,
    pub hooks: Hooks,
    pub files: &'a Writer,
    pub manager: Manager,
    pub status: Status,
    pub sync_timeout: Duration,
    pub worktree_check_period: Option<Duration>,
    /// Starts a sync immediately.
    pub wake: Option<Signal>,
}

impl<W: Worker> Service<'_, W> {
    /// Sync until the schedule says that it is over, or `shutdown` completes.
    pub async fn run(self, shutdown: impl Future<Output = &'static str>) -> Exit {
        let Service {
            mut worker,
            mut schedule,
            hooks,
            files,
            manager,
            status,
            sync_timeout,
            worktree_check_period,
            mut wake,
        } = self;
        tokio::pin!(shutdown);
        let mut is_first = true;
        let mut checked = Instant::now();
        loop {
            let started = Instant::now();
            if worktree_check_period.is_some_and(|period| checked.elapsed() >= period) {
                worker.verify_next_time();
                checked = started;
            }
            let updated = blocking(worker, sync_timeout, shutdown.as_mut(), W::update).await;
            let (outcome, stopped_at);
            (worker, outcome, stopped_at) = match updated {
                Ok(done) => done,
                Err(exit) => return exit,
            };
            let outcome = outcome.map_err(|err| match stopped_at {
                Some(stage) => timed_out(&err, sync_timeout, stage),
                None => err,
            });
            let retry_after = outcome.as_ref().err().and_then(Error::retry_after);
            let next = schedule.next(outcome.is_ok(), retry_after, fastrand::f64());
            report(&outcome, &next, schedule.failures(), started.elapsed());
            status.held(worker.held());
            let published = match &outcome {
                Ok(outcome) => {
                    let commit = outcome.commit();
                    let event = worker.event(commit);
                    let has_changed = matches!(outcome, SyncOutcome::Updated(_));
                    if let SyncOutcome::Updated(update) = outcome {
                        status.lfs_placed(&update.tree().lfs);
                    }
                    let is_news = has_changed || is_first;
                    status.passed(if is_news { Outcome::Success } else { Outcome::Noop }, started.elapsed());
                    if is_news {
                        hooks.published(&event);
                    }
                    files.succeeded(is_news);
                    if std::mem::take(&mut is_first) {
                        manager.ready();
                    }
                    Some((commit, is_news))
                }
                Err(err) => {
                    status.failed(err.to_string(), schedule.failures(), started.elapsed());
                    let arguments = json!({ "failures": schedule.failures(), "step": err.step() });
                    files.failed("sync failed", &err.to_string(), &arguments);
                    None
                }
            };
            let told = status.clone();
            let maintain = move |worker: &mut W| match published {
                Some((commit, is_news)) => {
                    if is_news {
                        worker.describe(commit, &told);
                    }
                    worker.maintain(commit);
                }
                None => worker.maintain_after_failure(),
            };
            worker = match blocking(worker, sync_timeout, shutdown.as_mut(), maintain).await {
                Ok((worker, (), _)) => worker,
                Err(exit) => return exit,
            };
            if let Next::Wait(pause) = next {
                status.waiting(pause);
            }
            match next {
                Next::Exit(Exit::Success) => {
                    drop(worker); // lets go of the hooks that it tells
                    return tokio::select! {
                        succeeded = hooks.finish() => {
                            if succeeded { Exit::Success } else { Exit::Failure }
                        }
                        signal = &mut shutdown => {
                            info!(signal, "stopping; hooks that still run are killed");
                            Exit::Success
                        }
                    };
                }
                Next::Exit(exit) => return exit,
                Next::Wait(pause) => tokio::select! {
                    () = sleep(pause) => {}
                    () = woken(&mut wake) => debug!("woken by a signal"),
                    signal = &mut shutdown => {
                        info!(signal, "stopping");
                        return Exit::Success;
                    }
                },
            }
        }
    }
}

/// Run `work` on a thread of its own. It cannot be aborted, only asked to stop. The answer is the stage at which it timed
/// out, if it did; an error means that the process must end.
async fn blocking<W: Worker, T: Send + 'static>(
    mut worker: W,
    limit: Duration,
    mut shutdown: Pin<&mut impl Future<Output = &'static str>>,
    work: impl FnOnce(&mut W) -> T + Send + 'static,
) -> Result<(W, T, Option<Stage>), Exit> {
    let (interrupt, progress) = (worker.interrupt(), worker.progress());
    interrupt.clear();
    let mut task = spawn_blocking(move || {
        let done = work(&mut worker);
        (worker, done)
    });
    let mut stopped_at = None;
    let deadline = sleep(limit);
    tokio::pin!(deadline);
    let finished = loop {
        tokio::select! {
            finished = &mut task => break finished,
            () = &mut deadline, if stopped_at.is_none() => {
                stopped_at = Some(progress.snapshot().stage);
                interrupt.trigger();
            }
            signal = shutdown.as_mut() => {
                info!(signal, "stopping");
                interrupt.trigger();
                let _ = tokio::time::timeout(GRACE, &mut task).await;
                return Err(Exit::Success);
            }
        }
    };
    match finished {
        Ok((worker, done)) => Ok((worker, done, stopped_at)),
        // A panic: what the work owned is gone, so a new process has to go on.
        Err(err) => {
            error!(error = %err, "a sync panicked");
            Err(Exit::Failure)
        }
    }
}

async fn woken(wake: &mut Option<Signal>) {
    match wake {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn timed_out(err: &Error, limit: Duration, stage: Stage) -> Error {
    let limit = humantime::format_duration(limit);
    let while_doing = match stage {
        Stage::Idle => String::new(),
        stage => format!(" while {}", stage.describe()),
    };
    let cause = format!("timed out after {limit} (--sync-timeout){while_doing}");
    Error::new(ErrorKind::TimedOut, err.step(), cause)
}

fn report(outcome: &Result<SyncOutcome, Error>, next: &Next, failures: u32, took: Duration) {
    let milliseconds = took.as_millis() as u64;
    match (outcome, next) {
        (Ok(SyncOutcome::Updated(update)), _) => {
            let tree = update.tree();
            if !tree.altered.is_empty() {
                info!(files = ?tree.altered, "files of the last tree had been altered; they were written again");
            }
            let before = update.previous().map(|id| id.to_string()).unwrap_or_default();
            let (commit, written, early, reused) = (tree.commit, tree.written, tree.early, tree.reused);
            let by = tree.origin.map(Origin::describe).unwrap_or_default();
            info!(%commit, before, written, early, reused, by, milliseconds, "published");
        }
        (Ok(outcome), _) => debug!(commit = %outcome.commit(), milliseconds, "nothing new"),
        (Err(err), Next::Exit(_)) => error!(error = %err, failures, "sync failed; giving up"),
        (Err(err), Next::Wait(pause)) => {
            let retry_in =
                humantime::format_duration(Duration::from_millis(pause.as_millis() as u64)).to_string();
            error!(error = %err, failures, retry_in, "sync failed; the published tree stays");
        }
    }
}

#[cfg(test)]
mod tests;
