//! Texts that are never printed, and what is shown to a server to log in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for whoever has to send it.
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

/// What shows who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// RFC 7617.
    Basic {
        /// The user's name.
        user: String,
        /// A password or token.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
}

impl Auth {
    /// A user name and password.
    pub fn basic(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Auth::Basic { user: user.into(), password: password.into() }
    }

    /// The value of the header `Authorization`.
    pub fn header(&self) -> Secret {
        match self {
            Auth::Basic { user, password } => {
                format!("Basic {}", BASE64.encode(format!("{user}:{}", password.expose()))).into()
            }
            Auth::Bearer(token) => format!("Bearer {}", token.expose()).into(),
        }
    }

    /// Everything that must not be repeated.
    pub(crate) fn secrets(&self) -> [String; 2] {
        let (Auth::Basic { password: secret, .. } | Auth::Bearer(secret)) = self;
        let header = self.header();
        let sent = header.expose().split_once(' ').map_or("", |(_, sent)| sent);
        [secret.expose().to_owned(), sent.to_owned()]
    }
}
