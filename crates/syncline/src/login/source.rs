//! Something to ask for a login.

use std::fmt::Debug;
use std::sync::Arc;

use sync_core::Result;

use super::http::Http;
use super::token::Token;
use crate::options::Row;
use crate::reader::OptionReader;

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
