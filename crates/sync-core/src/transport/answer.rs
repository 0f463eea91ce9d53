//! HTTP answers that are errors (another status than success) or not Git's protocol, explained for users.

use std::io::{self, Read};
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, Response};
use ureq::Body;

use super::challenges::offer;
use super::redirect::location;
use super::status::HttpStatus;

/// How many bytes of a page are read to find a message in it.
const MAX_PAGE: u64 = 64 * 1024;

pub(super) fn status_error(url: &str, response: &mut Response<Body>) -> HttpStatus {
    let status = response.status();
    let hint = match status.as_u16() {
        401 => "; the server wants other credentials",
        403 => "; access denied",
        404 => "; is the URL right, and may this user read the repository?",
        407 => "; the proxy wants other credentials",
        _ => "",
    };
    let target = if status.is_redirection() { redirection(response.headers()) } else { String::new() };
    let offered = match status.as_u16() {
        401 => of_header(response.headers(), header::WWW_AUTHENTICATE),
        407 => of_header(response.headers(), header::PROXY_AUTHENTICATE),
        _ => Vec::new(),
    };
    let offered = offer(offered.iter().map(String::as_str));
    // The body often says why. Reading all of it keeps the connection usable.
    let body = page(Vec::new(), response.body_mut().as_reader());
    let message = message(&media_type(response.headers()), &body);
    // nginx's error pages only repeat the status.
    let body = if message == status.to_string() { String::new() } else { in_parentheses(&message) };
    let text = format!("{} answered HTTP {status}{hint}{target}{offered}{body}", without_query(url));
    HttpStatus { code: status.as_u16(), retry_after: retry_after(response.headers()), text }
}

/// Plain words for ureq's errors about invalid answers.
pub(super) fn plain(err: io::Error) -> io::Error {
    let text = match err.get_ref().and_then(|err| err.downcast_ref()) {
        Some(ureq::Error::Protocol(cause)) => format!("the server's answer is not valid HTTP: {cause}"),
        Some(ureq::Error::LargeResponseHeader(size, _)) => {
            format!("the headers of the server's answer have more than {size} bytes")
        }
        Some(ureq::Error::Decompress(form, cause)) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            format!("the server's {form} data ends early")
        }
        Some(ureq::Error::Decompress(form, cause)) => format!("the server's {form} data is damaged: {cause}"),
        Some(ureq::Error::BodyStalled) => "the server's answer stalled".into(),
        _ => return err,
    };
    io::Error::other(text)
}

/// Reads the body of an answer, and explains errors in plain words.
pub(crate) struct Plain<R>(pub(super) R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(plain)
    }
}

/// A hint about a redirect, which is followed for the first request only: a POST to another page gets no answer.
fn redirection(headers: &HeaderMap) -> String {
    match without_query(&location(headers)) {
        location if !location.is_empty() && !location.contains('@') => {
            format!("; the server redirects to {location}, which is followed for the first request only")
        }
        _ => "; the server redirects, which is followed for the first request only".into(),
    }
}

fn of_header(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// The pause that `Retry-After` asks for: seconds, or a date, which is compared with the server's own `Date` since this
/// crate has no clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let wanted = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    date(wanted)?.duration_since(date(text(header::DATE)?)?).ok()
}

/// The part of Git's protocol that an answer should contain.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Advertisement,
    Result,
}

impl Content {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Content::Advertisement => "application/x-git-upload-pack-advertisement",
            Content::Result => "application/x-git-upload-pack-result",
        }
    }

    /// How many bytes it takes to recognize Git's protocol. Waiting for more could mean to wait until the server has
    /// made a pack.
    pub(super) fn prefix_length(self) -> usize {
        match self {
            Content::Advertisement => "0000# service=".len(),
            Content::Result => "0000".len(),
        }
    }

    fn has_prefix(self, begin: &[u8]) -> bool {
        let Some((length, line)) = begin.split_first_chunk::<4>() else { return false };
        let is_line = length.iter().all(u8::is_ascii_hexdigit);
        match self {
            Content::Advertisement => {
                let begins = [&b"# service="[..], b"version ", b"ERR "];
                is_line && begins.iter().any(|begin| line.starts_with(begin))
            }
            Content::Result => is_line,
        }
    }

    /// What is wrong with an answer that begins like this. The content decides: servers and gateways send many media
    /// types.
    pub(super) fn fault(
        self,
        url: &str,
        response: &Response<()>,
        begin: &[u8],
        rest: impl Read,
    ) -> Option<String> {
        let url = without_query(url);
        if begin.is_empty() {
            return Some(format!(
                "{url} answered HTTP {} with nothing in it; is the URL right?",
                response.status()
            ));
        }
        if self.has_prefix(begin) {
            return None;
        }
        let media_type = media_type(response.headers());
        let is_marked_up = begin.trim_ascii_start().starts_with(b"<") || begin.starts_with(b"\xef\xbb\xbf<");
        if media_type == self.media_type() && !is_marked_up {
            return None;
        }
        let page = page(begin.to_vec(), rest);
        let is_web_page =
            is_html(&media_type) || (is_marked_up && page.to_ascii_lowercase().contains("<html"));
        if is_web_page || page.to_ascii_lowercase().contains("<!doctype html") {
            let title = in_parentheses(&title(&page).unwrap_or_default());
            return Some(format!(
                "{url} answered with a web page{title}, not Git; if that is a sign-in page, check the login and the URL"
            ));
        }
        if is_dumb(&page) {
            return Some(format!(
                "{url} answered with git's 'dumb' protocol, which is not supported; the server needs git http-backend"
            ));
        }
        let named = if media_type.is_empty() { "something".into() } else { media_type.clone() };
        let message = in_parentheses(&message(&media_type, &page));
        Some(format!("{url} answered with {named}{message}, not Git; is the URL right?"))
    }
}

/// `text/html; charset=utf-8` without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let value = String::from_utf8_lossy(value);
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_html(media_type: &str) -> bool {
    matches!(media_type, "text/html" | "application/xhtml+xml")
}

/// Whether a page is a list of references of the dumb protocol: lines of `<id> TAB <name>`.
fn is_dumb(page: &str) -> bool {
    let id = page.split('\t').next().unwrap_or_default();
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn page(mut begin: Vec<u8>, rest: impl Read) -> String {
    let _ = rest.take(MAX_PAGE).read_to_end(&mut begin);
    String::from_utf8_lossy(&begin).into_owned()
}

/// The message for people in the body of an answer, or an empty text.
fn message(media_type: &str, body: &str) -> String {
    const MAX_CHARS: usize = 300;
    let message = match media_type {
        "text/plain" | "application/json" | "application/problem+json" => body.trim().to_owned(),
        "application/vnd.git-lfs+json" => {
            let answer: Option<serde_json::Value> = serde_json::from_str(body).ok();
            let message = answer.as_ref().and_then(|answer| answer.get("message")?.as_str());
            // It is to be shown in one line, and turns no text around.
            message.unwrap_or_default().escape_debug().take(200).collect()
        }
        kind if is_html(kind) => title(body).unwrap_or_default(),
        _ => String::new(),
    };
    match message.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

fn in_parentheses(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn title(page: &str) -> Option<String> {
    // ASCII lower case keeps the length, so that offsets are the same in both.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let title = &page[start..start + lower[start..].find("</title")?];
    Some(title.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Whether the connection was lost without an answer.
pub(super) fn was_lost(err: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(err.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// An error of the HTTP client in plain words. It is never `PermissionDenied`, which would make gix ask for credentials.
pub(super) fn transport_error(err: ureq::Error) -> io::Error {
    match err {
        ureq::Error::Io(err) if err.kind() == io::ErrorKind::PermissionDenied => io::Error::other(err),
        ureq::Error::Io(err) => plain(err),
        other => plain(io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_are_not_spoken_are_named() {
        for (challenges, named) in [
            (&["Negotiate", "NTLM"][..], "Negotiate, NTLM"),
            (&["Negotiate, NTLM"], "Negotiate, NTLM"),
            (&[r#"Digest realm="a, Basic b", qop="auth", nonce = x, algorithm=MD5"#], "Digest"),
            (&[r#"Digest realm="a", Digest realm="b""#, "digest"], "Digest"),
            (&["NTLM TlRMTVNTUAAC=="], "NTLM"),
            (&["Negotiate", r#"bAsIc realm="x""#], ""),
            (&[r#"Digest realm="a", Bearer"#], ""),
            (&["", ",", "=", "\u{1b}[31m x"], ""),
            (&[], ""),
        ] {
            let text = offer(challenges.iter().copied());
            let expected = if named.is_empty() {
                String::new()
            } else {
                format!("; it offers {named}, which is not supported; use Basic or Bearer")
            };
            assert_eq!(text, expected, "{challenges:?}");
        }
    }

    #[test]
    fn titles_are_found_in_any_spelling() {
        for (page, expected) in [
            ("<title>Sign in</title>", Some("Sign in")),
            ("<HTML><Title lang=\"en\">\n Sign\n in </TITLE>", Some("Sign in")),
            ("<title>İ unclosed", None),
            ("no title", None),
        ] {
            assert_eq!(title(page).as_deref(), expected, "{page}");
        }
    }
}
