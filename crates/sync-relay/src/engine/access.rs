//! How an engine reaches its server, and who is told of news.

use std::fmt;
use std::io;
use std::sync::Arc;

use sync_core::{ConnectOptions, Secret};

/// A login at a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// None: the server trusts all, or a client certificate.
    #[default]
    None,
    /// A name and a password.
    Password {
        /// The name of the user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token: of NATS, or a bearer token for HTTP.
    Token(Secret),
    /// Keys of S3.
    Keys(Keys),
}

/// Credentials of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: Secret,
    /// The token of a session, with temporary keys.
    pub session_token: Option<Secret>,
}

/// Gives the login. It is asked at each connection to NATS and before each request over HTTP, so that what changes on
/// disk counts.
pub type LoginProvider = Arc<dyn Fn() -> io::Result<Login> + Send + Sync>;

/// Is called when there are news, and when there may be: after a connection was lost and is back.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How an engine reaches its server, and who is told of news.
#[derive(Clone)]
pub struct Access {
    pub(super) connect: Arc<ConnectOptions>,
    pub(super) login: LoginProvider,
    pub(super) wake: Wake,
}

impl Access {
    /// With these options for TLS and proxies.
    #[must_use]
    pub fn new(connect: ConnectOptions, login: LoginProvider, wake: Wake) -> Access {
        Access { connect: connect.into(), login, wake }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("connect", &self.connect).finish_non_exhaustive()
    }
}
