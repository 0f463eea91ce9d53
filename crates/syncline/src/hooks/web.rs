//! A request to a server of the user's.

use std::path::PathBuf;
use std::time::Duration;

use ring::hmac;
use serde_json::json;
use sync_core::{ConnectOptions, HttpRequest, Interrupt, LARGEST_FILE, Source, read_bounded_text};
use tokio::task::spawn_blocking;

use super::{Delivery, Event, Hook};
use crate::hex::hex;
use crate::options::{
    WEBHOOK_BACKOFF, WEBHOOK_JSON, WEBHOOK_METHOD, WEBHOOK_SECRET_FILE, WEBHOOK_SUCCESS_STATUS,
    WEBHOOK_TIMEOUT, WEBHOOK_URL,
};
use crate::reader::OptionReader;
use crate::status::shown_reference;

/// A request to make.
#[derive(Clone, Debug)]
pub(super) struct WebHook {
    url: String,
    method: String,
    /// Send a JSON body.
    json: bool,
    /// The key to sign the body with.
    secret_file: Option<PathBuf>,
    /// `None`: any.
    success_status: Option<u16>,
    timeout: Duration,
    backoff: Duration,
    connect: ConnectOptions,
    source: Source,
}

/// The webhook, if there is one.
pub(super) fn webhook(
    r: &mut OptionReader,
    connect: &ConnectOptions,
    source: Option<&Source>,
) -> Option<WebHook> {
    if !r.is_set(&WEBHOOK_URL) {
        return None;
    }
    let url = r.find(&WEBHOOK_URL);
    let status = r.get(&WEBHOOK_SUCCESS_STATUS);
    let (timeout, backoff) = (r.get(&WEBHOOK_TIMEOUT), r.get(&WEBHOOK_BACKOFF));
    let (method, json) = (r.get(&WEBHOOK_METHOD), r.get(&WEBHOOK_JSON));
    let secret_file = r.find(&WEBHOOK_SECRET_FILE);
    let success_status = (status != 0).then_some(status);
    let (connect, source) = (connect.clone(), source?.clone());
    Some(WebHook { url: url?, method, json, secret_file, success_status, timeout, backoff, connect, source })
}

impl Hook for WebHook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn backoff(&self) -> Duration {
        self.backoff
    }

    fn deliver<'a>(&'a self, event: &'a Event) -> Delivery<'a> {
        Box::pin(self.send(event))
    }
}

impl WebHook {
    /// Make the request, with the header `Gitsync-Hash`, and check the status.
    async fn send(&self, event: &Event) -> Result<(), String> {
        let (hook, event) = (self.clone(), event.clone());
        let answered = spawn_blocking(move || {
            let request = hook.request(&event)?;
            request.send(&hook.connect, &Interrupt::new()).map_err(|err| err.to_string())
        });
        let (status, _) = answered.await.map_err(|err| err.to_string())??;
        match self.success_status {
            Some(wanted) if wanted != status => Err(format!("answered HTTP {status}, expected {wanted}")),
            _ => Ok(()),
        }
    }

    fn request(&self, event: &Event) -> Result<HttpRequest, String> {
        let hash = event.commit().map(|commit| commit.to_string()).unwrap_or_default();
        let mut headers = vec![("Gitsync-Hash".to_owned(), hash.clone())];
        let mut body = Vec::new();
        if self.json {
            let (named, repo) = (self.source.reference.to_string(), self.source.url.to_string());
            let reference = shown_reference(&named, event.reference.as_deref());
            body = json!({ "hash": hash, "ref": reference, "repo": repo }).to_string().into_bytes();
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        if let Some(path) = &self.secret_file {
            let key = read_bounded_text(path, LARGEST_FILE).map_err(|err| err.to_string())?;
            headers.push(("X-Hub-Signature-256".into(), signature(key.trim_end().as_bytes(), &body)));
        }
        let mut request = HttpRequest::new(self.method.as_str(), self.url.as_str(), self.timeout);
        request.headers = headers;
        request.body = body;
        request.follow_redirects = true;
        Ok(request)
    }
}

/// The form that GitHub made common, which many servers can check already.
fn signature(key: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), body);
    format!("sha256={}", hex(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::reader::tests::read;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn a_status_may_be_any() {
        let source = config(&[], &[]).unwrap().source;
        let connect = ConnectOptions::default();
        let url = "--webhook-url=http://h/x?y=z";
        for (status, expected) in [("-1", None), ("0", None), ("204", Some(204))] {
            let argv = [url, "--webhook-success-status", status];
            let hook = read(&argv, &[], |r| webhook(r, &connect, Some(&source))).unwrap().unwrap();
            assert_eq!(hook.success_status, expected);
        }
        for argv in [&[url, "--webhook-success-status=-2"][..], &["--webhook-url=ftp://h/x"]] {
            assert_eq!(read(argv, &[], |r| webhook(r, &connect, Some(&source))).unwrap_err().len(), 1);
        }
        assert!(read(&["--webhook-timeout=1ms"], &[], |r| webhook(r, &connect, None)).unwrap().is_none());
    }
}
