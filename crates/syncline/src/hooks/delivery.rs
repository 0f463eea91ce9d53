//! The task of a hook: it delivers the newest event, and retries.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{Instrument, info, warn};

use super::{Event, Hook, Moment, What};
use crate::status::{Outcome, Status};

/// A hook and its task.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) moment: Moment,
    pub(super) events: watch::Sender<Option<Event>>,
    /// With `once`, completes after the first delivery.
    task: JoinHandle<bool>,
}

impl Runner {
    pub(super) fn start(hook: Arc<dyn Hook>, once: bool, status: Status) -> Runner {
        let (events, receiver) = watch::channel(None);
        let (name, moment, backoff) = (hook.name(), hook.moment(), hook.backoff());
        let attempt = move |event| {
            let hook = hook.clone();
            async move { hook.deliver(&event).await }
        };
        let backoff = (!once).then_some(backoff);
        let task = tokio::spawn(deliver(name, attempt, receiver, backoff, status).in_current_span());
        Runner { moment, events, task }
    }

    /// Wait for the only delivery, if there was an event; whether it succeeded.
    pub(super) async fn finish(self) -> bool {
        drop(self.events);
        self.task.await.unwrap_or(false)
    }
}

/// Deliver the newest event without end, retrying after `backoff`; without it once, and say whether that succeeded.
async fn deliver<F: Future<Output = Result<(), String>>>(
    name: &'static str,
    attempt: impl Fn(Event) -> F,
    mut events: watch::Receiver<Option<Event>>,
    backoff: Option<Duration>,
    status: Status,
) -> bool {
    let mut delivered = None;
    loop {
        let Some(event) = next_event(&mut events, delivered.as_ref()).await else { return true };
        let what = event.what.clone();
        let id = event.commit();
        let commit = id.map(|commit| commit.to_string());
        let (commit, group) = (commit.as_deref(), what.group());
        // A failed attempt may have had an effect: then what was told before it is news again.
        delivered = None;
        match attempt(event).await {
            Ok(()) => {
                status.hook_ran(name, Outcome::Success);
                if let Some(id) = id {
                    status.delivered(name, id);
                }
                info!(hook = name, commit, group, "delivered");
                delivered = Some(what);
            }
            Err(error) => {
                status.hook_ran(name, Outcome::Error);
                let retry_in = backoff.map(|backoff| humantime::format_duration(backoff).to_string());
                warn!(hook = name, commit, group, error, retry_in, "delivery failed");
            }
        }
        match backoff {
            None => return delivered.is_some(),
            Some(backoff) if delivered.is_none() => sleep(backoff).await,
            Some(_) => {}
        }
    }
}

/// The newest event that is not the one just delivered; `None` once there can be no more.
async fn next_event(events: &mut watch::Receiver<Option<Event>>, delivered: Option<&What>) -> Option<Event> {
    let event =
        events.wait_for(|event| event.as_ref().is_some_and(|event| Some(&event.what) != delivered)).await;
    event.ok()?.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use tokio::sync::mpsc;
    use tokio::time::{Instant, timeout};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn event(letter: char) -> Event {
        let commit = letter.to_string().repeat(40).parse().unwrap();
        Event::new(What::Commit(commit), PathBuf::new())
    }

    /// Publish these commits; each with how the attempts to tell of it come out, which are all that are made.
    async fn play(steps: &[(char, &[bool])]) {
        let (events, receiver) = watch::channel(None);
        let (told, mut hears) = mpsc::unbounded_channel();
        let outcomes = Arc::new(Mutex::new(VecDeque::new()));
        let next = outcomes.clone();
        let attempt = move |event: Event| {
            told.send(event.what).unwrap();
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
                assert_eq!(heard, Ok(Some(event(*letter).what)), "{steps:?}, step {at}");
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
            told.send(event.what).unwrap();
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
        assert_eq!(heard, ['a', 'c'].map(|letter| event(letter).what));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_delivery_is_retried_after_the_backoff_with_what_is_newest_then() {
        let (events, receiver) = watch::channel(Some(event('a')));
        let status = Status::new(String::new(), String::new());
        let (told, mut hears) = mpsc::unbounded_channel();
        let attempt = move |event: Event| {
            told.send((event.what, Instant::now())).unwrap();
            async { Err("no".into()) }
        };
        let (started, backoff) = (Instant::now(), Duration::from_secs(30));
        let task = tokio::spawn(deliver("hook", attempt, receiver, Some(backoff), status.clone()));
        sleep(backoff * 3 / 2).await;
        events.send_replace(Some(event('b')));
        events.send_replace(Some(event('c')));
        sleep(backoff).await;
        task.abort();
        for (letter, seconds) in [('a', 0), ('a', 30), ('c', 60)] {
            let (commit, at) = hears.recv().await.unwrap();
            assert_eq!((commit, (at - started).as_secs()), (event(letter).what, seconds));
        }
        assert!(hears.recv().await.is_none());
        assert_eq!(status.facts().hooks[&("hook", Outcome::Error)], 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_once_makes_one_attempt_and_says_how_it_came_out() {
        for (answer, succeeded) in [(Ok(()), true), (Err("no".to_owned()), false)] {
            let (events, receiver) = watch::channel(Some(event('a')));
            let status = Status::new(String::new(), String::new());
            let attempt = move |_| std::future::ready(answer.clone());
            assert_eq!(deliver("hook", attempt, receiver, None, status.clone()).await, succeeded);
            assert_eq!(status.facts().hooks.values().sum::<u64>(), 1);
            drop(events);
        }
        let (events, receiver) = watch::channel(None);
        drop(events);
        let attempt = |_| async { panic!("there is nothing to tell") };
        let status = Status::new(String::new(), String::new());
        assert!(deliver("hook", attempt, receiver, None, status).await);
    }
}
