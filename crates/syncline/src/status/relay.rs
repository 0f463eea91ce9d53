//! What is known of the relay that a repository follows or feeds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sync_core::CommitId;

use crate::clock::unix_time;

/// A relay, at one moment.
#[derive(Clone, Debug)]
pub struct RelayShown {
    pub is_follower: bool,
    pub is_connected: bool,
    /// Whether the git server is asked in its place.
    pub asks_server: bool,
    pub generation: u64,
    /// When a feeder saw the commit at the git server last.
    pub observed: Option<f64>,
    pub commit: Option<CommitId>,
    /// Which feeder wrote last.
    pub feeder: String,
    pub bytes: BTreeMap<&'static str, u64>,
    pub refused: BTreeMap<&'static str, u64>,
    pub writes: BTreeMap<&'static str, u64>,
}

impl RelayShown {
    /// How old the news are that a follower goes by.
    pub fn age(&self) -> Option<Duration> {
        let observed = self.observed.filter(|_| self.is_follower && !self.asks_server)?;
        Some(Duration::from_secs_f64((unix_time() - observed).max(0.0)))
    }
}

/// Looks at a relay when somebody asks.
#[derive(Clone)]
pub struct RelayView(Arc<dyn Fn() -> RelayShown + Send + Sync>);

impl RelayView {
    pub fn new(look: impl Fn() -> RelayShown + Send + Sync + 'static) -> RelayView {
        RelayView(Arc::new(look))
    }

    pub fn shown(&self) -> RelayShown {
        (self.0)()
    }
}

impl fmt::Debug for RelayView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}
