//! What the hooks of a repository and its loop tell each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::CommitId;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::working::{Seen, Terms, Working};
use crate::status::Status;

/// Clones are the same. The hooks announce, the loop looks.
#[derive(Clone, Debug)]
pub struct Pushes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    working: Mutex<Working>,
    news: Notify,
    status: Status,
}

impl Pushes {
    pub fn new(terms: Terms, status: &Status) -> Pushes {
        let working = Mutex::new(Working::new(terms, Instant::now()));
        Pushes(Arc::new(Shared { working, news: Notify::new(), status: status.clone() }))
    }

    /// A hook came, perhaps with a commit. False if that is published already.
    pub fn announce(&self, commit: Option<CommitId>) -> bool {
        let published =
            self.0.status.read(|facts| facts.published.as_ref().map(|published| published.info.id));
        let is_news = self.lock().announce(commit, published, Instant::now(), fastrand::f64());
        if is_news {
            self.0.news.notify_one();
        }
        is_news
    }

    /// Completes when [`Pushes::due`] may have changed.
    pub async fn heard(&self) {
        self.0.news.notified().await;
    }

    /// When to look: at the usual time, or earlier.
    pub fn due(&self, usual: Option<Instant>) -> Option<Instant> {
        self.lock().due(usual, Instant::now())
    }

    /// A look begins.
    pub fn begin(&self) {
        self.lock().begin(Instant::now());
    }

    /// What the look found.
    pub fn end(&self, seen: Seen) {
        let (effects, worked, works, period) = {
            let mut working = self.lock();
            let worked = working.works();
            let effects = working.end(seen, Instant::now(), fastrand::f64());
            (effects, worked, working.works(), working.period())
        };
        self.0.status.push(|facts| {
            facts.looks_again += u64::from(effects.looks_again);
            facts.stale += u64::from(effects.is_stale);
            facts.missed += u64::from(effects.missed.is_some());
            (facts.is_working, facts.period) = (works, period);
        });
        if effects.looks_again {
            debug!("the server does not show yet what was announced; looking again soon");
        }
        if effects.is_stale {
            info!("the server does not show what a push hook announced; the next poll may find it");
        }
        if let Some(commit) = effects.missed {
            warn!(%commit, "no push hook announced a commit that a poll found; polling as often as without hooks");
        } else if works && !worked {
            info!("push hooks work; polling less often");
        }
    }

    /// This commit is published now.
    pub fn published(&self, commit: CommitId) {
        if let Some(took) = self.lock().published(commit, Instant::now()) {
            self.0.status.push(|facts| facts.to_published.add(took));
        }
    }

    /// The pause between polls while hooks work.
    pub fn period(&self) -> Option<Duration> {
        self.lock().period()
    }

    fn lock(&self) -> MutexGuard<'_, Working> {
        self.0.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
