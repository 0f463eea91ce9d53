//! When to look after a hook, and whether hooks work: pure decisions, from what hooks announce and what looks find.
//!
//! A hook may be ahead of the server that is asked, so a look that does not find what was announced is repeated a few
//! times. It may be lost, so polling goes on: seldom while hooks announce what is found, and as usual otherwise.

use std::collections::VecDeque;
use std::time::Duration;

use sync_core::CommitId;
use tokio::time::Instant;

/// How many looks hooks may cause at once, and a second.
const BURST: f64 = 3.0;

/// The pause before the first repeated look; each one is twice as long as the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How many looks are repeated.
const REPEATED: i32 = 5;

/// How much the pauses vary.
const SPREAD: f64 = 0.4;

/// The shortest pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long a hook may come after the poll that found its commit.
const LATE: Duration = Duration::from_secs(60);

/// How many hooks are remembered.
const REMEMBERED: usize = 32;

/// What a repository wants of its hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// A random part of it passes before a look.
    pub spread: Duration,
    /// The pause between polls while hooks work.
    pub period: Duration,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Failed,
    /// Nothing but what was found before, published or held back by a rule.
    Same {
        published: CommitId,
        is_held: bool,
    },
    New(CommitId),
}

/// What is worth to be told of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The look is repeated.
    pub looks_again: bool,
    /// What was announced was never seen.
    pub is_stale: bool,
    /// Hooks were thought to work, and one did not come.
    pub missed: Option<CommitId>,
}

/// What is known of the hooks of a repository.
#[derive(Debug)]
pub struct Working {
    terms: Terms,
    bucket: Bucket,
    /// Hooks that no look followed yet.
    pending: Option<Pending>,
    /// What was announced and not yet seen.
    chase: Option<Chase>,
    /// The look that is under way.
    look: Option<Look>,
    failing: Option<Failing>,
    recent: VecDeque<Heard>,
    /// What was found last.
    found: Option<CommitId>,
    works: bool,
    /// What a poll found and no hook announced so far, and until when one may.
    unannounced: Option<(CommitId, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    due: Instant,
    commit: Option<CommitId>,
}

#[derive(Clone, Copy, Debug)]
struct Chase {
    commit: CommitId,
    looks: i32,
    /// `None`: with the next look, whatever causes it.
    due: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    began: Instant,
    /// Whether hooks caused it.
    is_caused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    /// Whether a hook shortened a pause already.
    was_cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    commit: Option<CommitId>,
}

impl Working {
    pub fn new(terms: Terms, now: Instant) -> Working {
        Working {
            terms,
            bucket: Bucket { tokens: BURST, at: now },
            pending: None,
            chase: None,
            look: None,
            failing: None,
            recent: VecDeque::new(),
            found: None,
            works: false,
            unannounced: None,
        }
    }

    /// A hook came, perhaps with a commit. False if that is `published` already, and nothing follows. `random` is
    /// between 0 and 1.
    pub fn announce(
        &mut self,
        commit: Option<CommitId>,
        published: Option<CommitId>,
        now: Instant,
        random: f64,
    ) -> bool {
        self.recent.truncate(REMEMBERED - 1);
        self.recent.push_front(Heard { at: now, commit });
        if self
            .unannounced
            .is_some_and(|(found, until)| commit.is_none_or(|commit| commit == found) && now <= until)
        {
            self.unannounced = None; // it was only late
        }
        // A look that is under way may see something else.
        if commit.is_some() && commit == published && self.look.is_none() && self.pending.is_none() {
            return false;
        }
        let due = self.pending.map_or_else(|| now + self.terms.spread.mul_f64(random), |pending| pending.due);
        self.pending = Some(Pending { due, commit });
        true
    }

    /// When to look: at the `usual` time, or earlier.
    pub fn due(&self, usual: Option<Instant>, now: Instant) -> Option<Instant> {
        let pending = self.pending.map(|pending| pending.due);
        let own = match self.failing {
            None => pending.into_iter().chain(self.chase.and_then(|chase| chase.due)).min(),
            Some(Failing { was_cut: true, .. }) => None,
            Some(Failing { since, .. }) => pending.map(|due| due.max(since + AFTER_FAILURE)),
        };
        let own = own.map(|own| own.max(self.bucket.ready(now)));
        usual.into_iter().chain(own).min()
    }

    /// A look begins.
    pub fn begin(&mut self, now: Instant) {
        let pending = self.pending.take();
        let repeats = self.chase.is_some_and(|chase| chase.due.is_some_and(|due| due <= now));
        if pending.is_some() || repeats {
            self.bucket.take(now);
        }
        if let (Some(failing), true) = (&mut self.failing, pending.is_some()) {
            failing.was_cut = true;
        }
        if let Some(commit) = pending.and_then(|pending| pending.commit)
            && self.chase.is_none_or(|chase| chase.commit != commit)
        {
            self.chase = Some(Chase { commit, looks: 0, due: None });
        }
        let is_caused = pending.is_some() || self.chase.is_some();
        self.look = Some(Look { began: now, is_caused });
    }

    /// What the look found.
    pub fn end(&mut self, seen: Seen, now: Instant, random: f64) -> Effects {
        let look = self.look.take();
        let mut effects = Effects::default();
        match seen {
            Seen::Failed => {
                let was_cut = self.failing.is_some_and(|failing| failing.was_cut);
                self.failing = Some(Failing { since: now, was_cut });
                if let Some(chase) = &mut self.chase {
                    chase.due = None;
                }
            }
            Seen::New(commit) if self.found != Some(commit) => {
                (self.failing, self.chase, self.found) = (None, None, Some(commit));
                self.found_news(commit, look.is_some_and(|look| look.is_caused), now);
            }
            Seen::New(_) | Seen::Same { is_held: true, .. } => (self.failing, self.chase) = (None, None),
            Seen::Same { published, .. } => {
                self.failing = None;
                effects = self.repeat(published, now, random);
            }
        }
        if let (Seen::Same { .. }, Some(look)) = (seen, look) {
            // Hooks without a commit led to nothing.
            self.recent.retain(|heard| heard.commit.is_some() || heard.at > look.began);
        }
        if let Some((commit, until)) = self.unannounced
            && now > until
        {
            (self.unannounced, self.works) = (None, false);
            effects.missed = Some(commit);
        }
        effects
    }

    fn found_news(&mut self, commit: CommitId, is_caused: bool, now: Instant) {
        let is_announced = self.recent.iter().any(|heard| heard.commit == Some(commit));
        if is_announced || is_caused {
            (self.works, self.unannounced) = (true, None);
        } else if self.works && self.unannounced.is_none() {
            self.unannounced = Some((commit, now + LATE));
        }
    }

    /// Plan the next look for what was announced, unless it is there.
    fn repeat(&mut self, published: CommitId, now: Instant, random: f64) -> Effects {
        let Some(chase) = self.chase.take().filter(|chase| chase.commit != published) else {
            return Effects::default();
        };
        if chase.looks >= REPEATED {
            return Effects { is_stale: true, ..Effects::default() };
        }
        let factor = f64::from(2_i32.pow(chase.looks.unsigned_abs())) * (1.0 + SPREAD * (random - 0.5));
        let due = Some(now + FIRST_PAUSE.mul_f64(factor));
        self.chase = Some(Chase { looks: chase.looks + 1, due, ..chase });
        Effects { looks_again: true, ..Effects::default() }
    }

    /// How long ago the hook came that led to a commit which is published now.
    pub fn published(&mut self, commit: CommitId, now: Instant) -> Option<Duration> {
        let exact = self.recent.iter().position(|heard| heard.commit == Some(commit));
        let at = exact.or_else(|| self.recent.iter().position(|heard| heard.commit.is_none()))?;
        let heard = self.recent.remove(at)?;
        // Those that came earlier led to nothing of their own.
        self.recent.truncate(at);
        Some(now - heard.at)
    }

    /// Whether hooks led to what was published.
    pub fn works(&self) -> bool {
        self.works
    }

    /// The pause between polls while hooks work. It is not longer while one is awaited that may only be late.
    pub fn period(&self) -> Option<Duration> {
        (self.works && self.unannounced.is_none()).then_some(self.terms.period)
    }
}

/// Tokens for looks: one more each second, up to [`BURST`].
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn filled(&self, now: Instant) -> f64 {
        (self.tokens + (now.saturating_duration_since(self.at)).as_secs_f64()).min(BURST)
    }

    /// When the next look may be.
    fn ready(&self, now: Instant) -> Instant {
        now + Duration::from_secs_f64((1.0 - self.filled(now)).max(0.0))
    }

    fn take(&mut self, now: Instant) {
        (self.tokens, self.at) = ((self.filled(now) - 1.0).max(0.0), now);
    }
}

#[cfg(test)]
mod tests;
