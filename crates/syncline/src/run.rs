//! The one loop: pass, decide, wait. The only place that crosses into blocking work.

use std::future::Future;
use std::time::Duration;

use sync_core::{Error, Interrupt, Progress, Recovery};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info};

use crate::pass::{Passed, Syncer};
use crate::schedule::{Exit, Next, Schedule};

/// How long work may take to notice that it was stopped, before the process leaves it behind.
const GRACE: Duration = Duration::from_millis(1500);

/// Sync until the schedule says that it is over, or `shutdown` completes.
pub async fn run(
    mut syncer: Syncer,
    mut schedule: Schedule,
    sync_timeout: Duration,
    shutdown: impl Future<Output = &'static str>,
) -> Exit {
    tokio::pin!(shutdown);
    loop {
        let started = Instant::now();
        let (interrupt, progress) = (syncer.interrupt.clone(), syncer.progress.clone());
        interrupt.clear();
        let mut pass = spawn_blocking(move || {
            let passed = syncer.pass();
            (syncer, passed)
        });
        let finished = tokio::select! {
            finished = &mut pass => finished,
            () = sleep(sync_timeout) => time_out(&mut pass, &interrupt, &progress, sync_timeout).await,
            signal = &mut shutdown => {
                info!(signal, "stopping");
                interrupt.trigger();
                let _ = tokio::time::timeout(GRACE, &mut pass).await;
                return Exit::Success;
            }
        };
        let passed = match finished {
            Ok((returned, passed)) => {
                syncer = returned;
                passed
            }
            // A panic: what the pass owned is gone, so a fresh process has to go on.
            Err(err) => {
                error!(error = %err, "a sync died");
                return Exit::Failure;
            }
        };
        let next = schedule.next(passed.is_ok(), fastrand::f64());
        report(&passed, &next, schedule.failures(), started.elapsed());
        match next {
            Next::Exit(exit) => return exit,
            Next::Wait(pause) => tokio::select! {
                () = sleep(pause) => {}
                signal = &mut shutdown => {
                    info!(signal, "stopping");
                    return Exit::Success;
                }
            },
        }
    }
}

type Finished = Result<(Syncer, Result<Passed, Error>), JoinError>;

/// Stop a pass that takes too long and say where it was.
async fn time_out(
    pass: &mut (impl Future<Output = Finished> + Unpin),
    interrupt: &Interrupt,
    progress: &Progress,
    limit: Duration,
) -> Finished {
    let stage = progress.snapshot().stage.describe();
    interrupt.trigger();
    let (syncer, passed) = pass.await?;
    let passed = passed.map_err(|err| {
        let limit = humantime::format_duration(limit);
        Error::new(
            Recovery::Retry,
            err.step(),
            format!("timed out after {limit} (--sync-timeout) while {stage}"),
        )
    });
    Ok((syncer, passed))
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
            let (commit, written, linked) = (tree.commit, tree.written, tree.linked);
            info!(%commit, before, written, linked, milliseconds, "published");
        }
        (Err(err), Next::Exit(_)) => error!(error = %err, failures, "sync failed; giving up"),
        (Err(err), Next::Wait(pause)) => {
            let retry_in =
                humantime::format_duration(Duration::from_millis(pause.as_millis() as u64)).to_string();
            error!(error = %err, failures, retry_in, "sync failed; what was published stays");
        }
    }
}
