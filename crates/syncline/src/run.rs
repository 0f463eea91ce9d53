//! The main loop of a repository: sync, notify, clean up, decide, wait. The only place that starts blocking work for a
//! sync.

mod announced;
mod report;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sync_core::{CommitId, Error, Pool, SyncOutcome};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{Span, debug, error, info};

use crate::clock::at;
use crate::groups::{Member, Turn};
use crate::hooks::Hooks;
use crate::receive::Pushes;
use crate::schedule::{Exit, LONGEST_WISH, Next, Schedule};
use crate::shared::Server;
use crate::status::{Outcome, Status};
use crate::stop::{Order, Stop};
use crate::systemd::Ready;
use crate::touch_and_error_files::Writer;
use crate::worker::{Looked, Worker};

use announced::heard;
use report::timed_out;

/// How long work may take to stop before the process ends without it.
pub const GRACE: Duration = Duration::from_millis(1500);

/// How a loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The schedule said that it is over.
    Over(Exit),
    /// It was told to stop.
    Stopped,
    /// A sync panicked. What it owned is gone, so somebody has to start anew.
    Panicked,
}

/// A worker, and everything else that the loop drives.
pub struct Service<W> {
    /// `None` while it is on another thread. In a box, since the loop holds it at every place where it waits.
    pub worker: Option<Box<W>>,
    pub schedule: Schedule,
    pub hooks: Hooks,
    pub files: Arc<Writer>,
    pub status: Status,
    pub sync_timeout: Duration,
    pub worktree_check_period: Option<Duration>,
    /// How long to wait before the first sync.
    pub delay: Duration,
    /// Starts a sync immediately.
    pub wake: Arc<Notify>,
    /// What push hooks announce, if they are taken.
    pub pushes: Option<Pushes>,
    pub pool: Pool,
    pub server: Arc<Server>,
    /// Its part in a group, if it has one.
    pub member: Option<Member>,
    /// Told of the first success.
    pub ready: Ready,
    /// The commit that an earlier loop told the hooks of.
    pub told: Option<CommitId>,
}

/// Where the loop stands.
struct State {
    /// When to sync next; `None`: not without a reason.
    due: Option<Instant>,
    /// When the published files were compared last.
    checked: Instant,
    is_first: bool,
}

/// One turn of the loop.
#[derive(Clone, Copy)]
enum Pass {
    Sync,
    /// Publish what the group shows.
    Publish(CommitId),
}

/// What a pass came to.
struct Done {
    outcome: Result<SyncOutcome, Error>,
    /// Without the time in which others worked.
    took: Duration,
}

impl<W: Worker> Service<W> {
    /// Sync until the schedule says that it is over, or an order to stop comes.
    pub async fn run(mut self, mut stop: Stop) -> End {
        let now = Instant::now();
        let mut state = State { due: now.checked_add(self.delay), checked: now, is_first: true };
        loop {
            match self.turn(&mut state, &mut stop).await {
                Ok(()) => {}
                Err(End::Over(Exit::Success)) => return self.finish(&mut stop).await,
                Err(end) => return end,
            }
        }
    }

    async fn turn(&mut self, state: &mut State, stop: &mut Stop) -> Result<(), End> {
        let pass = self.next_pass(state.due, stop).await?;
        let Done { outcome, took } = match pass {
            Pass::Sync => self.sync(&mut state.checked, stop).await?,
            Pass::Publish(commit) => self.publish(commit, stop).await?,
        };
        self.tell_pushes(pass, &outcome);
        let next = self.decide(pass, &outcome, state.due);
        match (&self.member, pass, &outcome) {
            (Some(member), Pass::Sync, Ok(outcome)) => member.synced(outcome),
            (Some(member), Pass::Publish(commit), outcome) => {
                member.followed(commit);
                // Nothing was asked of the server, so this is no success of a sync.
                if matches!(outcome, Ok(SyncOutcome::Unchanged(_))) {
                    return Ok(());
                }
            }
            _ => {}
        }
        let published = match &outcome {
            Ok(outcome) => self.succeeded(outcome, took, state),
            Err(err) => {
                self.failed(err, &next, took);
                None
            }
        };
        self.maintain(published, stop).await?;
        state.due = match next {
            Next::Exit(exit) if exit == Exit::Failure || self.member.is_none() => {
                return Err(End::Over(exit));
            }
            Next::Exit(_) => None, // the group decides
            Next::Wait(pause) => {
                self.status.waiting(pause);
                Instant::now().checked_add(pause)
            }
        };
        Ok(())
    }

    /// Wait until there is something to do.
    async fn next_pass(&mut self, due: Option<Instant>, stop: &mut Stop) -> Result<Pass, End> {
        loop {
            let due = match self.member.as_ref().map_or(Turn::Usual, Member::turn) {
                Turn::Publish(commit) => return Ok(Pass::Publish(commit)),
                Turn::Over(exit) => return Err(End::Over(exit)),
                Turn::Usual => self.pushes.as_ref().map_or(due, |pushes| pushes.due(due)),
                Turn::Now => Some(Instant::now()),
                Turn::Wait => None,
            };
            let due = due.map(|due| self.server.earliest(due));
            tokio::select! {
                () = at(due) => return Ok(Pass::Sync),
                () = self.wake.notified() => {
                    debug!("woken");
                    return Ok(Pass::Sync);
                }
                () = changed(self.member.as_mut()) => {}
                () = heard(self.pushes.as_ref()) => {}
                order = stop.ordered() => {
                    if let Order::Shutdown(signal) = order {
                        info!(signal, "stopping");
                    }
                    return Err(End::Stopped);
                }
            }
        }
    }

    /// Look, and do what follows from it.
    async fn sync(&mut self, checked: &mut Instant, stop: &mut Stop) -> Result<Done, End> {
        if self.worktree_check_period.is_some_and(|period| checked.elapsed() >= period) {
            self.worker().verify_next_time();
            *checked = Instant::now();
        }
        if let Some(member) = &self.member {
            let pin = member.begin();
            if let Some(commit) = pin {
                self.worker().pin(commit);
            }
        }
        let server = self.server.clone();
        let place = unless_stopped(server.look(), stop).await?;
        if let Some(pushes) = &self.pushes {
            pushes.begin();
        }
        let began = Instant::now();
        let looked = self.blocking(self.sync_timeout, stop, W::look).await?;
        drop(place);
        let took = began.elapsed();
        let found = match looked {
            Ok(Looked::Found(found)) => found,
            Ok(Looked::UpToDate(outcome)) => return Ok(Done { outcome: Ok(outcome), took }),
            Err(err) => return Ok(Done { outcome: Err(err), took }),
        };
        let waits = Instant::now();
        let permit = unless_stopped(self.pool.permit(), stop).await?;
        let is_old = waits.elapsed() > self.sync_timeout;
        let began = Instant::now();
        let apply = move |worker: &mut W| {
            let found = match if is_old { worker.look()? } else { Looked::Found(found) } {
                Looked::Found(found) => found,
                Looked::UpToDate(outcome) => return Ok(outcome),
            };
            worker.apply(found, permit)
        };
        let outcome = self.blocking(self.sync_timeout.saturating_sub(took), stop, apply).await?;
        Ok(Done { outcome, took: took + began.elapsed() })
    }

    /// Follow the group.
    async fn publish(&mut self, commit: CommitId, stop: &mut Stop) -> Result<Done, End> {
        let began = Instant::now();
        let publish = move |worker: &mut W| worker.publish_ready(commit);
        let outcome = self.blocking(self.sync_timeout, stop, publish).await?;
        Ok(Done { outcome, took: began.elapsed() })
    }

    /// When to sync next. What the group makes us do changes nothing about that.
    fn decide(&mut self, pass: Pass, outcome: &Result<SyncOutcome, Error>, due: Option<Instant>) -> Next {
        let wish = outcome.as_ref().err().and_then(Error::retry_after);
        if let Some(wish) = wish {
            self.server.pause(wish.min(LONGEST_WISH));
        }
        match (pass, due) {
            (Pass::Sync, _) => self.schedule.next(outcome.is_ok(), wish, fastrand::f64()),
            (Pass::Publish(_), Some(due)) => Next::Wait(due.saturating_duration_since(Instant::now())),
            (Pass::Publish(_), None) => Next::Exit(Exit::Success),
        }
    }

    /// Tell everybody, and say what is published, and whether that is news.
    fn succeeded(
        &mut self,
        outcome: &SyncOutcome,
        took: Duration,
        state: &mut State,
    ) -> Option<(CommitId, bool)> {
        let held = self.worker().held();
        self.status.held(held);
        if matches!(outcome, SyncOutcome::Ready { published: None, .. }) {
            self.status.deferred(took);
            report::succeeded(outcome, took);
            return None;
        }
        let commit = outcome.commit();
        let is_first = std::mem::take(&mut state.is_first);
        let has_changed = matches!(outcome, SyncOutcome::Updated(_));
        let is_news = has_changed || (is_first && self.told != Some(commit));
        if let SyncOutcome::Updated(update) = outcome {
            self.status.lfs_placed(&update.tree().lfs);
        }
        self.status.passed(if is_news { Outcome::Success } else { Outcome::Noop }, took);
        report::succeeded(outcome, took); // after the status: who reads the line finds it there
        if is_news {
            let event = self.worker().event(commit);
            self.hooks.published(&event);
        }
        self.files.succeeded(is_news);
        if is_first {
            self.ready.succeeded();
        }
        Some((commit, is_news))
    }

    fn failed(&mut self, err: &Error, next: &Next, took: Duration) {
        let held = self.worker().held();
        self.status.held(held);
        let failures = self.schedule.failures();
        self.status.failed(err.to_string(), failures, took);
        report::failed(err, next, failures);
        let arguments = json!({ "failures": failures, "step": err.step() });
        self.files.failed("sync failed", &err.to_string(), &arguments);
    }

    async fn maintain(&mut self, published: Option<(CommitId, bool)>, stop: &mut Stop) -> Result<(), End> {
        let told = self.status.clone();
        let maintain = move |worker: &mut W| {
            match published {
                Some((commit, is_news)) => {
                    if is_news {
                        worker.describe(commit, &told);
                    }
                    worker.maintain(commit);
                }
                None => worker.maintain_after_failure(),
            }
            worker.measure(&told);
            Ok(())
        };
        // What did not end in time goes on next time.
        let _ = self.blocking(self.sync_timeout, stop, maintain).await?;
        Ok(())
    }

    /// Wait for the hooks.
    async fn finish(self, stop: &mut Stop) -> End {
        drop(self.worker); // lets go of the hooks that it tells
        tokio::select! {
            succeeded = self.hooks.finish() => {
                End::Over(if succeeded { Exit::Success } else { Exit::Failure })
            }
            signal = stop.shutdown() => {
                info!(signal, "stopping; hooks that still run are killed");
                End::Stopped
            }
        }
    }

    fn worker(&mut self) -> &mut W {
        self.worker.as_mut().expect("it came back from its thread")
    }

    /// Run `work` on a thread of its own. It cannot be aborted, only asked to stop.
    async fn blocking<T: Send + 'static>(
        &mut self,
        limit: Duration,
        stop: &mut Stop,
        work: impl FnOnce(&mut W) -> Result<T, Error> + Send + 'static,
    ) -> Result<Result<T, Error>, End> {
        let mut worker = self.worker.take().expect("it came back from its thread");
        let (interrupt, progress, span) = (worker.interrupt(), worker.progress(), Span::current());
        interrupt.clear();
        let mut task = spawn_blocking(move || {
            let done = span.in_scope(|| work(&mut worker));
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
                signal = stop.shutdown() => {
                    info!(signal, "stopping");
                    interrupt.trigger();
                    let _ = tokio::time::timeout(GRACE, &mut task).await;
                    return Err(End::Stopped);
                }
            }
        };
        let (worker, done) = finished.map_err(|err| {
            error!(error = %err, "a sync panicked");
            End::Panicked
        })?;
        self.worker = Some(worker);
        Ok(done.map_err(|err| match stopped_at {
            Some(stage) => timed_out(&err, self.sync_timeout, stage),
            None => err,
        }))
    }
}

/// Wait for something, unless the order comes to stop at once.
pub async fn unless_stopped<T>(event: impl Future<Output = T>, stop: &mut Stop) -> Result<T, End> {
    tokio::select! {
        done = event => Ok(done),
        signal = stop.shutdown() => {
            info!(signal, "stopping");
            Err(End::Stopped)
        }
    }
}

/// Completes when the group wants something of its member.
async fn changed(member: Option<&mut Member>) {
    match member {
        Some(member) => member.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
