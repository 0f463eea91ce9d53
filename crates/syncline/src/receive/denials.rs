//! Hooks that are refused: a line a minute at most, whoever sends how many.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::proof::Refusal;

const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Denials(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    told: Option<Instant>,
}

impl Denials {
    /// One was refused.
    pub fn add(&self, peer: Option<IpAddr>, refusal: Refusal) {
        if let Some(count) = self.0.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now()) {
            let peer = peer.map(|peer| peer.to_string());
            warn!(peer, count, reason = refusal.describe(), "denied push hooks");
        }
    }
}

impl State {
    /// How many there were since the last line, if it is time for one.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now - told < PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_denials_are_one_line_a_minute() {
        let (mut state, start) = (State::default(), Instant::now());
        let lines: Vec<u64> =
            (0..1200).filter_map(|tenths| state.add(start + PAUSE.mul_f64(tenths as f64 / 600.0))).collect();
        assert_eq!(lines, [1, 600]);
    }
}
