//! An answer in HTTP other than success.

use std::fmt;
use std::time::Duration;

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct HttpStatus {
    pub(crate) code: u16,
    /// How long the server wants to be left alone (RFC 9110, 10.2.3).
    pub(crate) retry_after: Option<Duration>,
    pub(super) text: String,
}

impl fmt::Display for HttpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HttpStatus {}
