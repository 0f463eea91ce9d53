//! HTTP requests over kept connections, whose bodies are streamed both ways.

use std::fmt;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use http::{HeaderMap, Response, header};
use ureq::{AsSendBody, Body, SendBody};

use super::answer::{status_error, was_lost};
use super::http_pool::{HttpPool, Lease, LeasedBody, User};
use super::options::ConnectOptions;
use super::redirect::{location, origin, redirect_target};
use super::status::HttpStatus;
use crate::interrupt::Interrupt;

/// How many connections to a server a client keeps that nobody told another number.
const KEPT: usize = 2;

/// An HTTP client that keeps its connections, and that several threads may use at once. It uses the proxies, TLS
/// settings and user agent of the [`ConnectOptions`], but not their headers and credentials.
pub struct HttpClient {
    options: Arc<ConnectOptions>,
    pool: HttpPool,
}

/// One request of an [`HttpClient`].
pub struct HttpCall<'a> {
    /// The method, such as `GET` or `PUT`.
    pub method: &'a str,
    /// The URL, without user name and password.
    pub url: &'a str,
    /// Names and values of headers. `Authorization` is not sent to another origin after a redirect.
    pub headers: Vec<(String, String)>,
    /// Headers that another origin must not see, either.
    pub own_headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody<'a>,
    /// How many redirects are followed, with the same method and body. With none, a redirect is an answer like others.
    pub redirects: usize,
}

/// The body of an [`HttpCall`].
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpBody<'a> {
    /// There is none.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes from the beginning of a file.
    File(&'a mut fs_err::File, u64),
}

/// An answer, whatever its status is.
pub struct HttpReply {
    url: String,
    response: Response<Body>,
    lease: Arc<Lease>,
}

impl HttpClient {
    /// A client with connections of its own.
    #[must_use]
    pub fn new(options: Arc<ConnectOptions>) -> HttpClient {
        HttpClient { options, pool: HttpPool::default().for_transfers(KEPT) }
    }

    /// A client that leases its connections from a pool.
    pub(crate) fn with_pool(options: Arc<ConnectOptions>, pool: HttpPool) -> HttpClient {
        HttpClient { options, pool }
    }

    pub(super) fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Send a request.
    ///
    /// # Errors
    ///
    /// There is no answer, or it redirects to a place where the request must not go. The kind is
    /// [`io::ErrorKind::TimedOut`] after an interrupt.
    pub fn send(&self, mut call: HttpCall<'_>, interrupt: &Interrupt) -> io::Result<HttpReply> {
        let (mut url, mut left) = (call.url.to_owned(), call.redirects);
        loop {
            let user = User::new(&self.options, interrupt);
            let mut lease = self.pool.lease(&url, self.options.http_for(&url).connection, user);
            let response = match send_once(&mut call, &url, &lease) {
                // The server may close a kept connection just when we use it again.
                Err(err) if lease.is_reused() && was_lost(&err) => {
                    lease = lease.renewed();
                    send_once(&mut call, &url, &lease)?
                }
                sent => sent?,
            };
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect || call.redirects == 0 {
                return Ok(HttpReply { url, response, lease });
            }
            if left == 0 {
                let most = call.redirects;
                return Err(io::Error::other(format!("the server redirects more than {most} times")));
            }
            left -= 1;
            url = redirect_target(&url, &location(response.headers())).map_err(io::Error::other)?;
        }
    }
}

fn send_once(call: &mut HttpCall<'_>, url: &str, lease: &Lease) -> io::Result<Response<Body>> {
    let place = origin(url).ok_or_else(|| io::Error::other("the URL has no host"))?;
    let is_own = origin(call.url).as_ref() == Some(&place);
    let mut request = http::Request::builder().method(call.method).uri(url);
    let is_login = |name: &str| name.eq_ignore_ascii_case(header::AUTHORIZATION.as_str());
    let kept = call.headers.iter().filter(|(name, _)| is_own || !is_login(name));
    for (name, value) in kept.chain(call.own_headers.iter().filter(|_| is_own)) {
        request = request.header(name, value);
    }
    match &mut call.body {
        HttpBody::None => run(request, (), lease),
        HttpBody::Bytes(bytes) => run(request, *bytes, lease),
        HttpBody::File(file, length) => {
            file.rewind()?;
            let mut content = file.take(*length);
            let request = request.header(header::CONTENT_LENGTH, *length);
            run(request, SendBody::from_reader(&mut content), lease)
        }
    }
}

fn run(request: http::request::Builder, body: impl AsSendBody, lease: &Lease) -> io::Result<Response<Body>> {
    let request = request.body(body).map_err(io::Error::other)?;
    lease.send(|agent| agent.run(request))
}

impl HttpReply {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The value of a header, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers: &HeaderMap = self.response.headers();
        headers.get(name)?.to_str().ok()
    }

    /// The error for a status that is no success.
    pub(crate) fn into_error(mut self) -> HttpStatus {
        status_error(&self.url, &mut self.response)
    }

    /// The body, which the server may have compressed if `Accept-Encoding` was not set. Reading to its end keeps the
    /// connection usable.
    #[must_use]
    pub fn into_body(self) -> impl Read + Send + use<> {
        LeasedBody::new(self.response.into_body(), &self.lease)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReply").field("status", &self.status()).finish_non_exhaustive()
    }
}
