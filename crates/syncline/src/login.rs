//! Passwords that come from elsewhere, anew for every sync.

use std::path::Path;
use std::time::Duration;

use sync_core::{Auth, ConnectOptions, Error, HttpRequest, Recovery, Result, Secret};

/// The first line of a file; what follows is not the password's.
pub fn first_line(path: &Path) -> Result<Secret> {
    let text = fs_err::read_to_string(path).map_err(|err| Error::io("read the password file", &err))?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// Ask git-sync's askpass URL: lines `username=…` and `password=…`; the last of each counts.
pub fn ask(url: &str, connect: &ConnectOptions) -> Result<Auth> {
    let step = "ask for the password (--askpass-url)";
    let request = HttpRequest {
        method: "GET".into(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        follow_redirects: false,
        timeout: Duration::from_secs(1),
    };
    let (status, body) = request.send(connect).map_err(|err| Error::io(step, &err))?;
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
