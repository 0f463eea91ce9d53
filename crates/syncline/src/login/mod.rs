//! What to log in with over HTTP, anew for every sync: files are read again, URLs are asked again, and tokens are
//! kept until shortly before they expire or until a server refuses them.

mod askpass;
pub mod cookies;
mod files;
mod github;
pub mod netrc;
mod oauth;
mod token;

use std::time::Duration;

use sync_core::{
    Auth, ConnectOptions, Cookie, CredentialProvider, Credentials, HttpRequest, Interrupt, Place, Progress,
    Result, Scope, Stage,
};
use tracing::warn;

use crate::config::{Config, Cookies, Issuer, Login, Netrc, Way};
use crate::status::{Outcome, Status};

use token::Token;

/// The longest that a token endpoint may take; a sync that may take less is not held up by one.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// How those are reached who give logins.
#[derive(Debug)]
struct Http {
    connect: ConnectOptions,
    timeout: Duration,
    interrupt: Interrupt,
}

impl Http {
    fn send(&self, request: &HttpRequest) -> std::io::Result<(u16, Vec<u8>)> {
        request.send(&self.connect, &self.interrupt)
    }
}

/// All sources of logins and what they gave.
#[derive(Debug)]
pub struct Logins {
    login: Login,
    /// Of the repository, where it is reached over HTTP.
    server: Option<Place>,
    http: Http,
    status: Status,
    progress: Progress,
    /// What the files said last.
    read: Credentials,
    token: Option<Token>,
    /// Whether it was told that part of the `.netrc` is passed over.
    has_warned: bool,
    /// Whether it was told that there are no cookies where git's setting says.
    lacks_cookies: bool,
}

impl Logins {
    /// Nobody is asked yet, but as in git-sync the cookie file has to be there.
    pub fn new(
        config: &Config,
        status: &Status,
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<Logins> {
        if let Some(Cookies::Given(path)) = &config.login.cookies {
            cookies::read(path)?;
        }
        Ok(Logins {
            login: config.login.clone(),
            server: config.source.url.server(),
            http: Http {
                connect: config.connect.clone(),
                timeout: config.timing.sync_timeout.min(LONGEST_REQUEST),
                interrupt: interrupt.clone(),
            },
            status: status.clone(),
            progress: progress.clone(),
            read: Credentials::default(),
            token: None,
            has_warned: false,
            lacks_cookies: false,
        })
    }

    /// A login for the repository's server.
    fn own(&self, auth: Auth) -> Option<sync_core::Login> {
        Some(sync_core::Login { scope: Scope::Beginning(self.server.clone()?), auth })
    }

    fn asked(&mut self) -> Result<Option<Auth>> {
        let Some(Way::Asked(issuer)) = &self.login.own else { return Ok(None) };
        if !self.token.as_mut().is_some_and(Token::keep) {
            self.progress.enter(Stage::Connecting);
            let (name, given) = ask(issuer, &self.http);
            self.status.asked(name, if given.is_ok() { Outcome::Success } else { Outcome::Error });
            self.token = Some(given?);
        }
        Ok(self.token.as_ref().map(|token| token.auth.clone()))
    }

    /// What the files say.
    fn read(&mut self) -> Result<Credentials> {
        // Of equals the last counts here, but the first in a `.netrc`.
        let mut logins = self.netrc()?;
        logins.reverse();
        if let Some(Way::Proof(proof)) = &self.login.own {
            logins.extend(self.own(files::auth(proof)?));
        }
        for credential in &self.login.credentials {
            let scope = Scope::Beginning(credential.url.clone());
            logins.push(sync_core::Login { scope, auth: files::auth(&credential.proof)? });
        }
        Ok(Credentials { logins, cookies: self.cookies()? })
    }

    fn cookies(&mut self) -> Result<Vec<Cookie>> {
        match &self.login.cookies {
            None => Ok(Vec::new()),
            Some(Cookies::Configured(path)) if !path.exists() => {
                if !std::mem::replace(&mut self.lacks_cookies, true) {
                    warn!(path = %path.display(), "the file that http.cookieFile names is not there");
                }
                Ok(Vec::new())
            }
            Some(Cookies::Given(path) | Cookies::Configured(path)) => cookies::read(path),
        }
    }

    fn netrc(&mut self) -> Result<Vec<sync_core::Login>> {
        let (path, text) = match &self.login.netrc {
            None => return Ok(Vec::new()),
            Some(Netrc::Given(path)) => (path, files::text("the logins (--netrc-file)", path)?),
            // Nobody asked for it; where the home is another user's it cannot even be looked for.
            Some(Netrc::Usual(path)) => {
                (path, sync_core::read_bounded_text(path, sync_core::LARGEST_FILE).unwrap_or_default())
            }
        };
        let found = netrc::parse(&text).map_err(|fault| files::fault("the logins", path, fault))?;
        if found.has_default && !std::mem::replace(&mut self.has_warned, true) {
            let path = path.display();
            warn!(%path, "the login for all other hosts (default) is passed over: a login goes to its host only");
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
                // As in `read`, whatever is as close goes before it.
                Some(Way::Asked(Issuer::OAuth(_))) => _ = current.logins.splice(..0, own),
                // In git-sync these come last, so they count.
                _ => current.logins.extend(own),
            }
        }
        Ok(current)
    }

    /// What was asked for is forgotten. A token that is new would only come again.
    fn renew(&mut self) -> bool {
        let was_kept = self.token.take().is_some_and(|token| token.is_kept);
        was_kept || self.read().is_ok_and(|read| read != self.read)
    }
}

/// Who is asked, as the metrics have it, and the answer.
fn ask(issuer: &Issuer, http: &Http) -> (&'static str, Result<Token>) {
    match issuer {
        Issuer::Askpass(url) => ("askpass", askpass::ask(url, http).map(Token::once)),
        Issuer::GitHub(app) => ("github", github::mint(app, http)),
        Issuer::OAuth(oauth) => ("oauth", oauth::exchange(oauth, http)),
    }
}
