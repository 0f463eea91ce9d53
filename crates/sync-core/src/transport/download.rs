//! HTTP requests whose answers are read in pieces, for Git LFS.

use std::io::{self, Read};
use std::sync::Arc;

use http::{Response, header};
use ureq::Body;

use super::answer::{status_error, transport_error, was_lost};
use super::connections::Connections;
use super::http_pool::{HttpPool, Lease, LeasedBody};
use super::options::ConnectOptions;
use super::redirect::{location, origin, redirect_target};
use super::status::HttpStatus;
use crate::interrupt::Interrupt;

/// The most redirects that are followed, as in git-lfs.
const MAX_REDIRECTS: usize = 2;

/// An HTTP client that several threads may use at once.
pub(crate) struct Downloader {
    options: Arc<ConnectOptions>,
    interrupt: Interrupt,
    pool: HttpPool,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(String, String)>,
    /// Headers that another origin must not see. `Authorization` never goes to one either.
    pub(crate) own_headers: Vec<(String, String)>,
    /// The body of a POST; `None` for a GET.
    pub(crate) body: Option<&'a [u8]>,
}

/// An answer, whatever its status is.
pub(crate) struct Reply {
    url: String,
    response: Response<Body>,
    lease: Arc<Lease>,
}

impl Downloader {
    /// A client that keeps up to so many connections to each server while it lives.
    pub(crate) fn new(
        options: &Arc<ConnectOptions>,
        connections: &Connections,
        interrupt: &Interrupt,
        count: usize,
    ) -> Self {
        let pool = connections.http.for_transfers(count);
        Downloader { options: options.clone(), interrupt: interrupt.clone(), pool }
    }

    /// The headers that the user sets for a URL, as names and values.
    pub(crate) fn user_headers(&self, url: &str) -> Vec<(String, String)> {
        super::http::split_headers(&self.options.http_for(url).headers)
    }

    /// Send a request, and follow redirects.
    ///
    /// # Errors
    ///
    /// There is no answer, or it redirects to a place where the request must not go.
    pub(crate) fn send(&self, call: &Call<'_>) -> io::Result<Reply> {
        let mut url = call.url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut lease = self.pool.lease(&url, self.options.http_for(&url).connection, &self.interrupt);
            let response = match send_once(call, &url, &lease) {
                // The server may close a kept connection just when we use it again.
                Err(err) if lease.is_reused() && was_lost(&err) => {
                    lease = lease.renewed();
                    send_once(call, &url, &lease)?
                }
                sent => sent?,
            };
            if !response.status().is_redirection() {
                return Ok(Reply { url, response, lease });
            }
            url = redirect_target(&url, &location(response.headers())).map_err(io::Error::other)?;
        }
        Err(io::Error::other(format!("the server redirects more than {MAX_REDIRECTS} times")))
    }
}

fn send_once(call: &Call<'_>, url: &str, lease: &Lease) -> io::Result<Response<Body>> {
    let place = origin(url).ok_or_else(|| io::Error::other("the URL has no host"))?;
    let is_own = origin(call.url).as_ref() == Some(&place);
    let method = if call.body.is_some() { "POST" } else { "GET" };
    let mut request = http::Request::builder().method(method).uri(url);
    let is_login = |name: &str| name.eq_ignore_ascii_case(header::AUTHORIZATION.as_str());
    let kept = call.headers.iter().filter(|(name, _)| is_own || !is_login(name));
    for (name, value) in kept.chain(call.own_headers.iter().filter(|_| is_own)) {
        request = request.header(name, value);
    }
    let agent = lease.agent();
    let sent = match call.body {
        Some(body) => agent.run(request.body(body).map_err(io::Error::other)?),
        None => agent.run(request.body(()).map_err(io::Error::other)?),
    };
    sent.inspect_err(|_| lease.fail()).map_err(transport_error)
}

impl Reply {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The size of the body, if it is known.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.parse().ok()
    }

    /// The first byte of the part that the body is.
    pub(crate) fn range_start(&self) -> Option<u64> {
        self.header(header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
    }

    /// The error for a status that is no success.
    pub(crate) fn into_error(mut self) -> HttpStatus {
        status_error(&self.url, &mut self.response)
    }

    /// The body, which the server may have compressed.
    pub(crate) fn into_body(self) -> impl Read {
        LeasedBody::new(self.response.into_body(), &self.lease)
    }
}
