//! What is known of the relay, as metrics and `/status` show it.

use super::config::{RelayConfig, Role};
use crate::status::{RelayShown, RelayView};

/// What is known. Clones share it.
#[derive(Clone, Debug)]
pub struct Facts {
    pub(super) of: sync_relay::Facts,
    is_follower: bool,
}

impl RelayConfig {
    /// Nothing is known yet.
    pub fn facts(&self) -> Facts {
        let is_follower = matches!(self.role, Role::Follow { .. });
        Facts { of: sync_relay::Facts::default(), is_follower }
    }
}

impl Facts {
    /// For those who show it.
    pub fn view(&self) -> RelayView {
        let facts = self.clone();
        RelayView::new(move || facts.shown())
    }

    fn shown(&self) -> RelayShown {
        let known = self.of.known();
        RelayShown {
            is_follower: self.is_follower,
            is_connected: known.is_connected,
            asks_server: known.asks_server,
            generation: known.generation,
            observed: known.observed.map(|observed| observed.as_secs_f64()),
            commit: known.commit,
            feeder: known.feeder,
            bytes: known.pack_bytes.iter().map(|(kind, bytes)| (kind.word(), *bytes)).collect(),
            refused: known.refused.iter().map(|(reason, count)| (reason.word(), *count)).collect(),
            writes: known.writes,
        }
    }
}
