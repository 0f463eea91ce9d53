//! Connections to relays, which the repositories of a process share.

use std::sync::{Arc, Mutex, PoisonError};

use sync_core::{HttpSetting, UrlScope};
use sync_relay::engine::{Connections, RelayUrl};

use super::config::RelayConfig;
use super::login::RelayLogin;

/// How relays are reached. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Accesses(Arc<Mutex<Vec<(Way, Connections)>>>);

/// All that a connection depends on.
#[derive(Clone, Debug, PartialEq)]
struct Way {
    url: RelayUrl,
    login: RelayLogin,
    http: Vec<(Option<UrlScope>, HttpSetting)>,
    overrides: Vec<HttpSetting>,
}

impl Accesses {
    /// The connections for a repository, shared with all that reach the same relay in the same way.
    pub(super) fn of(&self, config: &RelayConfig) -> Connections {
        let way = Way {
            url: config.url.clone(),
            login: config.login.clone(),
            http: config.connect.http.clone(),
            overrides: config.connect.http_overrides.clone(),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connections)) = known.iter().find(|(known, _)| *known == way) {
            return connections.clone();
        }
        let connections = Connections::default();
        known.push((way, connections.clone()));
        connections
    }
}
