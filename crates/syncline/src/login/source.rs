//! Token sources: what to ask for a login.
//!
//! To add one, write a file with a type that implements [`TokenSource`] and a [`SourceKind`] for it, and add that to
//! [`SOURCES`].

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{ConnectOptions, HttpRequest, Interrupt, Result};

use super::token::Token;
use super::{askpass, github, oauth};
use crate::options::Row;
use crate::reader::OptionReader;

/// All kinds of token sources.
pub static SOURCES: [SourceKind; 3] = [askpass::KIND, github::KIND, oauth::KIND];

/// A kind of token source: how it is configured, counted and ranked.
#[derive(Debug)]
pub struct SourceKind {
    /// The option that errors name.
    pub option: &'static Row,
    /// The metric that counts the requests, and its help.
    pub metric: (&'static str, &'static str),
    /// Whether its login wins over all others for the same server and the one in the URL, as in git-sync.
    pub wins: bool,
    /// The source, if the options ask for one.
    pub read: fn(&mut OptionReader) -> Option<Arc<dyn TokenSource>>,
}

/// Something that hands out logins.
pub trait TokenSource: Debug + Send + Sync {
    /// Ask for one.
    ///
    /// # Errors
    ///
    /// If there is none, in words that give no secret away.
    fn fetch(&self, http: &Http) -> Result<Token>;
}

/// For [`SourceKind::read`].
pub(super) fn shared(source: Option<impl TokenSource + 'static>) -> Option<Arc<dyn TokenSource>> {
    source.map(|source| Arc::new(source) as Arc<dyn TokenSource>)
}

/// The longest that a token endpoint may take; a sync that may take less is not held up by one.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// How token sources are reached.
#[derive(Debug)]
pub struct Http {
    connect: ConnectOptions,
    pub(super) timeout: Duration,
    interrupt: Interrupt,
}

impl Http {
    pub fn new(connect: &ConnectOptions, sync_timeout: Duration, interrupt: &Interrupt) -> Http {
        let timeout = sync_timeout.min(LONGEST_REQUEST);
        Http { connect: connect.clone(), timeout, interrupt: interrupt.clone() }
    }

    pub(super) fn send(&self, request: &HttpRequest) -> io::Result<(u16, Vec<u8>)> {
        request.send(&self.connect, &self.interrupt)
    }
}
