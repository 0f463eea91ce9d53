//! The one loop: pass, tell, tidy, decide, wait. The only place that crosses into blocking work.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::json;
use sync_core::{Error, ErrorKind, Origin, Stage};
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info};

use crate::files::Writer;
use crate::hooks::Hooks;
use crate::pass::{Passed, Syncer};
use crate::schedule::{Exit, Next, Schedule};
use crate::status::{Outcome, Status};
use crate::systemd::Manager;

/// How long work may take to notice that it was stopped, before the process leaves it behind.
pub const GRACE: Duration = Duration::from_millis(1500);

/// Everything that the loop drives.
pub struct Service<'a> {
    pub syncer: Syncer,
    pub schedule: Schedule,
    pub hooks: Hooks,
    pub files: &'a Writer,
    pub manager: Manager,
    pub status: Status,
    pub sync_timeout: Duration,
    pub worktree_check_period: Option<Duration>,
    /// Starts a sync at once.
    pub wake: Option<Signal>,
}

/// How a piece of blocking work came out.
enum Ran<T> {
    Done(Syncer, T),
    /// It was stopped at this stage because its time was over.
    TimedOut(Syncer, T, Stage),
    /// The process is to end.
    Over(Exit),
}

impl Service<'_> {
    /// Sync until the schedule says that it is over, or `shutdown` completes.
    pub async fn run(self, shutdown: impl Future<Output = &'static str>) -> Exit {
        let Service {
            mut syncer,
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
                syncer.verified = false;
                checked = started;
            }
            let passed;
            (syncer, passed) = match blocking(syncer, sync_timeout, shutdown.as_mut(), Syncer::pass).await {
                Ran::Done(syncer, passed) => (syncer, passed),
                Ran::TimedOut(syncer, passed, stage) => {
                    (syncer, passed.map_err(|err| timed_out(&err, sync_timeout, stage)))
                }
                Ran::Over(exit) => return exit,
            };
            let retry_after = passed.as_ref().err().and_then(Error::retry_after);
            let next = schedule.next(passed.is_ok(), retry_after, fastrand::f64());
            report(&passed, &next, schedule.failures(), started.elapsed());
            match &passed {
                Ok(passed) => {
                    let event = passed.event(&syncer.store);
                    let has_changed = matches!(passed, Passed::Published { .. });
                    let is_news = has_changed || is_first;
                    status.passed(if is_news { Outcome::Success } else { Outcome::Noop }, started.elapsed());
                    if is_news {
                        hooks.published(&event);
                    }
                    files.succeeded(is_news);
                    if std::mem::take(&mut is_first) {
                        manager.ready();
                    }
                    let told = status.clone();
                    let tidy = move |syncer: &mut Syncer| {
                        if is_news {
                            syncer.describe(event.commit, &told);
                        }
                        syncer.tidy(event.commit, is_news);
                    };
                    syncer = match blocking(syncer, sync_timeout, shutdown.as_mut(), tidy).await {
                        Ran::Done(syncer, ()) | Ran::TimedOut(syncer, (), _) => syncer,
                        Ran::Over(exit) => return exit,
                    };
                }
                Err(err) => {
                    status.failed(err.to_string(), schedule.failures(), started.elapsed());
                    let arguments = json!({ "failures": schedule.failures(), "step": err.step() });
                    files.failed("sync failed", &err.to_string(), &arguments);
                    let tidy = Syncer::tidy_after_failure;
                    syncer = match blocking(syncer, sync_timeout, shutdown.as_mut(), tidy).await {
                        Ran::Done(syncer, ()) | Ran::TimedOut(syncer, (), _) => syncer,
                        Ran::Over(exit) => return exit,
                    };
                }
            }
            if let Next::Wait(pause) = next {
                status.waiting(pause);
            }
            match next {
                Next::Exit(Exit::Success) => {
                    drop(syncer); // lets go of the hooks that it tells
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

/// Run `work` on a thread of its own. It cannot be aborted, only asked to stop.
async fn blocking<T: Send + 'static>(
    mut syncer: Syncer,
    limit: Duration,
    mut shutdown: Pin<&mut impl Future<Output = &'static str>>,
    work: impl FnOnce(&mut Syncer) -> T + Send + 'static,
) -> Ran<T> {
    let (interrupt, progress) = (syncer.interrupt.clone(), syncer.progress.clone());
    interrupt.clear();
    let mut task = spawn_blocking(move || {
        let done = work(&mut syncer);
        (syncer, done)
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
                return Ran::Over(Exit::Success);
            }
        }
    };
    match (finished, stopped_at) {
        (Ok((syncer, done)), None) => Ran::Done(syncer, done),
        (Ok((syncer, done)), Some(stage)) => Ran::TimedOut(syncer, done, stage),
        // A panic: what the work owned is gone, so a fresh process has to go on.
        (Err(err), _) => {
            error!(error = %err, "a sync died");
            Ran::Over(Exit::Failure)
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

fn report(passed: &Result<Passed, Error>, next: &Next, failures: u32, took: Duration) {
    let milliseconds = took.as_millis() as u64;
    match (passed, next) {
        (Ok(Passed::Unchanged(commit)), _) => debug!(%commit, milliseconds, "nothing new"),
        (Ok(Passed::Published { tree, before }), _) => {
            if !tree.altered.is_empty() {
                info!(files = ?tree.altered, "files of the last tree had been altered; they were written anew");
            }
            let before = before.map(|id| id.to_string()).unwrap_or_default();
            let (commit, written, early, reused) = (tree.commit, tree.written, tree.early, tree.reused);
            let by = tree.origin.map(Origin::describe).unwrap_or_default();
            info!(%commit, before, written, early, reused, by, milliseconds, "published");
        }
        (Err(err), Next::Exit(_)) => error!(error = %err, failures, "sync failed; giving up"),
        (Err(err), Next::Wait(pause)) => {
            let retry_in =
                humantime::format_duration(Duration::from_millis(pause.as_millis() as u64)).to_string();
            error!(error = %err, failures, retry_in, "sync failed; what was published stays");
        }
    }
}
