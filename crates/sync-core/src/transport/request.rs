//! One plain HTTP request, not part of git's protocol: for hooks, tokens and probes.

use std::io::{self, Read};
use std::time::Duration;

use super::answer::transport_error;
use super::connector::{agent, agent_config};
use super::options::ConnectOptions;
use super::socket::WaitPolicy;
use crate::interrupt::Interrupt;

/// One plain request, not part of git's protocol.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, `POST`, or any other.
    pub method: String,
    /// The whole URL; a user name and password in it are sent as basic authentication.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// May be empty; not sent with methods that know no body.
    pub body: Vec<u8>,
    /// Whether to go where the server points.
    pub follow_redirects: bool,
    /// From resolving the name to the end of the answer.
    pub timeout: Duration,
}

impl HttpRequest {
    /// Send it, unless `interrupt` comes first; the status of the answer and its body, of which 1 MiB is kept.
    pub fn send(&self, options: &ConnectOptions, interrupt: &Interrupt) -> io::Result<(u16, Vec<u8>)> {
        let http = options.http_for(&self.url);
        let redirects = if self.follow_redirects { 10 } else { 0 };
        let config = agent_config(&http).timeout_global(Some(self.timeout)).max_redirects(redirects).build();
        let agent = agent(config, http, WaitPolicy::new(interrupt));
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
        let mut response = answered.map_err(transport_error)?;
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader();
        reader.by_ref().take(1 << 20).read_to_end(&mut body)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok((response.status().as_u16(), body))
    }
}
