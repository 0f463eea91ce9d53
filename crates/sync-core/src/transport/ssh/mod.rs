//! SSH without an `ssh` program. A session outlives the channels on it: it is kept between polls, alive on a thread
//! of its own, and each exchange with `git-upload-pack` that needs a new channel finds it there.
//!
//! The async runtime that the SSH client wants stays in here: `session` waits for it as a socket waits.

mod channel;
mod keys;
mod known_hosts;
mod login;
mod session;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::Transport;

pub(crate) use session::Session;

use super::ConnectOptions;
use crate::Interrupt;
use crate::error::{Error, Recovery};
use crate::url::SshUrl;

/// How to log in over SSH. All files are read anew for every session.
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
            russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => {
                Failure::Io(io::Error::new(io::ErrorKind::ConnectionReset, "the server ended the session"))
            }
            err => Failure::Io(io::Error::other(err)),
        }
    }
}

/// Run `git-upload-pack` over the session in `kept`, where there is one to that server and it lives, or over a
/// new one, which is kept then.
pub(crate) fn connect(
    kept: &mut Option<Session>,
    url: &SshUrl,
    options: &ConnectOptions,
    interrupt: &Interrupt,
) -> Result<Box<dyn Transport + Send>, Failure> {
    if let Some(session) = kept.take().filter(|session| session.can_serve(url)) {
        match channel::open(&session, &url.path, interrupt) {
            // It was dropped while nobody looked.
            Err(_) if !interrupt.is_triggered() => {}
            opened => {
                *kept = Some(session);
                return opened;
            }
        }
    }
    let session = Session::start(url, options, interrupt)?;
    let transport = channel::open(&session, &url.path, interrupt)?;
    *kept = Some(session);
    Ok(transport)
}
