//! SSH without an `ssh` program. A session runs on a thread of its own and is kept between polls. Each run of
//! `git-upload-pack` opens a new channel in it.
//!
//! The SSH client needs an async runtime. Only this module knows of it: [`session`] waits for it like a socket.

mod algorithms;
mod channel;
mod client;
mod failure;
mod files;
pub(crate) mod keys;
pub(crate) mod known_hosts;
mod login;
pub(crate) mod options;
mod program;
pub(crate) mod session;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix::protocol::transport::client::blocking_io::Transport;

use crate::transport::proxy::Proxy;
use crate::transport::ssh::failure::Failure;
use crate::transport::ssh::options::SshOptions;

pub(crate) use program::ProgramOutput;
pub(crate) use session::Session;

use super::read_budget::ReadBudget;
use crate::interrupt::Interrupt;
use crate::url::ssh::SshUrl;

/// The most sessions that are kept.
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

    /// Keep a session. The least recently used one is dropped if there are too many.
    fn keep(&self, session: Session) {
        let mut kept = self.lock();
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(session);
    }
}

/// Run `<program> <path> <argument>` in a kept session to the server, or else in a new one, which is then kept.
pub(crate) fn run(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    (program, argument): (&str, &str),
    interrupt: &Interrupt,
) -> Result<ProgramOutput, Failure> {
    let command = format!("{program} {} {argument}", program::quoted(&url.decoded_path()));
    let run = |session: &Session| program::run(session, &command, interrupt);
    in_session(sessions, url, (options, proxy), interrupt, run).map(|(output, _)| output)
}

/// Run `git-upload-pack` in a kept session to the server, or else in a new one, which is then kept.
pub(crate) fn connect(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> Result<(Box<dyn Transport + Send>, Session), Failure> {
    in_session(sessions, url, (options, proxy), interrupt, |session| {
        channel::open(session, &url.path, interrupt, budget)
    })
}

/// Do something in a kept session to the server, or else in a new one, which is then kept.
fn in_session<T>(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    interrupt: &Interrupt,
    work: impl Fn(&Session) -> Result<T, Failure>,
) -> Result<(T, Session), Failure> {
    let open = |session: Session| {
        let done = work(&session)?;
        sessions.keep(session.clone());
        Ok((done, session))
    };
    if let Some(session) = sessions.take(url) {
        match open(session) {
            // The kept session turned out to be dead.
            Err(_) if !interrupt.is_triggered() => {}
            opened => return opened,
        }
    }
    open(Session::start(url, options, proxy, interrupt)?)
}
