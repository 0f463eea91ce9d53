//! HTTP answers without success.

use std::fmt;
use std::time::Duration;

/// An HTTP answer whose status is not a success.
#[derive(Debug)]
pub(crate) struct HttpStatus {
    pub(crate) code: u16,
    /// How long the server asks to wait before the next request (RFC 9110, 10.2.3).
    pub(crate) retry_after: Option<Duration>,
    pub(super) text: String,
}

impl fmt::Display for HttpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HttpStatus {}
