//! The state of the process's work. The loop and the hooks write it; the HTTP server and the service manager's
//! reports read it.

mod pushes;
mod relay;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::{CommitId, CommitInfo, Held, LfsCounts, Progress, RequestObserver, RequestResult, Stage};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::unix_time;

pub use pushes::{LastPush, PushFacts};
pub use relay::{RelayShown, RelayView};

/// Shared by all that report something.
#[derive(Clone, Debug, Default)]
pub struct Status {
    facts: Arc<Mutex<Facts>>,
    /// Notified when something was published.
    news: Arc<Notify>,
}

/// The result of a sync or a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Success,
    Error,
    Noop,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Error => "error",
            Outcome::Noop => "noop",
        }
    }
}

/// One finished sync; `at` is when it ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: f64,
    pub outcome: Outcome,
    pub seconds: f64,
    pub error: Option<String>,
}

/// A commit that is published.
#[derive(Clone, Debug)]
pub struct Published {
    pub info: CommitInfo,
    /// The full name of the reference that was chosen.
    pub reference: Option<String>,
    /// Who signed it, if signatures are verified.
    pub signer: Option<String>,
}

/// How many attempts are remembered.
const ATTEMPTS: usize = 10;

/// How often something happened and how long it took in total.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub count: u64,
    pub seconds: f64,
}

impl Sum {
    pub fn add(&mut self, took: Duration) {
        self.count += 1;
        self.seconds += took.as_secs_f64();
    }
}

/// The bounds of the histogram of durations, in seconds.
pub const DURATION_BOUNDS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// How long something took, each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    pub sum: Sum,
    /// How often it took no longer than each of the bounds.
    pub within: [u64; DURATION_BOUNDS.len()],
}

impl Durations {
    fn add(&mut self, took: Duration) {
        self.sum.add(took);
        let seconds = took.as_secs_f64();
        let fitting = self.within.iter_mut().zip(DURATION_BOUNDS).filter(|(_, bound)| seconds <= *bound);
        fitting.for_each(|(count, _)| *count += 1);
    }
}

/// Commits that are older than this when they are published say nothing about how long news take.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// The file system of the root, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What this user may still write.
    pub available: u64,
    pub size: u64,
}

/// Everything, at one moment. Times are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub source: String,
    pub reference: String,
    pub passes: BTreeMap<Outcome, Durations>,
    pub hooks: BTreeMap<(&'static str, Outcome), u64>,
    pub logins: BTreeMap<(&'static str, Outcome), u64>,
    /// Requests by kind of server and kind of answer.
    pub requests: BTreeMap<(&'static str, &'static str), u64>,
    /// How often a server said that it is asked too often, by kind of server.
    pub rate_limited: BTreeMap<&'static str, u64>,
    pub stages: BTreeMap<&'static str, Sum>,
    pub received_bytes: u64,
    pub received_objects: u64,
    pub received_lfs_bytes: u64,
    /// How many objects of Git LFS trees needed, by where they were.
    pub lfs_objects: BTreeMap<&'static str, u64>,
    /// The newest first.
    pub attempts: VecDeque<Attempt>,
    pub last_success: Option<f64>,
    /// The same by a monotonic clock, to tell its age: the wall clock may be set.
    pub succeeded: Option<Instant>,
    pub next_attempt: Option<f64>,
    pub consecutive_failures: u32,
    pub published: Option<Published>,
    pub held: Option<Held>,
    /// How often a commit was judged, by result.
    pub verifications: BTreeMap<&'static str, u64>,
    pub published_at: Option<f64>,
    /// From the committer's date to the publication, of commits that came while this process ran.
    pub lag: Sum,
    /// The pause between syncs; `None` if there is only one.
    pub period: Option<Duration>,
    pub volume: Option<Volume>,
    pub tree_bytes: u64,
    pub store_bytes: u64,
    /// The commit that each hook was told of last, by the name of the hook.
    pub delivered: BTreeMap<&'static str, CommitId>,
    /// The relay that it follows or feeds, if there is one.
    pub relay: Option<RelayView>,
    /// How long the published commit took from a feeder's look to here, in seconds.
    pub relay_lag: Option<f64>,
    /// Whether it failed too often, and is not synced any more.
    pub has_given_up: bool,
    /// Whether it was told to end.
    pub is_stopping: bool,
    /// What is known of push hooks, if they are taken.
    pub pushes: Option<PushFacts>,
}

/// The states of a repository, for people and metrics.
pub const STATES: [&str; 5] = ["starting", "ok", "failing", "gave-up", "stopping"];

impl Facts {
    pub fn last_attempt(&self) -> Option<f64> {
        self.attempts.front().map(|attempt| attempt.at)
    }

    /// How long ago the last success was.
    pub fn age(&self) -> Option<Duration> {
        self.succeeded.map(|last| last.elapsed())
    }

    /// The error of the last attempt, if it failed.
    pub fn last_error(&self) -> Option<&str> {
        self.attempts.front()?.error.as_deref()
    }

    /// One of [`STATES`].
    pub fn state(&self) -> &'static str {
        let [starting, ok, failing, gave_up, stopping] = STATES;
        match self {
            Facts { is_stopping: true, .. } => stopping,
            Facts { has_given_up: true, .. } => gave_up,
            Facts { consecutive_failures: 1.., .. } => failing,
            Facts { last_success: None, .. } => starting,
            _ => ok,
        }
    }

    /// How many syncs published something.
    pub fn updates(&self) -> u64 {
        self.passes.get(&Outcome::Success).map_or(0, |passes| passes.sum.count)
    }

    /// The reference as the user named it, or the one that was chosen if the user named a set of them.
    pub fn published_reference(&self) -> &str {
        let chosen = self.published.as_ref().and_then(|published| published.reference.as_deref());
        shown_reference(&self.reference, chosen)
    }

    fn attempted(&mut self, outcome: Outcome, took: Duration, error: Option<String>) {
        self.passes.entry(outcome).or_default().add(took);
        self.attempts.truncate(ATTEMPTS - 1);
        self.attempts.push_front(Attempt { at: unix_time(), outcome, seconds: took.as_secs_f64(), error });
    }
}

/// The reference as the user named it, or the one that was `chosen`, its full name, if the user named a set of them.
pub fn shown_reference<'a>(named: &'a str, chosen: Option<&'a str>) -> &'a str {
    let is_named = |full: &&str| {
        full.strip_suffix(named).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    match chosen {
        Some(chosen) if !is_named(&chosen) => chosen.strip_prefix("refs/tags/").unwrap_or(chosen),
        _ => named,
    }
}

fn status_class(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}

impl Status {
    pub fn new(source: String, reference: String) -> Status {
        let facts = Facts { source, reference, ..Facts::default() };
        Status { facts: Arc::new(Mutex::new(facts)), news: Arc::default() }
    }

    /// With everything that is known, for `fuzz/`.
    #[cfg(feature = "fuzzing")]
    pub fn with(facts: Facts) -> Status {
        Status { facts: Arc::new(Mutex::new(facts)), news: Arc::default() }
    }

    pub fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// Look at everything for a moment.
    pub fn read<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.lock())
    }

    /// Everything, if something other than `seen` is published.
    pub fn news(&self, seen: Option<CommitId>) -> Option<Facts> {
        let facts = self.lock();
        facts
            .published
            .as_ref()
            .is_some_and(|published| Some(published.info.id) != seen)
            .then(|| facts.clone())
    }

    /// The same, as soon as it is.
    pub async fn wait_for_news(&self, seen: Option<CommitId>) -> Facts {
        loop {
            // From here on, no notification is missed.
            let told = self.news.notified();
            match self.news(seen) {
                Some(facts) => return facts,
                None => told.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything was synced in this process: git-sync's readiness, which is never lost.
    pub fn is_ready(&self) -> bool {
        self.lock().last_success.is_some()
    }

    /// A sync succeeded, with something new or without.
    pub fn passed(&self, outcome: Outcome, took: Duration) {
        let mut facts = self.lock();
        facts.attempted(outcome, took, None);
        facts.last_success = facts.last_attempt();
        facts.succeeded = Some(Instant::now());
        facts.consecutive_failures = 0;
    }

    /// A sync finished a tree that waits for its group. Nothing is published yet.
    pub fn deferred(&self, took: Duration) {
        let mut facts = self.lock();
        facts.attempted(Outcome::Noop, took, None);
        facts.consecutive_failures = 0;
    }

    pub fn failed(&self, error: String, failures: u32, took: Duration) {
        let mut facts = self.lock();
        facts.attempted(Outcome::Error, took, Some(error));
        facts.consecutive_failures = failures;
    }

    /// It failed too often.
    pub fn gave_up(&self) {
        let mut facts = self.lock();
        (facts.has_given_up, facts.next_attempt) = (true, None);
    }

    /// It was told to end.
    pub fn stopping(&self) {
        self.lock().is_stopping = true;
    }

    /// It works again, with another configuration.
    pub fn restarted(&self, source: String, reference: String) {
        let mut facts = self.lock();
        (facts.source, facts.reference) = (source, reference);
        (facts.has_given_up, facts.is_stopping, facts.consecutive_failures) = (false, false, 0);
    }

    pub fn waiting(&self, pause: Duration) {
        self.lock().next_attempt = Some(unix_time() + pause.as_secs_f64());
    }

    pub fn published(&self, commit: Published, tree_bytes: u64) {
        let mut facts = self.lock();
        let relay = facts.relay.as_ref().map(RelayView::shown);
        let followed = relay.filter(|relay| relay.commit == Some(commit.info.id));
        facts.relay_lag = followed.and_then(|relay| relay.age()).map(|age| age.as_secs_f64());
        let now = unix_time();
        let lag = Duration::try_from_secs_f64(now - commit.info.time as f64).ok();
        let is_news = facts.published.as_ref().is_some_and(|before| before.info.id != commit.info.id);
        if let Some(lag) = lag.filter(|lag| is_news && *lag < FRESH) {
            facts.lag.add(lag);
        }
        facts.published = Some(commit);
        facts.published_at = Some(now);
        facts.tree_bytes = tree_bytes;
        drop(facts);
        self.news.notify_waiters();
    }

    /// A commit was judged by its signature.
    pub fn verified(&self, result: &'static str) {
        *self.lock().verifications.entry(result).or_default() += 1;
    }

    /// A tree needed objects of Git LFS.
    pub fn lfs_placed(&self, counts: &LfsCounts) {
        let LfsCounts { fetched, reused, missing, .. } = *counts;
        let mut facts = self.lock();
        if fetched + reused + missing > 0 {
            for (result, count) in [("fetched", fetched), ("reused", reused), ("missing", missing)] {
                *facts.lfs_objects.entry(result).or_default() += count as u64;
            }
        }
    }

    /// It follows or feeds a relay.
    pub fn uses_relay(&self, relay: RelayView) {
        self.lock().relay = Some(relay);
    }

    pub fn held(&self, held: Option<Held>) {
        self.lock().held = held;
    }

    pub fn store_has(&self, bytes: u64) {
        self.lock().store_bytes = bytes;
    }

    pub fn volume_has(&self, volume: Volume) {
        self.lock().volume = Some(volume);
    }

    /// How often it syncs.
    pub fn syncs_every(&self, period: Option<Duration>) {
        self.lock().period = period;
    }

    /// A hook was told of a commit.
    pub fn delivered(&self, name: &'static str, commit: CommitId) {
        self.lock().delivered.insert(name, commit);
    }

    pub fn hook_ran(&self, name: &'static str, outcome: Outcome) {
        *self.lock().hooks.entry((name, outcome)).or_default() += 1;
    }

    /// A token source was asked for a login; `metric` counts that.
    pub fn token_fetched(&self, metric: &'static str, outcome: Outcome) {
        *self.lock().logins.entry((metric, outcome)).or_default() += 1;
    }

    /// Counts requests to a kind of server.
    pub fn requests(&self, to: &'static str) -> RequestObserver {
        let status = self.clone();
        RequestObserver::new(move |result| {
            let mut facts = status.lock();
            let result = match result {
                RequestResult::RateLimited => return *facts.rate_limited.entry(to).or_default() += 1,
                RequestResult::Answered(None) => "ok",
                RequestResult::Answered(Some(status)) => status_class(status),
                _ => "none",
            };
            *facts.requests.entry((to, result)).or_default() += 1;
        })
    }

    /// Counters of long work that report here how long each stage took and what it received.
    pub fn progress(&self) -> Progress {
        let (status, last) = (self.clone(), Mutex::new(None::<(Stage, Instant)>));
        Progress::observed(move |snapshot, next| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let mut facts = status.lock();
            if let Some((stage, since)) = last.take() {
                facts.stages.entry(stage.name()).or_default().add(since.elapsed());
            }
            match snapshot.stage {
                Stage::Receiving => {
                    facts.received_bytes += snapshot.bytes as u64;
                    facts.received_objects += snapshot.done as u64;
                }
                Stage::FetchingLfs => facts.received_lfs_bytes += snapshot.bytes as u64,
                _ => {}
            }
            if next != Stage::Idle {
                *last = Some((next, Instant::now()));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paused clock differs from the wall clock, as if that had been set.
    #[tokio::test(start_paused = true)]
    async fn a_success_ages_by_the_clock_that_nobody_sets() {
        let status = Status::new(String::new(), String::new());
        let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
        tokio::time::advance(hour).await;
        assert_eq!(status.facts().age(), None);
        for outcome in [Outcome::Success, Outcome::Noop] {
            status.passed(outcome, second);
            assert_eq!(status.facts().age(), Some(Duration::ZERO));
            tokio::time::advance(hour).await;
            status.failed("no".into(), 1, second);
            assert_eq!(status.facts().age(), Some(hour));
            status.lock().last_success = Some(unix_time() + 1e6);
            assert_eq!(status.facts().age(), Some(hour));
        }
    }

    #[test]
    fn a_reference_is_shown_as_it_was_named_unless_it_was_chosen_from_a_set() {
        for (named, chosen, shown) in [
            ("main", Some("refs/heads/main"), "main"),
            ("HEAD", Some("HEAD"), "HEAD"),
            ("heads/x", Some("refs/heads/x"), "heads/x"),
            ("refs/pull/1/head", Some("refs/pull/1/head"), "refs/pull/1/head"),
            ("tags in \"^1\"", Some("refs/tags/v1.2.3"), "v1.2.3"),
            ("last of refs/heads/n-*", Some("refs/heads/n-2"), "refs/heads/n-2"),
            ("main", None, "main"),
        ] {
            assert_eq!(shown_reference(named, chosen), shown);
        }
    }

    #[test]
    fn the_last_attempts_are_remembered_the_newest_first() {
        let status = Status::new(String::new(), String::new());
        for number in 1..=25 {
            status.failed(format!("error {number}"), number, Duration::from_secs(1));
        }
        let facts = status.facts();
        let errors: Vec<_> = facts.attempts.iter().filter_map(|attempt| attempt.error.clone()).collect();
        assert_eq!(errors, (16..=25).rev().map(|number| format!("error {number}")).collect::<Vec<_>>());
        assert_eq!((facts.consecutive_failures, facts.last_error()), (25, Some("error 25")));
        status.passed(Outcome::Noop, Duration::from_secs(1));
        let facts = status.facts();
        assert_eq!((facts.consecutive_failures, facts.last_error()), (0, None));
        assert_eq!(facts.passes[&Outcome::Error].sum.count, 25);
        assert_eq!(facts.updates(), 0, "nothing new was published");
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_counts_the_time_until_the_next_one() {
        let status = Status::new(String::new(), String::new());
        let progress = status.progress();
        for _ in 0..2 {
            for (stage, seconds) in [(Stage::Connecting, 2), (Stage::Receiving, 3), (Stage::Idle, 60)] {
                progress.enter(stage);
                tokio::time::advance(Duration::from_secs(seconds)).await;
            }
        }
        let stages = status.facts().stages;
        let found: Vec<_> = stages.iter().map(|(name, sum)| (*name, sum.count, sum.seconds)).collect();
        assert_eq!(found, [("connect", 2, 4.0), ("receive", 2, 6.0)]);
    }
}
