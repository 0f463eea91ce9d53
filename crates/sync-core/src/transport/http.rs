//! Smart HTTP(S): gix's `Http` trait over one kept-alive agent.
//!
//! Who gets the login and which redirects are followed is decided here.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use gix::error::ErrorExt;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body};

use super::connector::{agent, agent_config};
use super::exchange::{Headers, PostBody, Request, ResponseBody, Shared};
use super::socket::Patience;
use super::{ConnectOptions, Ration};
use crate::credentials::Credentials;
use crate::url::HttpUrl;
use crate::{Interrupt, Place};

/// How many redirects of the first request are followed.
const MAX_REDIRECTS: usize = 5;

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct HttpStatus {
    pub(crate) code: u16,
    /// How long the server wants to be left alone (RFC 9110, 10.2.3).
    pub(crate) retry_after: Option<Duration>,
    text: String,
}

impl fmt::Display for HttpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HttpStatus {}

/// One user of one agent. The connection lives in the agent and is kept between requests.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    own: Option<Own>,
    credentials: Credentials,
    follow_redirects: bool,
    redirected: Option<String>,
    ration: Ration,
}

/// Headers that may be secret and the only origin that may see them.
#[derive(Clone)]
struct Own {
    origin: Place,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(
        url: &HttpUrl,
        options: &ConnectOptions,
        interrupt: &Interrupt,
        ration: &Ration,
    ) -> Client {
        let http = options.http_for(&url.base);
        let config = agent_config(&http)
            .max_redirects(0)
            // A poll may come hours after the last; the server decides how long a connection lives.
            .max_idle_age(Duration::from_secs(365 * 24 * 3600))
            .input_buffer_size(16 * 1024)
            .output_buffer_size(8 * 1024)
            .build();
        let auth = options.credentials.login_for(url);
        let auth = auth.map(|auth| (header::AUTHORIZATION.to_string(), auth.header().expose().to_owned()));
        let mut secrets: Vec<_> = auth.into_iter().collect();
        secrets.extend(split_headers(&http.headers));
        let follow_redirects = http.follow_redirects;
        let agent = agent(config, http, Patience::new(interrupt));
        let own = origin(&url.base).map(|origin| Own { origin, headers: secrets });
        Client {
            agent,
            own,
            credentials: options.credentials.clone(),
            follow_redirects,
            redirected: None,
            ration: ration.clone(),
        }
    }

    /// The user's own headers, where they may go.
    fn own_headers(&self, url: &str) -> Vec<(String, String)> {
        let own = self.own.iter().filter(|own| origin(url).as_ref() == Some(&own.origin));
        let cookie = self.credentials.cookies_for(url).map(|value| (header::COOKIE.to_string(), value));
        own.flat_map(|own| own.headers.iter().cloned()).chain(cookie).collect()
    }

    fn get_once(&self, url: &str, headers: &[(String, String)]) -> gix::Result<Response<Body>> {
        let mut request = self.agent.get(url);
        for (name, value) in headers.iter().chain(&self.own_headers(url)) {
            request = request.header(name, value);
        }
        request.call().map_err(|err| transport_error(err).raise())
    }
}

/// `PermissionDenied` would make gix ask for a credential; nobody is there to be asked.
pub(super) fn transport_error(err: ureq::Error) -> io::Error {
    match err {
        ureq::Error::Io(err) if err.kind() == io::ErrorKind::PermissionDenied => io::Error::other(err),
        ureq::Error::Io(err) => err,
        other => io::Error::other(other),
    }
}

/// Who would read a secret.
fn origin(url: &str) -> Option<Place> {
    url.parse().ok().map(Place::server)
}

/// Where a redirect from `base` leads, if it may be followed: the same kind of request at another base, never
/// from HTTPS to HTTP.
pub(crate) fn redirect_base(base: &str, tail: &str, location: &str) -> Result<String, String> {
    let from = origin(base).ok_or("the redirecting URL has no host")?;
    let target = if location.starts_with('/') && !location.starts_with("//") {
        let authority = base.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
        format!("{}://{}{location}", from.scheme, authority.unwrap_or_default())
    } else {
        location.to_owned()
    };
    let to = origin(&target).ok_or("the server redirects to something that is no URL")?;
    if (from.scheme, to.scheme) == ("https", "http") {
        return Err("the server redirects from https to http, which is refused".into());
    }
    if target.contains('@') {
        return Err("the server redirects to a URL with user information, which is refused".into());
    }
    match target.strip_suffix(tail).map(|base| base.trim_end_matches('/')) {
        // A host may have been taken from the tail: `http:/`.
        Some(new_base) if origin(new_base).as_ref() == Some(&to) => Ok(new_base.to_owned()),
        _ => {
            Err(format!("the server redirects to {}://{}, which is no repository there", to.scheme, to.host))
        }
    }
}

pub(super) fn status_error(url: &str, response: &mut Response<Body>) -> HttpStatus {
    let status = response.status();
    let hint = match status.as_u16() {
        401 => "; the server wants other credentials",
        403 => "; access denied",
        404 => "; is the URL right, and may this user see the repository?",
        407 => "; the proxy wants another login",
        _ => "",
    };
    // A short text usually says why; draining it keeps the connection.
    let mut body = String::new();
    let _ = response.body_mut().as_reader().take(64 * 1024).read_to_string(&mut body);
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let said = match kind {
        kind if kind.starts_with(b"text/plain") => body.trim(),
        kind if kind.starts_with(b"text/html") => title(&body).unwrap_or_default(),
        _ => "",
    };
    // nginx' pages mostly repeat the status.
    let body =
        if said.is_empty() || said == status.to_string() { String::new() } else { format!(" ({said})") };
    let url = url.split('?').next().unwrap_or(url);
    let text = format!("{url} answered HTTP {status}{hint}{body}");
    HttpStatus { code: status.as_u16(), retry_after: retry_after(response.headers()), text }
}

fn title(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<title>")?;
    rest.split_once("</title>").map(|(title, _)| title.trim())
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

impl Http for Client {
    type Headers = Headers;
    type ResponseBody = ResponseBody;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, ResponseBody>> {
        let headers = split_headers(headers);
        let tail = url.strip_prefix(base_url).unwrap_or(url).to_owned();
        let mut base = base_url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let url = format!("{base}{tail}");
            let mut response = self.get_once(&url, &headers)?;
            if !response.status().is_redirection() {
                self.redirected = (base != base_url).then_some(base);
                if !response.status().is_success() {
                    return Err(status_error(&url, &mut response).raise());
                }
                let shared = Shared::answered(response, &self.ration);
                return Ok(GetResponse { headers: Headers::of(&shared), body: ResponseBody::of(shared) });
            }
            if !self.follow_redirects {
                return Err(
                    io::Error::other("the server redirects, which http.followRedirects refuses").raise()
                );
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            base = redirect_base(&base, &tail, location.unwrap_or_default())
                .map_err(|text| io::Error::other(text).raise())?;
        }
        Err(io::Error::other(format!("the server redirects more than {MAX_REDIRECTS} times")).raise())
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, ResponseBody, PostBody>> {
        let mut headers = split_headers(headers);
        headers.extend(self.own_headers(url));
        let request = Request { agent: self.agent.clone(), url: url.to_owned(), headers, body: Vec::new() };
        let shared = Shared::building(request, &self.ration);
        Ok(PostResponse {
            post_body: PostBody(shared.clone()),
            headers: Headers::of(&shared),
            body: ResponseBody::of(shared),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

/// gix hands over whole header lines; its user agent is replaced by ours.
fn split_headers(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let split =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    lines
        .into_iter()
        .filter_map(|line| split(line.as_ref()))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Auth;

    #[test]
    fn redirects_keep_the_request_and_never_lose_encryption() {
        const TAIL: &str = "/info/refs?service=git-upload-pack";
        let follow = |base: &str, location: &str| redirect_base(base, TAIL, &format!("{location}{TAIL}"));
        assert_eq!(follow("http://a/x", "https://a/y").unwrap(), "https://a/y");
        assert_eq!(follow("https://a:1/x", "/y").unwrap(), "https://a:1/y");
        assert_eq!(follow("https://a/x", "https://b/y").unwrap(), "https://b/y");
        assert!(follow("https://a/x", "http://a/x").is_err());
        assert!(follow("https://a/x", "https://u:p@a/x").is_err());
        assert!(follow("https://a/x", "//b/x").is_err());
        assert!(follow("http://a/x", "http:/").is_err());
        assert!(redirect_base("https://a/x", TAIL, "https://a/login").is_err());
        assert!(redirect_base("https://a/x", TAIL, "").is_err());
    }

    #[test]
    fn a_connection_is_kept_for_the_longest_of_periods() {
        let url = HttpUrl { base: "https://host/x".into(), login: None };
        let client = Client::new(&url, &ConnectOptions::default(), &Interrupt::new(), &Ration::new());
        assert!(client.agent.config().max_idle_age() >= Duration::from_secs(30 * 24 * 3600));
    }

    #[test]
    fn a_login_is_only_for_its_own_origin() {
        let url = HttpUrl { base: "https://host/x".into(), login: Some(Auth::basic("u", "p")) };
        let client = Client::new(&url, &ConnectOptions::default(), &Interrupt::new(), &Ration::new());
        let basic = [("authorization".to_owned(), "Basic dTpw".to_owned())];
        assert_eq!(client.own_headers("https://HOST:443/y"), basic);
        for other in ["http://host/x", "https://host:444/x", "https://host.evil/x", "https://evil/x"] {
            assert_eq!(client.own_headers(other), [], "{other}");
        }
    }
}
