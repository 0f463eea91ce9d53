//! What is kept between requests, for all that have a clone of it.

#[cfg(feature = "http")]
use super::http_pool::HttpPool;
use super::ssh::Sessions;

/// Kept HTTP connections and SSH sessions. Clones share them: two repositories on one server then need one connection.
///
/// Logins over HTTP are not part of it; each request brings its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    #[cfg(feature = "http")]
    pub(crate) http: HttpPool,
    pub(crate) sessions: Sessions,
}
