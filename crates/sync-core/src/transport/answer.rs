//! What a server answered where that is not what it was asked for: another status than success, or no Git.

use std::io::{self, Read};
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, Response};
use ureq::Body;

use super::challenges::offer;
use super::redirect::location;
use super::status::HttpStatus;

/// How much of a page is read to find out what it says.
const PAGE: u64 = 64 * 1024;

pub(super) fn status_error(url: &str, response: &mut Response<Body>) -> HttpStatus {
    let status = response.status();
    let hint = match status.as_u16() {
        401 => "; the server wants other credentials",
        403 => "; access denied",
        404 => "; is the URL right, and may this user see the repository?",
        407 => "; the proxy wants another login",
        _ => "",
    };
    let elsewhere = if status.is_redirection() { redirection(response.headers()) } else { String::new() };
    let offered = match status.as_u16() {
        401 => of_header(response.headers(), header::WWW_AUTHENTICATE),
        407 => of_header(response.headers(), header::PROXY_AUTHENTICATE),
        _ => Vec::new(),
    };
    let offered = offer(offered.iter().map(String::as_str));
    // A short text usually says why; draining it keeps the connection.
    let body = page(Vec::new(), response.body_mut().as_reader());
    let said = said(&media_type(response.headers()), &body);
    // nginx' pages mostly repeat the status.
    let body = if said == status.to_string() { String::new() } else { in_parentheses(&said) };
    let text = format!("{} answered HTTP {status}{hint}{elsewhere}{offered}{body}", without_query(url));
    HttpStatus { code: status.as_u16(), retry_after: retry_after(response.headers()), text }
}

/// The client's words for answers that cannot be read in plainer ones.
pub(super) fn plain(err: io::Error) -> io::Error {
    let text = match err.get_ref().and_then(|err| err.downcast_ref()) {
        Some(ureq::Error::Protocol(cause)) => format!("the server's answer is not proper HTTP: {cause}"),
        Some(ureq::Error::LargeResponseHeader(size, _)) => {
            format!("the server's answer has a head of more than {size} bytes")
        }
        Some(ureq::Error::Decompress(form, cause)) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            format!("the server's {form} data ends early")
        }
        Some(ureq::Error::Decompress(form, cause)) => format!("the server's {form} data is damaged: {cause}"),
        Some(ureq::Error::BodyStalled) => "the server's answer does not go on".into(),
        _ => return err,
    };
    io::Error::other(text)
}

/// Reads an answer; errors are plain.
pub(crate) struct Plain<R>(pub(super) R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(plain)
    }
}

/// Of what git asks for after the first request; a page that it leads to is no answer.
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

/// Seconds, or a date, which is compared with the server's own clock: there is none here.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let wanted = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    date(wanted)?.duration_since(date(text(header::DATE)?)?).ok()
}

/// What of git's protocol an answer should hold.
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

    /// How much of it tells whether it is Git; whoever waits for more may wait for a pack to be made.
    pub(super) fn telling(self) -> usize {
        match self {
            Content::Advertisement => "0000# service=".len(),
            Content::Result => "0000".len(),
        }
    }

    fn is_begun_by(self, begin: &[u8]) -> bool {
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

    /// What is wrong with an answer that begins like this: what it holds counts, as servers and gateways call it by
    /// many names.
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
        if self.is_begun_by(begin) {
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
                "{url} answered with a web page{title}, not Git; a sign-in page? check the login and the URL"
            ));
        }
        if is_dumb(&page) {
            return Some(format!(
                "{url} answered for git's 'dumb' protocol, which is not spoken here; the server needs git http-backend"
            ));
        }
        let named = if media_type.is_empty() { "something".into() } else { media_type.clone() };
        let said = in_parentheses(&said(&media_type, &page));
        Some(format!("{url} answered with {named}{said}, not Git; is the URL right?"))
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

/// `<id> TAB <name>`, as a plain file of references has it.
fn is_dumb(page: &str) -> bool {
    let id = page.split('\t').next().unwrap_or_default();
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn page(mut begin: Vec<u8>, rest: impl Read) -> String {
    let _ = rest.take(PAGE).read_to_end(&mut begin);
    String::from_utf8_lossy(&begin).into_owned()
}

/// What an answer says to people.
fn said(media_type: &str, body: &str) -> String {
    const MOST: usize = 300;
    let said = match media_type {
        "text/plain" | "application/json" | "application/problem+json" => body.trim().to_owned(),
        kind if is_html(kind) => title(body).unwrap_or_default(),
        _ => String::new(),
    };
    match said.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

fn in_parentheses(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

fn title(page: &str) -> Option<String> {
    // Lower case of the same length, so that places are the same.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let title = &page[start..start + lower[start..].find("</title")?];
    Some(title.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// `PermissionDenied` would make gix ask for a credential; nobody is there to be asked.
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
                format!("; it offers {named}, which is not spoken here: use Basic or Bearer")
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
