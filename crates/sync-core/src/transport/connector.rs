//! Connects the HTTP client to servers, with our own sockets, proxies and TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Instant;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::dial::{dial, through};
use super::http_options::ConnectionOptions;
use super::proxy::{Kind, Proxy, authority, connect};
use super::socket::{Socket, WaitPolicy};
use super::stream::Stream;
use super::tls::Tls;

/// The agent settings that all requests share.
pub(super) fn agent_config(options: &ConnectionOptions) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .user_agent(&options.user_agent)
        .proxy(None)
}

/// An HTTP client with its own connections.
pub(super) fn agent(config: Config, dialler: Dialler) -> Agent {
    Agent::with_parts(config, dialler, NoResolver)
}

/// What the connections of an agent share with whoever uses it.
#[derive(Debug, Default)]
pub(super) struct AgentState {
    wait_policy: Mutex<WaitPolicy>,
    connections: AtomicUsize,
}

impl AgentState {
    /// Set the wait policy for all that follows.
    pub(super) fn set_wait_policy(&self, wait_policy: WaitPolicy) {
        *self.wait_policy.lock().unwrap_or_else(PoisonError::into_inner) = wait_policy;
    }

    fn wait_policy(&self) -> WaitPolicy {
        self.wait_policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a connection, idle or in use. One that fails is gone, as is one whose answer nobody reads on.
    pub(super) fn has_connection(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }
}

/// Resolves nothing: `Dialler` resolves when it connects, or leaves it to the proxy.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// Opens the connections of an agent.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) options: Arc<ConnectionOptions>,
    pub(super) tls: Arc<Tls>,
    pub(super) proxy_tls: Arc<Tls>,
    pub(super) state: Arc<AgentState>,
}

impl Dialler {
    /// One that shares nothing with others.
    pub(super) fn alone(options: ConnectionOptions, wait_policy: WaitPolicy) -> Dialler {
        let tls = Tls::new(options.tls.clone()).into();
        let proxy_tls = Tls::new(options.proxy_tls()).into();
        let state = AgentState::default();
        state.set_wait_policy(wait_policy);
        Dialler { options: options.into(), tls, proxy_tls, state: state.into() }
    }
}

impl Connector<()> for Dialler {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        let is_https = details.uri.scheme_str() == Some("https");
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = details.uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let proxy = self.options.proxy_for(if is_https { "https" } else { "http" }, host, port);
        let clock = Clock(details.current_time.clone());
        let wait_policy = clock.limit(self.state.wait_policy(), details.timeout);
        let (mut stream, mut forward) = (None, None);
        if let Some(proxy) = proxy.filter(|proxy| !is_https && proxy.kind != Kind::Socks5) {
            stream = Some(reach(proxy, &self.proxy_tls, &wait_policy)?);
            forward = Some(AbsoluteFormRequest::new(proxy, host, port));
        }
        let stream = match (stream, proxy) {
            (Some(stream), _) => stream,
            (None, Some(proxy)) => tunnel(host, port, proxy, &self.proxy_tls, &wait_policy)?,
            (None, None) => Stream::Plain(dial(host, port, None, &wait_policy)?),
        };
        let stream = if is_https { self.tls.wrap(stream, host)? } else { stream };
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        let state = self.state.clone();
        state.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Connection { stream, buffers, forward, is_https, clock, state }))
    }
}

/// A stream to the proxy itself, for requests or for a tunnel.
fn reach(proxy: &Proxy, tls: &Tls, wait_policy: &WaitPolicy) -> io::Result<Stream> {
    through(proxy, |proxy| {
        let socket = Stream::Plain(Socket::connect(&proxy.host, proxy.port, wait_policy)?);
        if proxy.kind == Kind::Https { tls.wrap(socket, &proxy.host) } else { Ok(socket) }
    })
}

/// A stream to a server through a proxy of any kind.
fn tunnel(host: &str, port: u16, proxy: &Proxy, tls: &Tls, wait_policy: &WaitPolicy) -> io::Result<Stream> {
    if proxy.kind != Kind::Https {
        return dial(host, port, Some(proxy), wait_policy).map(Stream::Plain);
    }
    let mut stream = reach(proxy, tls, wait_policy)?;
    through(proxy, |proxy| connect(&mut stream, proxy, host, port))?;
    Ok(stream)
}

/// The clock of the HTTP client; this crate has none.
struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    fn limit(&self, wait_policy: WaitPolicy, timeout: NextTimeout) -> WaitPolicy {
        if timeout.after.is_not_happening() {
            return wait_policy;
        }
        let (clock, end) = (self.0.clone(), (self.0)() + timeout.after);
        wait_policy.until(move || clock() >= end)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffers: LazyBuffers,
    forward: Option<AbsoluteFormRequest>,
    is_https: bool,
    clock: Clock,
    state: Arc<AgentState>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.state.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_wait_policy(&self.clock.limit(self.state.wait_policy(), timeout));
        let output = &self.buffers.output()[..amount];
        match self.forward.as_mut().and_then(|forward| forward.begin(output)) {
            Some(request) => self.stream.write_all(&request)?,
            None => self.stream.write_all(output)?,
        }
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_wait_policy(&self.clock.limit(self.state.wait_policy(), timeout));
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        if let Some(forward) = &mut self.forward {
            forward.is_answered = true;
        }
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.is_open()
    }

    fn is_tls(&self) -> bool {
        self.is_https
    }
}

/// Rewrites requests for `http://` URLs, which go to the proxy itself with the whole URL (RFC 9112, 3.2.2). ureq writes
/// them for the server, so the head of each is rewritten as it is sent.
#[derive(Debug)]
struct AbsoluteFormRequest {
    server: String,
    login: String,
    is_answered: bool,
}

impl AbsoluteFormRequest {
    fn new(proxy: &Proxy, host: &str, port: u16) -> Self {
        let login =
            proxy.auth.as_ref().map(|auth| format!("Proxy-Authorization: {}\r\n", auth.header().expose()));
        let server = format!("http://{}", authority(host, port));
        AbsoluteFormRequest { server, login: login.unwrap_or_default(), is_answered: true }
    }

    /// The output rewritten for the proxy if it begins a request, which is the first output after an answer.
    fn begin(&mut self, output: &[u8]) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.is_answered) {
            return None;
        }
        let target = 1 + output.iter().position(|byte| *byte == b' ')?;
        let fields = 2 + output.windows(2).position(|pair| pair == b"\r\n")?;
        let (method, rest) = (&output[..target], &output[target..fields]);
        Some([method, self.server.as_bytes(), rest, self.login.as_bytes(), &output[fields..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_every_request_is_rewritten_for_a_proxy() {
        let proxy = "http://u:p@proxy".parse().unwrap();
        let mut forward = AbsoluteFormRequest::new(&proxy, "host", 80);
        let request = b"POST /x HTTP/1.1\r\nHost: host\r\n\r\nbody";
        let rewritten =
            "POST http://host:80/x HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\nHost: host\r\n\r\nbody";
        assert_eq!(forward.begin(request).as_deref(), Some(rewritten.as_bytes()));
        assert_eq!(forward.begin(b"GET of / HTTP\r\n"), None, "this is more of the body");
        forward.is_answered = true;
        assert!(forward.begin(request).is_some());
    }
}
