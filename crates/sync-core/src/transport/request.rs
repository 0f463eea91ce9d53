//! Plain HTTP requests, for hooks, tokens and health checks.

use std::io::{self, Read};
use std::time::Duration;

use super::answer::transport_error;
use super::connector::{Dialler, agent, agent_config};
use super::options::ConnectOptions;
use super::socket::WaitPolicy;
use crate::interrupt::Interrupt;

/// One HTTP request that is not part of Git's protocol. It uses the proxies, TLS settings and user agent of the
/// [`ConnectOptions`], but not their headers and credentials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method, such as `GET` or `POST`.
    pub method: String,
    /// The URL. A user name and password in it are sent as basic authentication.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body, empty by default. It is not sent with `GET`, `HEAD`, `OPTIONS`, `TRACE` and `DELETE`.
    pub body: Vec<u8>,
    /// Whether to follow up to ten redirects. The default is `false`.
    pub follow_redirects: bool,
    /// The time limit for all: resolving the host, connecting, sending, and receiving the answer.
    pub timeout: Duration,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>, timeout: Duration) -> HttpRequest {
        let (method, url) = (method.into(), url.into());
        HttpRequest { method, url, headers: Vec::new(), body: Vec::new(), follow_redirects: false, timeout }
    }
    /// Send the request. Returns the status of the answer, whatever it is, and the first MiB of its body.
    ///
    /// # Errors
    ///
    /// The URL or a header is not valid, or there is no complete answer. The kind is [`io::ErrorKind::TimedOut`] after
    /// the timeout and after an interrupt.
    pub fn send(&self, options: &ConnectOptions, interrupt: &Interrupt) -> io::Result<(u16, Vec<u8>)> {
        let http = options.http_for(&self.url).connection;
        let redirects = if self.follow_redirects { 10 } else { 0 };
        let config = agent_config(&http).timeout_global(Some(self.timeout)).max_redirects(redirects).build();
        let agent = agent(config, Dialler::alone(http, WaitPolicy::new(interrupt)));
        let mut request = http::Request::builder().method(self.method.as_str()).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let has_body = !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "DELETE");
        let answered = if has_body {
            agent.run(request.body(&self.body[..]).map_err(io::Error::other)?)
        } else {
            agent.run(request.body(()).map_err(io::Error::other)?)
        };
        options.requests.answered(&answered);
        let mut response = answered.map_err(transport_error)?;
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader();
        reader.by_ref().take(1 << 20).read_to_end(&mut body)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok((response.status().as_u16(), body))
    }
}
