//! The login at a relay, from files that may change.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sync_core::Secret;
use sync_relay::engine::{Keys, Login, LoginProvider};

use crate::login::first_line;
use crate::options::{RELAY_PASSWORD_FILE, RELAY_TOKEN_FILE, RELAY_URL, RELAY_USERNAME};
use crate::reader::OptionReader;

/// Where the login is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RelayLogin {
    username: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    is_s3: bool,
    /// From the environment, for s3.
    keys: Option<Keys>,
}

impl RelayLogin {
    pub(super) fn read(r: &mut OptionReader) -> RelayLogin {
        let username = r.find(&RELAY_USERNAME);
        let password_file = r.file_to_send(&RELAY_PASSWORD_FILE);
        let token_file = r.file_to_send(&RELAY_TOKEN_FILE);
        let is_s3 = r.find(&RELAY_URL).is_some_and(|url| url.starts_with("s3:"));
        match (&username, &password_file, &token_file) {
            (Some(_), None, _) => r.error(&RELAY_USERNAME, "needs --relay-password-file"),
            (None, Some(_), _) => r.error(&RELAY_PASSWORD_FILE, "needs --relay-username"),
            (Some(_), Some(_), Some(_)) if !is_s3 => {
                r.error(&RELAY_TOKEN_FILE, "cannot be combined with --relay-username");
            }
            (None, None, Some(_)) if is_s3 => r.error(&RELAY_TOKEN_FILE, "needs --relay-username"),
            _ => {}
        }
        let keys = if is_s3 && username.is_none() { keys(r) } else { None };
        RelayLogin { username, password_file, token_file, is_s3, keys }
    }

    /// Reads the files each time.
    pub(super) fn provider(&self) -> LoginProvider {
        let login = self.clone();
        Arc::new(move || login.now())
    }

    fn now(&self) -> io::Result<Login> {
        if let Some(keys) = &self.keys {
            return Ok(Login::Keys(keys.clone()));
        }
        let token = self.token_file.as_ref().map(|path| first_line(path)).transpose()?;
        let (Some(username), Some(file)) = (&self.username, &self.password_file) else {
            return Ok(token.map_or(Login::None, Login::Token));
        };
        let (username, password) = (username.clone(), first_line(file)?);
        Ok(match self.is_s3 {
            true => Login::Keys(Keys { access_key: username, secret_key: password, session_token: token }),
            false => Login::Password { username, password },
        })
    }
}

/// The variables that tools of AWS read.
fn keys(r: &OptionReader) -> Option<Keys> {
    Some(Keys {
        access_key: r.variable("AWS_ACCESS_KEY_ID")?,
        secret_key: r.variable("AWS_SECRET_ACCESS_KEY")?.into(),
        session_token: r.variable("AWS_SESSION_TOKEN").map(Secret::from),
    })
}
