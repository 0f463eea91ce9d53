//! git-sync's askpass URL.

use std::time::Duration;

use sync_core::{Auth, Error, ErrorKind, HttpRequest, Result};

use super::http::Http;
use super::source::{SourceKind, TokenSource, shared};
use super::token::Token;
use crate::options::ASKPASS_URL;

pub(super) const KIND: SourceKind = SourceKind {
    option: ASKPASS_URL.row(),
    metric: ("git_sync_askpass_calls", "How many git askpass calls completed, partitioned by state"),
    wins: true,
    read: |r| shared(r.find(&ASKPASS_URL).map(Askpass)),
};

/// A URL to ask for a login.
#[derive(Debug)]
struct Askpass(String);

impl TokenSource for Askpass {
    fn fetch(&self, http: &Http) -> Result<Token> {
        ask(&self.0, http).map(Token::once)
    }
}

/// Ask for lines `username=…` and `password=…`; the last of each counts.
fn ask(url: &str, http: &Http) -> Result<Auth> {
    let step = "ask for the password (--askpass-url)";
    let request = HttpRequest::new("GET", url, Duration::from_secs(1));
    let (status, body) = http.send(&request).map_err(|err| Error::io(step, &err))?;
    if status != 200 {
        return Err(Error::new(ErrorKind::Server, step, format!("the answer is HTTP {status}")));
    }
    let body = String::from_utf8_lossy(&body);
    if body.trim_start().starts_with('<') {
        let text =
            "the answer is a web page in place of lines username=... and password=...; is the URL right?";
        return Err(Error::new(ErrorKind::Server, step, text));
    }
    Ok(parse(&body))
}

/// Lines may end in CRLF: Git removes the CR.
fn parse(body: &str) -> Auth {
    let last = |key: &str| {
        let values =
            body.split('\n').filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
        let value = values.map(|(_, value)| value).next_back().unwrap_or_default();
        value.strip_suffix('\r').unwrap_or(value).to_owned()
    };
    Auth::basic(last("username"), last("password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_line_counts_whatever_its_end() {
        for (body, user, password) in [
            ("username=u\npassword=p=q\n", "u", "p=q"),
            ("username=u\r\npassword=p\r\n", "u", "p"),
            ("username=u\npassword=p\r\r", "u", "p\r"),
            ("password=old\npassword= new \nusername =x", "", " new "),
        ] {
            assert_eq!(parse(body), Auth::basic(user, password), "{body:?}");
        }
    }
}
