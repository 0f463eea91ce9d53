//! HTTP requests whose answers are read in pieces, for Git LFS.

use std::io::{self, Read};
use std::sync::Arc;

use super::client::{HttpBody, HttpCall, HttpClient, HttpReply};
use super::connections::Connections;
use super::options::ConnectOptions;
use super::status::HttpStatus;
use crate::interrupt::Interrupt;

/// The most redirects that are followed, as in git-lfs.
const MAX_REDIRECTS: usize = 2;

/// An HTTP client that several threads may use at once.
pub(crate) struct Downloader {
    client: HttpClient,
    interrupt: Interrupt,
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
pub(crate) struct Reply(HttpReply);

impl Downloader {
    /// A client that keeps up to so many connections to each server while it lives.
    pub(crate) fn new(
        options: &Arc<ConnectOptions>,
        connections: &Connections,
        interrupt: &Interrupt,
        count: usize,
    ) -> Self {
        let client = HttpClient::with_pool(options.clone(), connections.http.for_transfers(count));
        Downloader { client, interrupt: interrupt.clone() }
    }

    /// The headers that the user sets for a URL, as names and values.
    pub(crate) fn user_headers(&self, url: &str) -> Vec<(String, String)> {
        super::http::split_headers(&self.client.options().http_for(url).headers)
    }

    /// Send a request, and follow redirects.
    ///
    /// # Errors
    ///
    /// There is no answer, or it redirects to a place where the request must not go.
    pub(crate) fn send(&self, call: &Call<'_>) -> io::Result<Reply> {
        let call = HttpCall {
            method: if call.body.is_some() { "POST" } else { "GET" },
            url: call.url,
            headers: call.headers.clone(),
            own_headers: call.own_headers.clone(),
            body: call.body.map_or(HttpBody::None, HttpBody::Bytes),
            redirects: MAX_REDIRECTS,
        };
        self.client.send(call, &self.interrupt).map(Reply)
    }
}

impl Reply {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.0.status()
    }

    /// The size of the body, if it is known.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.0.header("content-length")?.parse().ok()
    }

    /// The first byte of the part that the body is.
    pub(crate) fn range_start(&self) -> Option<u64> {
        self.0.header("content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
    }

    /// The error for a status that is no success.
    pub(crate) fn into_error(self) -> HttpStatus {
        self.0.into_error()
    }

    /// The body, which the server may have compressed.
    pub(crate) fn into_body(self) -> impl Read {
        self.0.into_body()
    }
}
