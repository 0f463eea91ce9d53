//! How token sources are reached.

use std::io;
use std::time::Duration;

use sync_core::{ConnectOptions, HttpRequest, Interrupt};

/// The longest that a token endpoint may take; a sync that may take less is not held up by one.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Sends their requests.
#[derive(Debug)]
pub struct Http {
    connect: ConnectOptions,
    pub(super) timeout: Duration,
    interrupt: Interrupt,
}

impl Http {
    /// Requests time out like a sync, but after 30 seconds at most.
    pub fn new(connect: &ConnectOptions, sync_timeout: Duration, interrupt: &Interrupt) -> Http {
        let timeout = sync_timeout.min(LONGEST_REQUEST);
        Http { connect: connect.clone(), timeout, interrupt: interrupt.clone() }
    }

    pub(super) fn send(&self, request: &HttpRequest) -> io::Result<(u16, Vec<u8>)> {
        request.send(&self.connect, &self.interrupt)
    }
}
