//! Why an attempt to download failed, and whether another one may help.

use std::io;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::transport::status::HttpStatus;

/// The longest pause that a server may ask for within a sync.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Why an attempt failed.
pub(super) enum Fault {
    /// The server answered with an error.
    Status(HttpStatus),
    /// The connection, or what came over it.
    Io(io::Error),
    /// The content is not the one that is wanted.
    Content(String),
    /// Another thread failed.
    Over,
}

impl From<io::Error> for Fault {
    fn from(err: io::Error) -> Self {
        Fault::Io(err)
    }
}

impl Fault {
    pub(super) fn into_error(self, step: String) -> Error {
        match self {
            Fault::Io(err) => Error::io(step, &err).of_server(),
            Fault::Content(text) => Error::new(ErrorKind::Server, step, text),
            Fault::Over => Error::new(ErrorKind::Other, step, "another download failed"),
            Fault::Status(status) => {
                let kind = match status.code {
                    401 => ErrorKind::Login,
                    403 => ErrorKind::Denied,
                    404 | 410 => ErrorKind::NotFound,
                    _ => ErrorKind::Server,
                };
                Error::new(kind, step, &status).with_retry_after(status.retry_after)
            }
        }
    }

    /// How long to wait before the next attempt; `None` if it would not help.
    pub(super) fn pause(&self, usual: Duration) -> Option<Duration> {
        match self {
            Fault::Status(status) => match (status.code, status.retry_after) {
                (429 | 503, Some(pause)) => Some(pause).filter(|pause| *pause <= MAX_PAUSE),
                (500 | 502 | 503 | 504, None) => Some(usual),
                _ => None,
            },
            Fault::Io(err) => is_lost_connection(err).then_some(usual),
            Fault::Content(_) | Fault::Over => None,
        }
    }
}

/// Whether another attempt may have a better connection.
fn is_lost_connection(err: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        err.kind(),
        K::BrokenPipe
            | K::ConnectionAborted
            | K::ConnectionRefused
            | K::ConnectionReset
            | K::HostUnreachable
            | K::NetworkDown
            | K::NetworkUnreachable
            | K::NotConnected
            | K::UnexpectedEof
    )
}
