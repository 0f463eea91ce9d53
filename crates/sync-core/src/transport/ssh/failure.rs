//! Failures of sessions and channels.

use std::io;

use super::algorithms;
use crate::error::{Error, ErrorKind};

/// Why there is no session or channel.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A retry does not help: a key, a file or an account must be changed.
    Refused(String),
    /// The server opens no channel, or none besides those that there are.
    NoChannel(io::Error),
    Io(io::Error),
}

impl Failure {
    pub(crate) fn into_error(self, step: String) -> Error {
        match self {
            Failure::Refused(text) => Error::new(ErrorKind::Denied, step, text),
            Failure::NoChannel(err) | Failure::Io(err) => Error::io(step, &err).of_server(),
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
            russh::Error::NoAuthMethod => Failure::Refused("the server offers no way to log in".into()),
            russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => {
                Failure::Io(io::Error::new(io::ErrorKind::ConnectionReset, "the server hung up"))
            }
            err @ russh::Error::ChannelOpenFailure(_) => Failure::NoChannel(io::Error::other(err)),
            err => Failure::Io(io::Error::other(err)),
        }
    }
}
