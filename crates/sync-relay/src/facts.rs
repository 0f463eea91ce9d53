//! What a feeder or a follower knows, for metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::CommitId;

use crate::refusal::Reason;
use crate::tip::Tip;

/// How a pack came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackKind {
    /// With the tip.
    Inline,
    /// As a step of the chain.
    Chain,
    /// As the full pack.
    Full,
}

impl PackKind {
    /// All of them.
    pub const ALL: [PackKind; 3] = [PackKind::Inline, PackKind::Chain, PackKind::Full];

    /// A word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            PackKind::Inline => "inline",
            PackKind::Chain => "chain",
            PackKind::Full => "full",
        }
    }
}

/// What is known. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Facts(Arc<Mutex<Known>>);

/// A copy of what is known.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whether the engine can be reached.
    pub is_connected: bool,
    /// Whether the git server is asked in place of the relay.
    pub asks_server: bool,
    /// The generation of the newest tip.
    pub generation: u64,
    /// When a feeder saw it at the git server last, since 1970.
    pub observed: Option<Duration>,
    /// Its commit.
    pub commit: Option<CommitId>,
    /// Which feeder wrote it.
    pub feeder: String,
    /// Bytes of packs, by kind: received by a follower, written by a feeder.
    pub pack_bytes: BTreeMap<PackKind, u64>,
    /// What was refused.
    pub refused: BTreeMap<Reason, u64>,
    /// How often a feeder wrote a tip, lost against another feeder, or failed.
    pub writes: BTreeMap<&'static str, u64>,
}

impl Facts {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what is known now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    pub(crate) fn connected(&self, is_connected: bool) {
        self.lock().is_connected = is_connected;
    }

    pub(crate) fn asks_server(&self, asks: bool) {
        self.lock().asks_server = asks;
    }

    pub(crate) fn saw(&self, tip: &Tip) {
        let mut known = self.lock();
        known.generation = tip.generation;
        known.observed = Some(tip.observed);
        known.commit = Some(tip.tip.commit);
        known.feeder.clone_from(&tip.feeder);
    }

    /// A pack was read or written.
    pub(crate) fn moved(&self, kind: PackKind, bytes: u64) {
        let mut known = self.lock();
        let sum = known.pack_bytes.entry(kind).or_default();
        *sum = sum.saturating_add(bytes); // a tip may announce any length
    }

    pub(crate) fn refused(&self, reason: Reason) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    pub(crate) fn wrote(&self, result: &'static str) {
        *self.lock().writes.entry(result).or_default() += 1;
    }
}
