//! Secrets in files, and errors that name the file but not its content.

use std::fmt::Display;
use std::io;
use std::path::Path;

use sync_core::{Auth, Error, ErrorKind, LARGEST_FILE, Result, Secret, read_bounded_text};

use super::credential::{SecretSource, StaticCredential};

/// The login, read from its file now.
pub(super) fn auth(credential: &StaticCredential) -> Result<Auth> {
    match credential {
        StaticCredential::Password(user, SecretSource::Given(password)) => {
            Ok(Auth::basic(user, password.clone()))
        }
        StaticCredential::Password(user, SecretSource::File(path)) => {
            let password = first_line(path).map_err(|err| Error::io("read the password file", &err))?;
            Ok(Auth::basic(user, password))
        }
        StaticCredential::Bearer(SecretSource::Given(token)) => Ok(Auth::Bearer(token.clone())),
        StaticCredential::Bearer(SecretSource::File(path)) => {
            Ok(Auth::Bearer(token("the bearer token", path)?))
        }
    }
}

/// All of the first line, as in git-sync: a password may begin or end with a space.
pub(crate) fn first_line(path: &Path) -> io::Result<Secret> {
    let text = read_bounded_text(path, LARGEST_FILE)?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// The first line without the space around it, which no token has.
pub(super) fn token(what: &str, path: &Path) -> Result<Secret> {
    let text = text(what, path)?;
    match text.trim_start().lines().next().map(str::trim_end) {
        Some(token) => Ok(token.into()),
        None => Err(error(what, path, "the file is empty")),
    }
}

pub(super) fn text(what: &str, path: &Path) -> Result<String> {
    read_bounded_text(path, LARGEST_FILE).map_err(|err| Error::io(format!("read {what}"), &err))
}

/// The file exists, but its content is wrong.
pub(super) fn error(what: &str, path: &Path, error: impl Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("read {what}"), format!("{}: {error}", path.display()))
}
