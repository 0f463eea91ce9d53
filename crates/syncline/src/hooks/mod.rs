//! Telling others that something was published: a program to run, a request to make, a signal to send.
//!
//! Each hook has a task of its own and a place for one event: the newest commit is delivered, not every one, and
//! a slow hook never delays a sync. A failed delivery is tried again until it succeeds or a newer commit comes.

mod exec;
mod gate;
mod notify;
mod processes;
mod reap;
mod web;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use sync_core::{CommitId, Interrupt};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::{Config, ExecHook, NotifyHook};
use crate::status::{Outcome, Status};

pub use gate::Gated;
pub use reap::{end_all, orphans};
use web::Sender;

/// How long to wait before a signal is tried again: as the other hooks do, unless told otherwise.
const NOTIFY_BACKOFF: Duration = Duration::from_secs(3);

/// How often to look whether a wait is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Event {
    pub commit: CommitId,
    /// The tree of the commit.
    pub tree: PathBuf,
}

/// One way to tell.
#[derive(Clone, Debug)]
enum Hook {
    Exec(ExecHook),
    Web(Box<Sender>),
    Notify(NotifyHook),
}

impl Hook {
    async fn deliver(&self, event: &Event) -> Result<(), String> {
        match self {
            Hook::Exec(hook) => exec::run(hook, event).await,
            Hook::Web(sender) => sender.send(event).await,
            Hook::Notify(hook) => {
                let hook = hook.clone();
                spawn_blocking(move || notify::send(&hook)).await.map_err(|err| err.to_string())?
            }
        }
    }

    fn backoff(&self) -> Duration {
        match self {
            Hook::Exec(hook) => hook.backoff,
            Hook::Web(sender) => sender.hook.backoff,
            Hook::Notify(_) => NOTIFY_BACKOFF,
        }
    }
}

/// A hook and its task.
#[derive(Debug)]
struct Runner {
    events: watch::Sender<Option<Event>>,
    /// Completes after the first delivery when that is all there is to be.
    task: JoinHandle<bool>,
}

impl Runner {
    fn start(name: &'static str, hook: Hook, once: bool, status: Status) -> Runner {
        let (events, receiver) = watch::channel(None);
        let backoff = hook.backoff();
        let attempt = move |event| {
            let hook = hook.clone();
            async move { hook.deliver(&event).await }
        };
        let backoff = (!once).then_some(backoff);
        Runner { events, task: tokio::spawn(deliver(name, attempt, receiver, backoff, status)) }
    }
}

/// Deliver the newest event for ever, trying again after `backoff`; without it once, and say whether that succeeded.
async fn deliver<F: Future<Output = Result<(), String>>>(
    name: &'static str,
    attempt: impl Fn(Event) -> F,
    mut events: watch::Receiver<Option<Event>>,
    backoff: Option<Duration>,
    status: Status,
) -> bool {
    let mut delivered = None;
    loop {
        let Some(event) = next_event(&mut events, delivered).await else { return true };
        let commit = event.commit;
        // An attempt that fails may have been heeded in part: then the commit before is news again.
        delivered = None;
        match attempt(event).await {
            Ok(()) => {
                status.hook_ran(name, Outcome::Success);
                info!(hook = name, %commit, "delivered");
                delivered = Some(commit);
            }
            Err(error) => {
                status.hook_ran(name, Outcome::Error);
                let retry_in = backoff.map(|backoff| humantime::format_duration(backoff).to_string());
                warn!(hook = name, %commit, error, retry_in, "delivery failed");
            }
        }
        match backoff {
            None => return delivered.is_some(),
            Some(backoff) if delivered.is_none() => sleep(backoff).await,
            Some(_) => {}
        }
    }
}

/// The newest event that is not the one just delivered; `None` once nobody can send any more.
async fn next_event(
    events: &mut watch::Receiver<Option<Event>>,
    delivered: Option<CommitId>,
) -> Option<Event> {
    let event =
        events.wait_for(|event| event.as_ref().is_some_and(|event| Some(event.commit) != delivered)).await;
    event.ok()?.clone()
}

/// All hooks.
#[derive(Debug)]
pub struct Hooks {
    exec: Option<Runner>,
    pre_publish: Option<Runner>,
    web: Option<Runner>,
    notify: Option<Runner>,
}

impl Hooks {
    /// Start a task for each hook that is wanted.
    pub fn start(config: &Config, status: &Status) -> Hooks {
        let once = config.timing.policy.one_time;
        let exec = |name, hook: &Option<ExecHook>| {
            hook.clone().map(|hook| Runner::start(name, Hook::Exec(hook), once, status.clone()))
        };
        // One that must succeed is run by the pass itself.
        let pre_publish = if config.pre_publish_required { &None } else { &config.pre_publish };
        Hooks {
            exec: exec("exechook", &config.exechook),
            pre_publish: exec("pre-publish-exechook", pre_publish),
            web: config.webhook.clone().map(|hook| {
                let (connect, source) = (config.connect.clone(), config.source.clone());
                Runner::start(
                    "webhook",
                    Hook::Web(Box::new(Sender { hook, connect, source })),
                    once,
                    status.clone(),
                )
            }),
            notify: config
                .notify
                .clone()
                .map(|hook| Runner::start("notify", Hook::Notify(hook), once, status.clone())),
        }
    }

    /// For the pass, which says what it is about to publish.
    pub fn pre_publish(&self) -> Option<watch::Sender<Option<Event>>> {
        self.pre_publish.as_ref().map(|runner| runner.events.clone())
    }

    /// Something was published, or found published at the first pass.
    pub fn published(&self, event: &Event) {
        for runner in [&self.exec, &self.web, &self.notify].into_iter().flatten() {
            runner.events.send_replace(Some(event.clone()));
        }
    }

    /// Wait for the only delivery of each hook that was told something; whether all succeeded.
    pub async fn finish(self) -> bool {
        let mut succeeded = true;
        for runner in [self.pre_publish, self.exec, self.web, self.notify].into_iter().flatten() {
            drop(runner.events);
            succeeded &= runner.task.await.unwrap_or(false);
        }
        succeeded
    }
}

/// Run a program that decides whether `event` may be published; it is killed once the interrupt is set.
pub async fn ask(hook: &ExecHook, event: &Event, interrupt: &Interrupt) -> Result<(), String> {
    tokio::select! {
        answer = exec::run(hook, event) => answer,
        () = stopped(interrupt) => Err(format!("{} was killed before it answered", hook.command.display())),
    }
}

async fn stopped(interrupt: &Interrupt) {
    while !interrupt.is_triggered() {
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn event(letter: char) -> Event {
        let commit = letter.to_string().repeat(40).parse().unwrap();
        Event { commit, tree: PathBuf::new() }
    }

    /// Publish these commits; each with how the attempts to tell of it come out, which are all that are made.
    async fn play(steps: &[(char, &[bool])]) {
        let (events, receiver) = watch::channel(None);
        let (told, mut hears) = mpsc::unbounded_channel();
        let outcomes = Arc::new(Mutex::new(VecDeque::new()));
        let next = outcomes.clone();
        let attempt = move |event: Event| {
            told.send(event.commit).unwrap();
            let succeeds = next.lock().unwrap().pop_front().unwrap_or(false);
            async move { if succeeds { Ok(()) } else { Err("no".into()) } }
        };
        let status = Status::new(String::new(), String::new());
        let backoff = Some(Duration::from_secs(3));
        let task = tokio::spawn(deliver("hook", attempt, receiver, backoff, status));
        for (at, (letter, expected)) in steps.iter().enumerate() {
            outcomes.lock().unwrap().extend(expected.iter().copied());
            events.send_replace(Some(event(*letter)));
            for _ in *expected {
                let heard = timeout(DAY, hears.recv()).await;
                assert_eq!(heard, Ok(Some(event(*letter).commit)), "{steps:?}, step {at}");
            }
            if expected.last() != Some(&false) {
                let heard = timeout(DAY, hears.recv()).await;
                assert!(heard.is_err(), "{steps:?}, step {at}: {heard:?}");
            }
        }
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_is_told_of_again_once_another_was_attempted() {
        for steps in [
            &[('a', &[true][..]), ('a', &[])][..],
            &[('a', &[false, false, true]), ('a', &[])],
            &[('a', &[true]), ('b', &[true]), ('a', &[true]), ('a', &[])],
            // The branch goes back after what failed.
            &[('a', &[true]), ('b', &[false]), ('a', &[true]), ('a', &[])],
            &[('a', &[true]), ('b', &[false, false]), ('a', &[false, true]), ('b', &[true])],
            &[('a', &[true]), ('b', &[false]), ('c', &[false]), ('a', &[true])],
        ] {
            play(steps).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_passed_over_is_not_told_of() {
        let (events, receiver) = watch::channel(None);
        let status = Status::new(String::new(), String::new());
        let (told, mut hears) = mpsc::unbounded_channel();
        let attempt = move |event: Event| {
            told.send(event.commit).unwrap();
            async { Ok(()) }
        };
        let task = tokio::spawn(deliver("hook", attempt, receiver, Some(DAY), status));
        for letters in ["a", "bca", "bc"] {
            for letter in letters.chars() {
                events.send_replace(Some(event(letter)));
            }
            tokio::task::yield_now().await;
        }
        drop(events);
        assert!(task.await.unwrap());
        let mut heard = Vec::new();
        while let Some(commit) = hears.recv().await {
            heard.push(commit);
        }
        assert_eq!(heard, ['a', 'c'].map(|letter| event(letter).commit));
    }
}
