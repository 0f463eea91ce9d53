//! The relay: what the options of it mean, the follower in place of a git server, and the feeder.

mod accesses;
mod config;
mod facts;
mod feeding;
mod login;

use std::path::PathBuf;
use std::sync::Arc;

use sync_core::{Relay, RequestObserver};
use sync_relay::engine::{self, Access, Engine, Wake};
use sync_relay::{Fallback, Follower, FollowerOptions};
use tokio::sync::Notify;

use crate::clock::CLOCK;

pub use accesses::Accesses;
pub use config::{RelayConfig, place_of, read};
pub use facts::Facts;
pub use feeding::Feeding;

use config::Role;

impl RelayConfig {
    /// What a mirror asks in place of the git server, if this is a follower. `memory` is a file for what it must
    /// remember; news wake the loop.
    pub fn follower(
        &self,
        memory: PathBuf,
        accesses: &Accesses,
        wake: &Arc<Notify>,
        facts: &Facts,
    ) -> Option<Box<dyn Relay>> {
        let Role::Follow { key_file, fallback, .. } = &self.role else { return None };
        let options = FollowerOptions {
            name: self.name.clone(),
            key_file: key_file.clone(),
            fallback: fallback.map_or(Fallback::Never, Fallback::After),
            memory,
            clock: CLOCK,
        };
        let wake = wake.clone();
        let engine = self.engine(accesses, Arc::new(move || wake.notify_one()));
        Some(Box::new(Follower::new(engine, options, facts.of.clone())))
    }

    /// The same, with its requests counted.
    pub fn counted(&self, requests: RequestObserver) -> RelayConfig {
        let mut counted = self.clone();
        counted.connect.requests = requests;
        counted
    }

    fn engine(&self, accesses: &Accesses, wake: Wake) -> Box<dyn Engine> {
        let access = Access::new(self.connect.clone(), self.login.provider(), wake);
        engine::open(&self.url, &self.name, access, &accesses.of(self))
    }
}
