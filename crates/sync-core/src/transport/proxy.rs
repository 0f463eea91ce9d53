//! Proxies: which one to use for a server, and the HTTP CONNECT and SOCKS5 protocols.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::challenges::offer;
use crate::error::ParseError;
use crate::secret::Auth;

/// A proxy server, parsed from its URL. `Display` and `Debug` show no password, and `Display` no user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) auth: Option<Auth>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS5 (RFC 1928). The proxy resolves host names.
    Socks5,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", authority(&self.host, self.port))
    }
}

impl FromStr for Proxy {
    type Err = ParseError;

    /// Accepts `[http|https|socks5|socks5h://][user:password@]host[:port]`. The default scheme is `http`; the default
    /// ports are 80, 443 and 1080. `socks5` and `socks5h` are the same: the proxy resolves host names.
    ///
    /// # Errors
    ///
    /// The text is no such URL. The error does not quote it, since it may contain a password.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|err| format!("is not the URL of a proxy: {err}"))?;
        let (kind, default_port) = match uri.scheme_str() {
            Some("http") => (Kind::Http, 80),
            Some("https") => (Kind::Https, 443),
            Some("socks5" | "socks5h") => (Kind::Socks5, 1080),
            _ => return Err("has an unknown scheme; use http, https, socks5 or socks5h".into()),
        };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let auth = authority.rsplit_once('@').map(|(info, _)| {
            let (user, password) = info.split_once(':').unwrap_or((info, ""));
            let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            Auth::basic(decoded(user), decoded(password))
        });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err("names no host".into());
        }
        let port = crate::url::port(&uri)?.unwrap_or(default_port);
        Ok(Proxy { kind, host, port, auth })
    }
}

/// `host:port` as in URLs: IPv6 addresses in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Proxies by scheme, as in the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// The proxy for `http://` URLs.
    pub http: Option<Proxy>,
    /// The proxy for `https://` URLs.
    pub https: Option<Proxy>,
    /// The proxy for both, unless `http` or `https` is set.
    pub all: Option<Proxy>,
    /// Hosts that are reached directly, whichever setting names a proxy.
    pub no_proxy: NoProxy,
}

impl Proxies {
    pub(super) fn for_scheme(&self, scheme: &str) -> Option<&Proxy> {
        let own = if scheme == "https" { &self.https } else { &self.http };
        own.as_ref().or(self.all.as_ref())
    }
}

/// Hosts that are reached without a proxy, as in the variable `no_proxy`.
///
/// The text is a list, separated by commas or white space, of host names (which include all subdomains), addresses, and
/// networks such as `10.0.0.0/8`. Names and addresses may have a port. `*` stands for all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<String>);

impl From<&str> for NoProxy {
    fn from(text: &str) -> Self {
        let rules = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|rule| !rule.is_empty());
        NoProxy(rules.map(str::to_ascii_lowercase).collect())
    }
}

impl NoProxy {
    pub(crate) fn cover(&self, host: &str, port: u16) -> bool {
        // A trailing dot marks an absolute DNS name; we take all names as absolute.
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        self.0.iter().any(|rule| covers(rule, host, port))
    }
}

fn covers(rule: &str, host: &str, port: u16) -> bool {
    if rule == "*" {
        return true;
    }
    let address = plain_address(host);
    if let Some((network, length)) = rule.split_once('/') {
        let network = plain_address(network);
        return address.zip(network).is_some_and(|(address, network)| {
            length.parse().is_ok_and(|length| in_network(address, network, length))
        });
    }
    let (rule, wanted) = match rule.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, Some(digits)),
        _ => (rule, None),
    };
    if wanted.is_some_and(|wanted| wanted.parse() != Ok(port)) {
        return false;
    }
    if let Some(address) = address {
        return plain_address(rule) == Some(address);
    }
    let name = rule.trim_start_matches("*.").trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    host == name || host.strip_suffix(name).is_some_and(|rest| !name.is_empty() && rest.ends_with('.'))
}

/// Parse an address with or without brackets. An IPv4 address in IPv6 form becomes IPv4.
fn plain_address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn in_network(address: IpAddr, network: IpAddr, length: u32) -> bool {
    let bits = |address| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((address, width), (network, other)) = (bits(address), bits(network));
    width == other && length <= width && (length == 0 || (address ^ network) >> (128 - length) == 0)
}

/// Ask an HTTP proxy for a tunnel to a server (RFC 9110, 9.3.6).
pub(crate) fn connect(
    stream: &mut (impl Read + Write),
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> io::Result<()> {
    let target = authority(host, port);
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(auth) = &proxy.auth {
        request.push_str(&format!("Proxy-Authorization: {}\r\n", auth.header().expose()));
    }
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    stream.flush()?;
    let head = read_head(stream)?;
    let status = head.lines().next().unwrap_or_default();
    let code = status.strip_prefix("HTTP/").and_then(|status| status.split(' ').nth(1)?.parse().ok());
    match code {
        Some(200..=299) => Ok(()),
        // Some proxies answer 401, which is meant for servers.
        Some(code @ (401 | 407)) => {
            let offered = offer(challenges(&head));
            Err(refused(&format!("wants other credentials (HTTP {code}){offered}")))
        }
        Some(_) => Err(refused(&format!("answers {:?}", status.chars().take(200).collect::<String>()))),
        None => Err(refused("is not an HTTP proxy")),
    }
}

/// The challenges in the head of an answer.
fn challenges(head: &str) -> impl Iterator<Item = &str> {
    let is_challenge = |name: &str| {
        name.eq_ignore_ascii_case("proxy-authenticate") || name.eq_ignore_ascii_case("www-authenticate")
    };
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(move |(name, _)| is_challenge(name)).map(|(_, value)| value.trim())
}

/// Read the head of an answer byte by byte, since the bytes after it belong to the tunnel.
fn read_head(stream: &mut impl Read) -> io::Result<String> {
    const LIMIT: usize = 16 * 1024;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LIMIT || stream.read(&mut byte)? == 0 {
            return Err(refused("closed the connection"));
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Ask a SOCKS5 proxy for a connection to a server (RFC 1928), with a login if there is one (RFC 1929).
pub(crate) fn socks5(
    stream: &mut (impl Read + Write),
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> io::Result<()> {
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let methods: &[u8] = if proxy.auth.is_some() { &[5, 2, NO_LOGIN, PASSWORD] } else { &[5, 1, NO_LOGIN] };
    stream.write_all(methods)?;
    match (read_array(stream)?, &proxy.auth) {
        ([5, NO_LOGIN], _) => {}
        ([5, PASSWORD], Some(Auth::Basic { user, password })) => {
            let mut login = vec![1];
            push_text(&mut login, user)?;
            push_text(&mut login, password.expose())?;
            stream.write_all(&login)?;
            if read_array::<2>(stream)?[1] != 0 {
                return Err(refused("refuses the login"));
            }
        }
        ([5, _], _) => return Err(refused("requires a login")),
        _ => return Err(refused("is not a SOCKS5 proxy")),
    }
    let mut request = vec![5, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => request.extend([&[1][..], &address.octets()].concat()),
        Ok(IpAddr::V6(address)) => request.extend([&[4][..], &address.octets()].concat()),
        Err(_) => {
            request.push(3);
            push_text(&mut request, host)?;
        }
    }
    request.extend(port.to_be_bytes());
    stream.write_all(&request)?;
    let [version, reply, _, kind] = read_array(stream)?;
    if version != 5 {
        return Err(refused("is not a SOCKS5 proxy"));
    }
    if reply != 0 {
        return Err(refused(socks_reply(reply)));
    }
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => usize::from(read_array::<1>(stream)?[0]),
    };
    stream.read_exact(&mut vec![0; length + 2])
}

fn socks_reply(reply: u8) -> &'static str {
    match reply {
        2 => "does not allow this connection",
        3 => "cannot reach the server's network",
        4 => "cannot reach the server",
        5 => "was refused by the server",
        6 => "got no answer in time",
        _ => "failed",
    }
}

fn push_text(request: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| refused("accepts no text of more than 255 bytes"))?;
    request.push(length);
    request.extend(text.as_bytes());
    Ok(())
}

fn read_array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An error of the proxy; [`through`](super::dial::through) adds the name of the proxy.
fn refused(text: &str) -> io::Error {
    io::Error::other(text)
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn urls_of_proxies_are_understood_and_shown_without_their_login() {
        for (text, shown, has_login) in [
            ("proxy:3128", "http://proxy:3128", false),
            ("http://proxy", "http://proxy:80", false),
            ("https://u:p%40ss@proxy/", "https://proxy:443", true),
            ("socks5h://u:p@[::1]", "socks5://[::1]:1080", true),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.auth.is_some()), (shown, has_login));
            assert!(!format!("{proxy:?}").contains("p@ss"));
        }
        for text in [
            "",
            "ftp://proxy",
            "http://",
            "socks5://canary@",
            "http://canary:x@ho st",
            "http://canary:x@host:99999",
        ] {
            let fault = text.parse::<Proxy>().unwrap_err();
            assert!(!fault.to_string().contains("canary"), "{fault}");
        }
    }

    #[test]
    fn only_an_answer_in_http_that_agrees_opens_a_tunnel() {
        let proxy = "proxy:3128".parse().unwrap();
        for (answer, fault) in [
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.0 200\r\nVia: x\r\n\r\n", None),
            ("HTTP/1.1 407 \r\n\r\n", Some("wants other credentials (HTTP 407)")),
            (
                "HTTP/1.1 407 \r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate:NTLM\r\n\r\n",
                Some(
                    "wants other credentials (HTTP 407); it offers Negotiate, NTLM, which is not supported; use \
                     Basic or Bearer",
                ),
            ),
            ("HTTP/1.1 503 Busy\r\n\r\n", Some("answers \"HTTP/1.1 503 Busy\"")),
            ("SMTP 200 OK\r\n\r\n", Some("is not an HTTP proxy")),
            ("HTTP/1.1\r\n\r\n", Some("is not an HTTP proxy")),
            ("HTTP/1.1 200 OK\r\n", Some("closed the connection")),
        ] {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            there.write_all(answer.as_bytes()).unwrap();
            there.shutdown(Shutdown::Write).unwrap();
            let said = connect(&mut here, &proxy, "host", 443);
            assert_eq!(said.map_err(|err| err.to_string()).err().as_deref(), fault, "{answer:?}");
        }
    }

    #[test]
    fn exceptions_are_names_networks_and_ports() {
        for (rules, host, port, expected) in [
            ("", "host", 443, false),
            ("*", "host", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "EXAMPLE.com", 443, true),
            ("example.com", "git.example.com", 443, true),
            ("example.com", "badexample.com", 443, false),
            (".example.com, other", "git.example.com", 443, true),
            ("*.example.com", "git.example.com", 443, true),
            ("example.com:8443", "example.com", 443, false),
            ("example.com:8443", "example.com", 8443, true),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("0.0.0.0/0", "8.8.8.8", 80, true),
            ("10.0.0.0/8", "name", 80, false),
            ("fd00::/8", "fd12::1", 80, true),
            ("[::1]:80", "::1", 80, true),
            ("::1", "::1", 443, true),
            ("10.0.0.0/99", "10.0.0.1", 80, false),
            ("example.com.", "example.com", 443, true),
            ("example.com", "example.com.", 443, true),
            ("Example.com.:443", "git.example.com.", 443, true),
            (".example.com.", "git.example.com", 443, true),
            (".", "example.com.", 443, false),
            ("other\nexample.com", "example.com", 443, true),
            ("example.com:https", "example.com", 443, false),
            ("example.com/8", "example.com", 443, false),
            ("fd00:0::1", "fd00::1", 443, true),
            ("[fd00::]/8", "fd12::1", 80, true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", 80, true),
            (".1", "10.0.0.1", 80, false),
            ("0.0.1", "10.0.0.1", 80, false),
        ] {
            assert_eq!(NoProxy::from(rules).cover(host, port), expected, "{rules} {host}:{port}");
        }
    }
}
