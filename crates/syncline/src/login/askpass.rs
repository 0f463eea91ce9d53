//! git-sync's askpass URL.

use std::time::Duration;

use sync_core::{Auth, Error, HttpRequest, Recovery, Result};

use super::Http;

/// Ask for lines `username=…` and `password=…`; the last of each counts.
pub(super) fn ask(url: &str, http: &Http) -> Result<Auth> {
    let step = "ask for the password (--askpass-url)";
    let request = HttpRequest {
        method: "GET".into(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        follow_redirects: false,
        timeout: Duration::from_secs(1),
    };
    let (status, body) = http.send(&request).map_err(|err| Error::io(step, &err))?;
    if status != 200 {
        return Err(Error::new(Recovery::Retry, step, format!("the answer is HTTP {status}")));
    }
    let body = String::from_utf8_lossy(&body);
    let last = |key: &str| {
        let values =
            body.split('\n').filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
        values.map(|(_, value)| value.to_owned()).next_back().unwrap_or_default()
    };
    Ok(Auth::basic(last("username"), last("password")))
}
