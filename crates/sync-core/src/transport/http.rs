//! Smart HTTP(S): gix's `Http` trait over one kept-alive agent.
//!
//! Who gets the login and which redirects are followed is decided here.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use gix::error::ErrorExt;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use ureq::config::ConfigBuilder;
use ureq::http::{Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, RustlsConnector, Transport,
};
use ureq::{Agent, Body};

use super::exchange::{Headers, PostBody, Request, ResponseBody, Shared};
use super::socket::{Socket, resolve};
use super::{ConnectOptions, USER_AGENT, begins};
use crate::Interrupt;
use crate::url::HttpUrl;

/// How many redirects of the first request are followed.
const MAX_REDIRECTS: usize = 5;

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct HttpStatus {
    pub(crate) code: u16,
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
    redirected: Option<String>,
}

/// Headers that may be secret and the only origin that may see them.
#[derive(Clone)]
struct Own {
    origin: (String, String, u16),
    headers: Vec<(String, String)>,
}

/// What all requests share, whatever they are for.
fn agent_config(options: &ConnectOptions) -> io::Result<ConfigBuilder<AgentScope>> {
    let tls = TlsConfig::builder()
        .root_certs(root_certificates(&options.ca_files)?)
        .disable_verification(options.insecure)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).user_agent(USER_AGENT);
    Ok(config.tls_config(tls).allow_non_standard_methods(true))
}

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
    /// Send it; the status of the answer and its body, of which 1 MiB is kept.
    pub fn send(&self, options: &ConnectOptions) -> io::Result<(u16, Vec<u8>)> {
        let redirects = if self.follow_redirects { 10 } else { 0 };
        let config = agent_config(options)?.timeout_global(Some(self.timeout));
        let agent = config.max_redirects(redirects).max_redirects_will_error(false).build().new_agent();
        let mut request = ureq::http::Request::builder().method(self.method.as_str()).uri(&self.url);
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

impl Client {
    pub(crate) fn new(url: &HttpUrl, options: &ConnectOptions, interrupt: &Interrupt) -> io::Result<Client> {
        let config = agent_config(options)?
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            // A poll may come hours after the last; the server decides how long a connection lives.
            .max_idle_age(Duration::from_secs(365 * 24 * 3600))
            .input_buffer_size(16 * 1024)
            .output_buffer_size(8 * 1024)
            .build();
        let connector = SocketConnector(interrupt.clone()).chain(RustlsConnector::default());
        let agent = Agent::with_parts(config, connector, InterruptibleResolver(interrupt.clone()));
        let given = options.login_for(&url.base).map(|login| (login.user.clone(), login.password.clone()));
        let login = url.login.clone().or(given);
        let mut secrets = Vec::new();
        if let Some((user, password)) = login {
            let token = BASE64.encode(format!("{user}:{password}"));
            secrets.push((header::AUTHORIZATION.to_string(), format!("Basic {token}")));
        }
        let extra = options.headers.iter().filter(|(with, _)| with.is_empty() || begins(&url.base, with));
        secrets.extend(split_headers(extra.map(|(_, line)| line)));
        let own = origin(&url.base).map(|origin| Own { origin, headers: secrets });
        Ok(Client { agent, own, redirected: None })
    }

    /// The user's own headers, where they may go.
    fn own_headers(&self, url: &str) -> &[(String, String)] {
        match &self.own {
            Some(own) if origin(url).as_ref() == Some(&own.origin) => &own.headers,
            _ => &[],
        }
    }

    fn get_once(&self, url: &str, headers: &[(String, String)]) -> gix::Result<Response<Body>> {
        let mut request = self.agent.get(url);
        for (name, value) in headers.iter().chain(self.own_headers(url)) {
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

/// Scheme, host and port, which together say who would read a secret.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Where a redirect from `base` leads, if it may be followed: the same kind of request at another base, never
/// from HTTPS to HTTP.
fn redirect_base(base: &str, tail: &str, location: &str) -> Result<String, String> {
    let from = origin(base).ok_or("the redirecting URL has no host")?;
    let target = if location.starts_with('/') && !location.starts_with("//") {
        let authority = base.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
        format!("{}://{}{location}", from.0, authority.unwrap_or_default())
    } else {
        location.to_owned()
    };
    let to = origin(&target).ok_or("the server redirects to something that is no URL")?;
    if !matches!((from.0.as_str(), to.0.as_str()), ("http", "http" | "https") | ("https", "https")) {
        return Err(format!("the server redirects from {} to {}, which is refused", from.0, to.0));
    }
    if target.contains('@') {
        return Err("the server redirects to a URL with user information, which is refused".into());
    }
    match target.strip_suffix(tail) {
        Some(new_base) => Ok(new_base.trim_end_matches('/').to_owned()),
        None => Err(format!("the server redirects to {}://{}, which is no repository there", to.0, to.1)),
    }
}

pub(super) fn status_error(url: &str, response: &mut Response<Body>) -> HttpStatus {
    let status = response.status();
    let hint = match status.as_u16() {
        401 => "; the server wants other credentials",
        403 => "; access denied",
        404 => "; is the URL right, and may this user see the repository?",
        _ => "",
    };
    // A short plain-text body usually says why; draining it keeps the connection.
    let mut body = String::new();
    let _ = response.body_mut().as_reader().take(64 * 1024).read_to_string(&mut body);
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let body = if plain && !body.trim().is_empty() { format!(" ({})", body.trim()) } else { String::new() };
    let url = url.split('?').next().unwrap_or(url);
    HttpStatus { code: status.as_u16(), text: format!("{url} answered HTTP {status}{hint}{body}") }
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
                let shared = Shared::answered(response);
                return Ok(GetResponse { headers: Headers::of(&shared), body: ResponseBody::of(shared) });
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
        headers.extend_from_slice(self.own_headers(url));
        let request = Request { agent: self.agent.clone(), url: url.to_owned(), headers, body: Vec::new() };
        let shared = Shared::building(request);
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

/// The bundled roots and the given files together.
fn root_certificates(ca_files: &[std::path::PathBuf]) -> io::Result<RootCerts> {
    let mut roots: Vec<Certificate<'static>> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()))
        .collect();
    for path in ca_files {
        let pem = fs_err::read(path)?;
        let before = roots.len();
        for item in ureq::tls::parse_pem(&pem) {
            if let ureq::tls::PemItem::Certificate(certificate) =
                item.map_err(|err| io::Error::other(format!("{}: {err}", path.display())))?
            {
                roots.push(certificate);
            }
        }
        if roots.len() == before {
            return Err(io::Error::other(format!("{}: holds no PEM certificate", path.display())));
        }
    }
    Ok(RootCerts::Specific(Arc::new(roots)))
}

#[derive(Debug)]
struct InterruptibleResolver(Interrupt);

impl Resolver for InterruptibleResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut found = self.empty();
        for address in resolve(host, port, &self.0)?.into_iter().take(16) {
            found.push(address);
        }
        Ok(found)
    }
}

#[derive(Debug)]
struct SocketConnector(Interrupt);

impl Connector<()> for SocketConnector {
    type Out = SocketTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<SocketTransport>, ureq::Error> {
        let socket = Socket::connect(&details.addrs, &self.0)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(SocketTransport { socket, buffers }))
    }
}

#[derive(Debug)]
struct SocketTransport {
    socket: Socket,
    buffers: LazyBuffers,
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.socket.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, _timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let read = self.socket.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.socket.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(redirect_base("https://a/x", TAIL, "https://a/login").is_err());
        assert!(redirect_base("https://a/x", TAIL, "").is_err());
    }

    #[test]
    fn a_login_is_only_for_its_own_origin() {
        let url = HttpUrl { base: "https://host/x".into(), login: Some(("u".into(), "p".into())) };
        let client = Client::new(&url, &ConnectOptions::default(), &Interrupt::new()).unwrap();
        let basic = [("authorization".to_owned(), "Basic dTpw".to_owned())];
        assert_eq!(client.own_headers("https://HOST:443/y"), basic);
        for other in ["http://host/x", "https://host:444/x", "https://host.evil/x", "https://evil/x"] {
            assert_eq!(client.own_headers(other), [], "{other}");
        }
    }
}
