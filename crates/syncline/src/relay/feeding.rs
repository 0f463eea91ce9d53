//! The feeder, as the loop's worker drives it.

use std::sync::Arc;

use sync_core::{Interrupt, Store, Tip};
use sync_relay::{Feeder, FeederOptions, Published};
use tracing::warn;

use super::accesses::Accesses;
use super::config::{RelayConfig, Role};
use super::facts::Facts;
use crate::clock::CLOCK;

/// Feeds what is published, and says when it cannot.
pub struct Feeding {
    feeder: Feeder,
    /// What went wrong last, so that it is said once.
    failure: Option<String>,
}

impl RelayConfig {
    /// What feeds the relay, if this is a feeder.
    pub fn feeding(&self, accesses: &Accesses, facts: &Facts) -> Option<Feeding> {
        let Role::Feed { sign_key_file, inline, keep, followers, depth } = &self.role else { return None };
        let options = FeederOptions {
            name: self.name.clone(),
            id: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            sign_key_file: sign_key_file.clone(),
            inline: *inline,
            keep: *keep,
            followers: *followers,
            depth: *depth,
            clock: CLOCK,
        };
        // A feeder asks the relay after each look, so news wake nobody.
        let engine = self.engine(accesses, Arc::new(|| {}));
        Some(Feeding { feeder: Feeder::new(engine, options, facts.of.clone()), failure: None })
    }
}

impl Feeding {
    /// Tell the relay what is published. A failure is for the log: what is published here stays so.
    pub fn feed(&mut self, tip: &Tip, store: &Store, interrupt: &Interrupt) {
        let Some(reference) = tip.reference() else { return };
        let tag = tip.tag().and_then(|tag| tag.parse().ok());
        let published = Published { reference: reference.to_owned(), commit: tip.commit, tag };
        let failure = self.feeder.feed(&published, store, interrupt).err().map(|err| err.to_string());
        if let Some(error) = failure.as_ref().filter(|_| failure != self.failure) {
            warn!(error, "the relay is not fed; retrying after the next look");
        }
        self.failure = failure;
    }
}
