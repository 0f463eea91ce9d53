//! What is known of the push hooks of a repository.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_core::CommitId;

use super::{Facts, Status, Sum};
use crate::clock::unix_time;

/// Everything, at one moment. Times are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct PushFacts {
    /// How many requests there were, by sender and result.
    pub requests: BTreeMap<(&'static str, &'static str), u64>,
    /// The last one that proved itself.
    pub last: Option<LastPush>,
    /// When the last one came that was followed by a look.
    pub last_news: Option<f64>,
    /// From the request to the publication.
    pub to_published: Sum,
    /// How often what was announced was not there yet.
    pub looks_again: u64,
    /// How often it was never seen.
    pub stale: u64,
    /// How often a poll found what no hook announced, though hooks worked.
    pub missed: u64,
    /// How often a file with a secret could not be used.
    pub secret_faults: u64,
    /// Whether hooks led to what was published.
    pub is_working: bool,
    /// The pause between polls, while that is a long one because hooks work.
    pub period: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub struct LastPush {
    pub at: f64,
    pub sender: &'static str,
    pub result: &'static str,
    pub commit: Option<CommitId>,
}

/// Results of requests that nobody is known to have sent.
const REFUSED: [&str; 3] = ["denied", "too_large", "busy"];

/// Results that a look follows.
const NEWS: [&str; 2] = ["news", "unclear"];

impl PushFacts {
    /// A request came.
    pub fn requested(&mut self, sender: &'static str, result: &'static str, commit: Option<CommitId>) {
        *self.requests.entry((sender, result)).or_default() += 1;
        if REFUSED.contains(&result) {
            return;
        }
        let at = unix_time();
        self.last = Some(LastPush { at, sender, result, commit });
        if NEWS.contains(&result) {
            self.last_news = Some(at);
        }
    }
}

impl Facts {
    /// How much older than usual the last success may be, because hooks work and polls are seldom: a pause and a half,
    /// since pauses vary.
    pub fn seldom(&self) -> Duration {
        let period = self.pushes.as_ref().and_then(|pushes| pushes.period);
        period.unwrap_or_default().saturating_mul(3) / 2
    }
}

impl Status {
    /// From now on push hooks may come.
    pub fn expects_pushes(&self) {
        self.lock().pushes.get_or_insert_default();
    }

    /// Change what is known of push hooks, if they are expected.
    pub fn push(&self, change: impl FnOnce(&mut PushFacts)) {
        if let Some(facts) = &mut self.lock().pushes {
            change(facts);
        }
    }
}
