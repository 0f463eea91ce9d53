//! What the repositories of a process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sync_core::Pool;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::login::Tokens;
use crate::relay::Accesses;

/// How many repositories of one server are looked at at once: a server that does not answer holds up no others.
const LOOKS: usize = 8;

/// How long repositories take to come back after a pause that a server asked for.
const AFTER_PAUSE: Duration = Duration::from_secs(5);

/// What the repositories of a process share. Clones share the same.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    pub pool: Pool,
    pub tokens: Tokens,
    pub relays: Accesses,
    servers: Arc<Mutex<HashMap<String, Weak<Server>>>>,
}

impl Shared {
    pub fn new(pool: Pool) -> Shared {
        Shared { pool, tokens: Tokens::default(), relays: Accesses::default(), servers: Arc::default() }
    }

    /// What is known of a server, under a name that stands for it and for the login there.
    pub fn server(&self, name: String) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        servers.retain(|_, server| server.strong_count() > 0);
        let new = Arc::new(Server { looks: Semaphore::new(LOOKS), paused_until: Mutex::default() });
        servers.insert(name, Arc::downgrade(&new));
        new
    }
}

/// A server and a login there.
#[derive(Debug)]
pub struct Server {
    looks: Semaphore,
    paused_until: Mutex<Option<Instant>>,
}

impl Server {
    /// Wait for the right to look.
    pub async fn look(&self) -> SemaphorePermit<'_> {
        self.looks.acquire().await.expect("it is never closed")
    }

    /// The server asked to be left alone for so long.
    pub fn pause(&self, wish: Duration) {
        let mut until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now().checked_add(wish));
    }

    /// A time that is due, or a later one if the server asked for a pause. All come at different times then.
    pub fn earliest(&self, due: Instant) -> Instant {
        match *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(until) if until > due => until + AFTER_PAUSE.mul_f64(fastrand::f64()),
            _ => due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_all_repositories_of_a_server_and_login() {
        let shared = Shared::default();
        let [one, same, other] = ["a", "a", "b"].map(|name| shared.server(name.into()));
        let now = Instant::now();
        one.pause(Duration::from_secs(60));
        one.pause(Duration::from_secs(1));
        let pause = same.earliest(now) - now;
        assert!((60.0..=65.0).contains(&pause.as_secs_f64()), "{pause:?}");
        let late = now + Duration::from_secs(300);
        assert_eq!((same.earliest(late), other.earliest(now)), (late, now));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_look_at_a_server_at_once() {
        let shared = Shared::default();
        let (server, other) = (shared.server("a".into()), shared.server("b".into()));
        let mut places = Vec::new();
        for _ in 0..LOOKS {
            places.push(server.look().await);
        }
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, server.look()).await.is_err());
        assert!(tokio::time::timeout(soon, other.look()).await.is_ok());
        places.pop();
        assert!(tokio::time::timeout(soon, server.look()).await.is_ok());
    }
}
