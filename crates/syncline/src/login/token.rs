//! Tokens: how long they are valid, and the requests for them.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use sync_core::{Auth, Error, ErrorKind, HttpRequest, Result, Secret};

use super::http::Http;
use crate::clock::now;

/// How long before it expires a token is no longer used, as in git-sync.
const MARGIN: Duration = Duration::from_secs(30);

/// How long to use a token without an expiry.
pub(super) const USUAL_LIFE: Duration = Duration::from_secs(300);

/// A login that is valid for some time.
#[derive(Debug)]
pub struct Token {
    pub(super) auth: Auth,
    until: Option<SystemTime>,
    /// Whether it was fetched for an earlier sync.
    pub(super) is_kept: bool,
}

impl Token {
    /// Valid until `end`.
    pub fn new(auth: Auth, end: SystemTime) -> Token {
        Token { auth, until: end.checked_sub(MARGIN), is_kept: false }
    }

    /// Valid for one sync.
    pub fn once(auth: Auth) -> Token {
        Token { auth, until: None, is_kept: false }
    }

    /// Use it again, if it is still valid.
    pub(super) fn keep(&mut self) -> bool {
        self.is_kept = self.until.is_some_and(|until| now() < until);
        self.is_kept
    }
}

/// Request a token: the value of `key` in an answer with the status `wanted`, and the whole answer. Errors quote the
/// server, but none of `secrets`.
pub(super) fn ask(
    request: &HttpRequest,
    (wanted, key): (u16, &str),
    http: &Http,
    secrets: &[Secret],
) -> Result<(Secret, Value)> {
    let step = format!("get a token from {}", request.url.split('?').next().unwrap_or_default());
    let (status, body) = http.send(request).map_err(|err| Error::io(&step, &err))?;
    let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    if status != wanted {
        let said = secrets.iter().filter(|secret| !secret.expose().is_empty());
        let said = said.fold(reasons(&answer), |text, secret| text.replace(secret.expose(), "…"));
        return Err(Error::new(ErrorKind::Server, step, format!("the answer is HTTP {status}{said}")));
    }
    match answer[key].as_str() {
        Some(token) if !token.is_empty() => Ok((token.into(), answer)),
        _ => {
            Err(Error::new(ErrorKind::Server, step, format!("the answer is not a JSON object with {key:?}")))
        }
    }
}

/// The reasons, in the fields of RFC 6749 (5.2) and of GitHub.
fn reasons(answer: &Value) -> String {
    let reasons = ["error", "error_description", "message"].map(|key| answer[key].as_str());
    reasons.into_iter().flatten().fold(String::new(), |text, reason| format!("{text}: {reason}"))
}
