//! Texts that are never printed, and HTTP logins made of them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A text that `Debug` does not show. It has no `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, to be sent to a server. Do not print or log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How to log in to a server over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// A user name and a password (RFC 7617).
    Basic {
        /// The name of the user.
        user: String,
        /// A password or token.
        password: Secret,
    },
    /// A bearer token (RFC 6750).
    Bearer(Secret),
}

impl Auth {
    /// A user name and a password or token.
    pub fn basic(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Auth::Basic { user: user.into(), password: password.into() }
    }

    /// The value of the header `Authorization`.
    #[must_use]
    pub fn header(&self) -> Secret {
        match self {
            Auth::Basic { user, password } => {
                format!("Basic {}", BASE64.encode(format!("{user}:{}", password.expose()))).into()
            }
            Auth::Bearer(token) => format!("Bearer {}", token.expose()).into(),
        }
    }

    /// All texts that errors must not quote: the secret itself, and its form in the header.
    pub(crate) fn secrets(&self) -> [String; 2] {
        let (Auth::Basic { password: secret, .. } | Auth::Bearer(secret)) = self;
        let header = self.header();
        let sent = header.expose().split_once(' ').map_or("", |(_, sent)| sent);
        [secret.expose().to_owned(), sent.to_owned()]
    }
}
