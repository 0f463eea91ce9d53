//! Something to ask for a login.

use std::any::Any;
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
pub trait TokenSource: Any + Debug + Send + Sync {
    /// Ask for one.
    ///
    /// # Errors
    ///
    /// If there is none, in words that give no secret away.
    fn fetch(&self, http: &Http) -> Result<Token>;

    /// Whether the tokens of another source are as good: it has the same parameters. Without this, each repository asks
    /// for its own.
    fn is_same(&self, other: &dyn TokenSource) -> bool {
        let _ = other;
        false
    }
}

/// For [`TokenSource::is_same`].
pub(super) fn are_equal<T: PartialEq + 'static>(one: &T, other: &dyn TokenSource) -> bool {
    (other as &dyn Any).downcast_ref() == Some(one)
}

/// For [`SourceKind::read`].
pub(super) fn shared(source: Option<impl TokenSource + 'static>) -> Option<Arc<dyn TokenSource>> {
    source.map(|source| Arc::new(source) as Arc<dyn TokenSource>)
}
