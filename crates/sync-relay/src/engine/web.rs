//! What files over HTTP and objects of S3 have in common: requests, and errors that say what to do.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use sync_core::{ConnectOptions, HttpBody, HttpCall, HttpClient, HttpReply, Interrupt};

use super::files::digest_of;
use super::{LARGEST_TIP, PackName, Record, Revision, too_large};

/// The most redirects that are followed when something is read.
const REDIRECTS: usize = 5;

/// How much of an error's body is read.
const LONGEST_ERROR: u64 = 4096;

/// Requests to one place, and the last tip that was read there.
pub(super) struct Web {
    client: HttpClient,
    /// The place, as errors name it.
    shown: String,
    is_connected: bool,
    tip: Option<Tip>,
}

struct Tip {
    etag: String,
    record: Record,
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    /// What another server must not see after a redirect.
    pub(super) login: Option<String>,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: HttpBody<'a>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(url: &'a str, login: Option<String>) -> Ask<'a> {
        Ask { method: "GET", url, login, headers: &[], body: HttpBody::None }
    }
}

impl Web {
    pub(super) fn new(connect: &Arc<ConnectOptions>, shown: String) -> Web {
        Web { client: HttpClient::new(connect.clone()), shown, is_connected: false, tip: None }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(super) fn error(&self, kind: ErrorKind, text: &str) -> io::Error {
        io::Error::new(kind, format!("{}: {text}", self.shown))
    }

    pub(super) fn send(&mut self, ask: Ask<'_>, interrupt: &Interrupt) -> io::Result<HttpReply> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let is_read = matches!(ask.method, "GET" | "HEAD");
        let mut headers: Vec<_> = ask.headers.iter().map(owned).collect();
        if is_read {
            headers.push(("Accept-Encoding".into(), "identity".into()));
        }
        let call = HttpCall {
            method: ask.method,
            url: ask.url,
            headers,
            own_headers: ask.login.into_iter().map(|login| ("Authorization".to_owned(), login)).collect(),
            body: ask.body,
            redirects: if is_read { REDIRECTS } else { 0 },
        };
        let sent = self.client.send(call, interrupt);
        self.is_connected = sent.is_ok();
        sent.map_err(|err| match interrupt.check() {
            Err(stopped) => stopped,
            Ok(()) => self.error(ErrorKind::NotConnected, &err.to_string()),
        })
    }

    /// The tip at this place, which is not sent again if it is the one that is known.
    pub(super) fn tip(&mut self, ask: Ask<'_>, interrupt: &Interrupt) -> io::Result<Option<Record>> {
        let etag = self.tip.as_ref().map(|tip| tip.etag.clone());
        let condition = etag.as_deref().map(|etag| ("If-None-Match", etag));
        let reply = self.send(Ask { headers: condition.as_slice(), ..ask }, interrupt)?;
        match (reply.status(), &self.tip) {
            (304, Some(tip)) => Ok(Some(tip.record.clone())),
            (404, _) => {
                self.tip = None;
                Ok(None)
            }
            (200, _) => self.read_tip(reply).map(Some),
            _ => Err(self.failure(reply)),
        }
    }

    fn read_tip(&mut self, reply: HttpReply) -> io::Result<Record> {
        let etag = reply.header("etag").map(ToOwned::to_owned);
        let bytes = self.read(reply, LARGEST_TIP)?;
        let revision = etag.clone().unwrap_or_else(|| digest_of(&bytes));
        let record = Record { revision: Revision(revision), bytes };
        self.tip = etag.map(|etag| Tip { etag, record: record.clone() });
        Ok(record)
    }

    /// A whole body of at most this size.
    pub(super) fn read(&self, reply: HttpReply, most: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut body) = (Vec::new(), reply.into_body());
        body.by_ref().take(most as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > most {
            return Err(too_large(&self.shown));
        }
        io::copy(&mut body, &mut io::sink())?; // the end, so that the connection can be used again
        Ok(bytes)
    }

    /// The content of a pack, as it comes.
    pub(super) fn pack(
        &mut self,
        ask: Ask<'_>,
        name: &PackName,
        interrupt: &Interrupt,
    ) -> io::Result<Box<dyn Read + Send>> {
        let reply = self.send(ask, interrupt)?;
        match reply.status() {
            200 => Ok(Box::new(reply.into_body())),
            404 => Err(self.error(ErrorKind::NotFound, &format!("there is no pack {name}"))),
            _ => Err(self.failure(reply)),
        }
    }

    /// The error for an answer that is no success.
    pub(super) fn failure(&self, reply: HttpReply) -> io::Error {
        let status = reply.status();
        let (kind, hint) = match status {
            401 => (ErrorKind::PermissionDenied, "; the server wants another login"),
            403 => (ErrorKind::PermissionDenied, "; access denied"),
            404 => (ErrorKind::NotFound, "; is the URL right?"),
            507 => (ErrorKind::StorageFull, ""),
            408 | 429 | 500.. => (ErrorKind::NotConnected, ""),
            _ => (ErrorKind::Other, ""),
        };
        let mut body = Vec::new();
        let _ = reply.into_body().take(LONGEST_ERROR).read_to_end(&mut body); // it only explains
        let said = element(&String::from_utf8_lossy(&body), "Code");
        self.error(kind, &format!("answered HTTP {status}{hint}{said}"))
    }
}

/// The text of an element of XML, in parentheses; empty if it is not there or no plain word.
fn element(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let text = xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).unwrap_or_default().0;
    let is_plain = text.len() < 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if text.is_empty() || !is_plain { String::new() } else { format!(" ({text})") }
}
