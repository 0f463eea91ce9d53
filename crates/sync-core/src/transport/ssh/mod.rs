//! SSH without an `ssh` program. A session outlives the channels on it: it is kept between polls, alive on a thread
//! of its own, and each exchange with `git-upload-pack` that needs a new channel finds it there.
//!
//! The async runtime that the SSH client wants stays in here: `session` waits for it as a socket waits.

mod algorithms;
mod channel;
mod client;
mod failure;
mod files;
pub(crate) mod keys;
pub(crate) mod known_hosts;
mod login;
pub(crate) mod options;
pub(crate) mod session;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix::protocol::transport::client::blocking_io::Transport;

use crate::transport::proxy::Proxy;
use crate::transport::ssh::failure::Failure;
use crate::transport::ssh::options::SshOptions;

pub(crate) use session::Session;

use super::read_budget::ReadBudget;
use crate::interrupt::Interrupt;
use crate::url::ssh::SshUrl;

/// How many sessions are kept.
const MAX_KEPT: usize = 8;

/// The sessions of a repository and its submodules.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<Vec<Session>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, url: &SshUrl) -> Option<Session> {
        let mut kept = self.lock();
        kept.retain(Session::is_good);
        let at = kept.iter().position(|session| session.is_to(url))?;
        Some(kept.remove(at))
    }

    /// The one that was used least recently makes room.
    fn keep(&self, session: Session) {
        let mut kept = self.lock();
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(session);
    }
}

/// Run `git-upload-pack` over a session that is kept, where there is one to that server and it lives, or over
/// a new one, which is kept then.
pub(crate) fn connect(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> Result<(Box<dyn Transport + Send>, Session), Failure> {
    let open = |session: Session| {
        let transport = channel::open(&session, &url.path, interrupt, budget)?;
        sessions.keep(session.clone());
        Ok((transport, session))
    };
    if let Some(session) = sessions.take(url) {
        match open(session) {
            // It was dropped while nobody looked.
            Err(_) if !interrupt.is_triggered() => {}
            opened => return opened,
        }
    }
    open(Session::start(url, options, proxy, interrupt)?)
}
