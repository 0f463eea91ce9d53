//! SSH without an `ssh` program. A session outlives the channels on it: it is kept between polls, alive on a thread
//! of its own, and each exchange with `git-upload-pack` that needs a new channel finds it there.
//!
//! The async runtime that the SSH client wants stays in here: `session` waits for it as a socket waits.

mod algorithms;
mod channel;
mod client;
mod files;
pub(crate) mod keys;
pub(crate) mod known_hosts;
mod login;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::Transport;

pub(crate) use session::Session;

use super::{ConnectOptions, Ration};
use crate::Interrupt;
use crate::error::{Error, Recovery};
use crate::url::SshUrl;

/// How to log in over SSH. All files are read anew for every session, and a session ends when one was changed.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// Files of private keys, tried in this order. A certificate beside one, `<file>-cert.pub`, is offered first.
    pub keys: Vec<PathBuf>,
    /// Whether the files in `keys` may be absent.
    pub keys_are_optional: bool,
    /// A file whose first line opens the keys that are encrypted.
    pub passphrase_file: Option<PathBuf>,
    /// The socket of an agent whose keys are tried after those.
    pub agent: Option<PathBuf>,
    /// Which servers to trust.
    pub host_keys: HostKeys,
    /// The time since 1970. Without it no host certificate is accepted.
    pub now: Option<fn() -> Duration>,
}

/// Which servers to trust.
#[derive(Clone, Debug, Default)]
pub enum HostKeys {
    /// None: every session is refused.
    #[default]
    None,
    /// Those in a file of OpenSSH's form: known_hosts.
    File(PathBuf),
    /// All, so that anybody on the way can pose as the server.
    Any,
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody has to change something: a key, a file, an account.
    Refused(String),
    Io(io::Error),
}

impl Failure {
    pub(crate) fn into_error(self, step: String) -> Error {
        match self {
            Failure::Refused(text) => Error::new(Recovery::Reconfigure, step, text),
            Failure::Io(err) => Error::io(step, &err),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(err: io::Error) -> Self {
        Failure::Io(err)
    }
}

impl From<russh::Error> for Failure {
    fn from(err: russh::Error) -> Self {
        match err {
            russh::Error::IO(err) => Failure::Io(err),
            russh::Error::NoCommonAlgo { kind, ours, theirs } => {
                Failure::Refused(algorithms::nothing_in_common(&kind, &ours, &theirs))
            }
            russh::Error::NoAuthMethod => Failure::Refused("the server takes no way to log in".into()),
            russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => {
                Failure::Io(io::Error::new(io::ErrorKind::ConnectionReset, "the server hung up"))
            }
            err => Failure::Io(io::Error::other(err)),
        }
    }
}

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
    options: &ConnectOptions,
    interrupt: &Interrupt,
    ration: &Ration,
) -> Result<(Box<dyn Transport + Send>, Session), Failure> {
    let open = |session: Session| {
        let transport = channel::open(&session, &url.path, interrupt, ration)?;
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
    open(Session::start(url, options, interrupt)?)
}
