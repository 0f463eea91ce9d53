//! What to log in with over HTTP. For every sync files are read again and URLs are asked again; tokens are kept until
//! shortly before they expire or until a server refuses them.

mod askpass;
mod config;
pub mod cookies;
mod credential;
mod github;
mod http;
pub mod netrc;
mod oauth;
mod secret_files;
mod source;
mod sources;
mod token;
mod tokens;

use std::sync::PoisonError;

use sync_core::{Auth, Cookie, CredentialProvider, Credentials, Progress, Result, Scope, Stage, UrlScope};
use tracing::warn;

use crate::status::{Outcome, Status};

pub use config::{AuthMethod, Cookies, LoginConfig, Netrc};
pub(crate) use credential::has_given_secret;
pub use credential::{Credential, SecretSource, StaticCredential};
pub use http::Http;
#[cfg(feature = "relay")]
pub(crate) use secret_files::first_line;
pub use source::{SourceKind, TokenSource};
pub use sources::SOURCES;
pub use token::Token;
pub use tokens::Tokens;

use tokens::Kept;

/// All sources of logins and what they answered.
#[derive(Debug)]
pub struct Logins {
    login: LoginConfig,
    /// Of the repository, where it is reached over HTTP.
    server: Option<UrlScope>,
    http: Http,
    status: Status,
    progress: Progress,
    /// What the files contained last.
    read: Credentials,
    /// The one in force, if there is a token source. Other repositories may use it, too.
    token: Kept,
    /// Whether the warning about an ignored part of the `.netrc` was given.
    has_warned: bool,
    /// Whether the warning about the missing file of Git's setting was given.
    lacks_cookies: bool,
}

impl Logins {
    /// Nothing is asked for yet, but as in git-sync the cookie file must exist. `server` is the repository's, if it is
    /// reached over HTTP.
    pub fn new(
        login: &LoginConfig,
        server: Option<UrlScope>,
        http: Http,
        tokens: &Tokens,
        (status, progress): (&Status, &Progress),
    ) -> Result<Logins> {
        if let Some(Cookies::Given(path)) = &login.cookies {
            cookies::read(path)?;
        }
        let token = match &login.own {
            Some(AuthMethod::Token(_, source)) => tokens.of(source),
            _ => Kept::default(),
        };
        Ok(Logins {
            login: login.clone(),
            server,
            http,
            status: status.clone(),
            progress: progress.clone(),
            read: Credentials::default(),
            token,
            has_warned: false,
            lacks_cookies: false,
        })
    }

    /// A login for the repository's server.
    fn own(&self, auth: Auth) -> Option<sync_core::Login> {
        Some(sync_core::Login { scope: Scope::Beginning(self.server.clone()?), auth })
    }

    fn asked(&mut self) -> Result<Option<Auth>> {
        let Some(AuthMethod::Token(kind, source)) = &self.login.own else { return Ok(None) };
        // Others that need the same token wait for it.
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if !token.as_mut().is_some_and(Token::keep) {
            self.progress.enter(Stage::Connecting);
            let fetched = source.fetch(&self.http);
            let outcome = if fetched.is_ok() { Outcome::Success } else { Outcome::Error };
            self.status.token_fetched(kind.metric.0, outcome);
            *token = Some(fetched?);
        }
        Ok(token.as_ref().map(|token| token.auth.clone()))
    }

    /// What the files contain.
    fn read(&mut self) -> Result<Credentials> {
        // Among equals the last one counts here, but the first one in a `.netrc`.
        let mut logins = self.netrc()?;
        logins.reverse();
        if let Some(AuthMethod::Static(credential)) = &self.login.own {
            logins.extend(self.own(secret_files::auth(credential)?));
        }
        for credential in &self.login.credentials {
            let scope = Scope::Beginning(credential.url.clone());
            logins.push(sync_core::Login { scope, auth: secret_files::auth(&credential.login)? });
        }
        let mut credentials = Credentials::default();
        credentials.logins = logins;
        credentials.cookies = self.cookies()?;
        Ok(credentials)
    }

    fn cookies(&mut self) -> Result<Vec<Cookie>> {
        match &self.login.cookies {
            None => Ok(Vec::new()),
            Some(Cookies::Configured(path)) if !path.exists() => {
                if !std::mem::replace(&mut self.lacks_cookies, true) {
                    warn!(path = %path.display(), "the file that http.cookieFile names does not exist");
                }
                Ok(Vec::new())
            }
            Some(Cookies::Given(path) | Cookies::Configured(path)) => cookies::read(path),
        }
    }

    fn netrc(&mut self) -> Result<Vec<sync_core::Login>> {
        let (path, text) = match &self.login.netrc {
            None => return Ok(Vec::new()),
            Some(Netrc::Given(path)) => (path, secret_files::text("the logins (--netrc-file)", path)?),
            // No option names it; in another user's home it may be unreadable.
            Some(Netrc::Usual(path)) => {
                (path, sync_core::read_bounded_text(path, sync_core::LARGEST_FILE).unwrap_or_default())
            }
        };
        let found = netrc::parse(&text).map_err(|error| secret_files::error("the logins", path, error))?;
        if found.has_default && !std::mem::replace(&mut self.has_warned, true) {
            let path = path.display();
            warn!(%path, "the login for all other hosts (default) is ignored: a login is sent to its own host only");
        }
        Ok(found.logins)
    }
}

impl CredentialProvider for Logins {
    fn credentials(&mut self) -> Result<Credentials> {
        self.read = self.read()?;
        let mut current = self.read.clone();
        if let Some(auth) = self.asked()? {
            let own = self.own(auth);
            match &self.login.own {
                // The last one at the same distance counts.
                Some(AuthMethod::Token(kind, _)) if kind.wins => current.logins.extend(own),
                _ => _ = current.logins.splice(..0, own),
            }
        }
        Ok(current)
    }

    /// A token that was just fetched would only come again.
    fn renew(&mut self) -> bool {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let was_kept = token.take().is_some_and(|token| token.is_kept);
        drop(token);
        was_kept || self.read().is_ok_and(|read| read != self.read)
    }
}
