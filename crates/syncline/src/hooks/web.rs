//! A request to a server of the user's.

use ring::hmac;
use serde_json::json;
use sync_core::{ConnectOptions, HttpRequest, Interrupt, LARGEST_FILE, Source, read_bounded_text};
use tokio::task::spawn_blocking;

use super::Event;
use crate::config::WebHook;

/// What every request of the hook needs.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) hook: WebHook,
    pub(super) connect: ConnectOptions,
    pub(super) source: Source,
}

impl Sender {
    /// Make the request, with the header `Gitsync-Hash`, and judge its status.
    pub(super) async fn send(&self, event: &Event) -> Result<(), String> {
        let (sender, event) = (self.clone(), event.clone());
        let answered = spawn_blocking(move || {
            let request = sender.request(&event)?;
            request.send(&sender.connect, &Interrupt::new()).map_err(|err| err.to_string())
        });
        let (status, _) = answered.await.map_err(|err| err.to_string())??;
        match self.hook.success_status {
            Some(wanted) if wanted != status => Err(format!("answered HTTP {status} in place of {wanted}")),
            _ => Ok(()),
        }
    }

    fn request(&self, event: &Event) -> Result<HttpRequest, String> {
        let hash = event.commit.to_string();
        let mut headers = vec![("Gitsync-Hash".to_owned(), hash.clone())];
        let mut body = Vec::new();
        if self.hook.json {
            let (reference, repo) = (self.source.reference.to_string(), self.source.url.to_string());
            body = json!({ "hash": hash, "ref": reference, "repo": repo }).to_string().into_bytes();
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        if let Some(path) = &self.hook.secret_file {
            let key = read_bounded_text(path, LARGEST_FILE).map_err(|err| err.to_string())?;
            headers.push(("X-Hub-Signature-256".into(), signature(key.trim_end().as_bytes(), &body)));
        }
        let WebHook { method, url, timeout, .. } = self.hook.clone();
        Ok(HttpRequest { method, url, headers, body, follow_redirects: true, timeout })
    }
}

/// The form that GitHub made common, which many servers can check already.
fn signature(key: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), body);
    tag.as_ref().iter().fold(String::from("sha256="), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), expected);
    }
}
