//! URLs of relays. They are parsed here, once.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use sync_core::ParseError;

/// The bucket of a NATS URL that names none.
const DEFAULT_BUCKET: &str = "syncline";

const DEFAULT_PORT: u16 = 4222;

/// What no URL contains as it is.
const NOT_IN_URLS: &str = " \\#\"<>^`{|}";

/// What is encoded in a path, and in a parameter.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'\\')
    .add(b'#')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'%');
const IN_PARAMETER: &AsciiSet = &IN_PATH.add(b'&');

/// Where a relay is: servers of NATS, files below a URL, a bucket of S3, or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayUrl(pub(super) Place);

/// What kind of engine a URL leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// NATS JetStream.
    Nats,
    /// Files over HTTP, to be read only.
    Http,
    /// Objects in a bucket of S3, or of something that speaks like it.
    S3,
    /// Files in a directory.
    Directory,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nats(NatsUrl),
    /// Without a slash at its end.
    Http(String),
    S3(S3Url),
    Directory(PathBuf),
}

/// Servers of one cluster, and a bucket on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NatsUrl {
    /// Such as `nats://host:4222`.
    pub(super) servers: Vec<String>,
    pub(super) requires_tls: bool,
    pub(super) bucket: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct S3Url {
    pub(super) bucket: String,
    /// Without slashes at its ends; may be empty.
    pub(super) prefix: String,
    pub(super) region: String,
    /// For other servers than those of AWS.
    pub(super) endpoint: Option<String>,
}

impl RelayUrl {
    /// What it leads to.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        match &self.0 {
            Place::Nats(_) => EngineKind::Nats,
            Place::Http(_) => EngineKind::Http,
            Place::S3(_) => EngineKind::S3,
            Place::Directory(_) => EngineKind::Directory,
        }
    }
}

impl EngineKind {
    /// Whether it tells news without being asked.
    #[must_use]
    pub fn tells_news(self) -> bool {
        self == EngineKind::Nats
    }

    /// Whether a feeder can write to it.
    #[must_use]
    pub fn can_be_written(self) -> bool {
        self != EngineKind::Http
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Nats(url) => {
                f.write_str(&url.servers.join(","))?;
                if url.bucket == DEFAULT_BUCKET { Ok(()) } else { write!(f, "/{}", url.bucket) }
            }
            Place::Http(base) => f.write_str(base),
            Place::S3(url) => url.fmt(f),
            Place::Directory(path) => {
                write!(f, "file://{}", utf8_percent_encode(&path.to_string_lossy(), IN_PATH))
            }
        }
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}?region={}", self.bucket, self.prefix, self.region)?;
        let shown = |endpoint| utf8_percent_encode(endpoint, IN_PARAMETER);
        self.endpoint.iter().try_for_each(|endpoint| write!(f, "&endpoint={}", shown(endpoint)))
    }
}

impl FromStr for RelayUrl {
    type Err = ParseError;

    /// Accepts `nats://host[:4222][/bucket]`, `tls://…`, several of these separated by commas, `https://…`, `http://…`,
    /// `s3://bucket/prefix?region=…&endpoint=…` and `file:///directory`.
    ///
    /// # Errors
    ///
    /// The text is no such URL. The error does not quote it, since it may contain a password.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err("is empty".into());
        }
        check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(UNKNOWN)?;
        match scheme {
            "nats" | "tls" => parse_nats(scheme, text).map(Place::Nats),
            "http" | "https" => parse_http(scheme, rest).map(Place::Http),
            "s3" => parse_s3(rest).map(Place::S3),
            "file" => parse_file(rest).map(Place::Directory),
            _ => Err(UNKNOWN.into()),
        }
        .map(RelayUrl)
    }
}

fn check_characters(text: &str) -> Result<(), ParseError> {
    match text.chars().find(|c| c.is_control() || NOT_IN_URLS.contains(*c)) {
        Some(c) => Err(format!("contains the character {c:?}").into()),
        None => Ok(()),
    }
}

const UNKNOWN: &str = "has an unknown scheme; use nats, tls, https, http, s3 or file";

fn parse_nats(scheme: &str, text: &str) -> Result<NatsUrl, ParseError> {
    let (mut servers, mut bucket) = (Vec::new(), None);
    for part in text.split(',') {
        let rest = match part.split_once("://") {
            Some((other, _)) if other != scheme => {
                return Err("names servers with different schemes; use nats or tls for all of them".into());
            }
            Some((_, rest)) => rest,
            None => part,
        };
        let (authority, named) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority)?;
        servers.push(format!("{scheme}://{host}:{}", port.unwrap_or(DEFAULT_PORT)));
        if !named.is_empty() && bucket.replace(named).is_some_and(|other| other != named) {
            return Err("names different buckets; one is enough, after the last server".into());
        }
    }
    let bucket = bucket.unwrap_or(DEFAULT_BUCKET);
    if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Err("has a bucket with other characters than letters, digits, dashes and underscores".into());
    }
    Ok(NatsUrl { servers, requires_tls: scheme == "tls", bucket: bucket.to_owned() })
}

/// A host as URLs have it, and a port.
fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), ParseError> {
    if authority.contains('@') {
        return Err("contains a login; give it by --relay-username and --relay-password-file".into());
    }
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end..].split_once(':') {
        Some((name, port)) => (&authority[..end + name.len()], Some(port)),
        None => (authority, None),
    };
    let is_name =
        |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) if address.parse::<Ipv6Addr>().is_ok() => {}
        None if host.is_empty() => return Err("names no host".into()),
        None if is_name(host) && !host.starts_with('-') => {}
        _ => return Err("has an invalid host".into()),
    }
    let invalid = "has a port that is not a number between 1 and 65535";
    match port.map(str::parse::<u16>) {
        None => Ok((host, None)),
        Some(Ok(port @ 1..)) => Ok((host, Some(port))),
        Some(_) => Err(invalid.into()),
    }
}

fn parse_http(scheme: &str, rest: &str) -> Result<String, ParseError> {
    if rest.contains('?') {
        return Err("has a query, which does not belong into the base of files".into());
    }
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    host_and_port(authority)?;
    Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
}

fn parse_s3(rest: &str) -> Result<S3Url, ParseError> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    host_and_port(bucket)?;
    if bucket.contains([':', '[', '_']) {
        return Err("has an invalid bucket".into());
    }
    let prefix = prefix.trim_matches('/');
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['%', '?', '*']);
    if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
        return Err("has an invalid prefix".into());
    }
    let (mut region, mut endpoint) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value =
            percent_decode_str(value).decode_utf8().map_err(|_| "is not UTF-8 after percent-decoding")?;
        match key {
            "region" => region = Some(value.into_owned()),
            "endpoint" => endpoint = Some(parse_endpoint(&value)?),
            _ => return Err("has another parameter than region and endpoint".into()),
        }
    }
    let region = region.unwrap_or_else(|| "us-east-1".into());
    if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("has an invalid region".into());
    }
    Ok(S3Url { bucket: bucket.to_owned(), prefix: prefix.to_owned(), region, endpoint })
}

fn parse_endpoint(text: &str) -> Result<String, ParseError> {
    check_characters(text)?; // it was encoded
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        return Err("has an endpoint that begins with neither https:// nor http://".into());
    }
    parse_http(scheme, rest)
}

fn parse_file(rest: &str) -> Result<PathBuf, ParseError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("needs an absolute path: file:///path/to/directory".into());
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "is not UTF-8 after percent-decoding")?;
    if path.chars().any(char::is_control) {
        return Err("contains an encoded control character".into());
    }
    Ok(path.into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_and_shown() {
        for (text, shown, kind) in [
            ("nats://host", "nats://host:4222", EngineKind::Nats),
            ("nats://host:1/b_-9", "nats://host:1/b_-9", EngineKind::Nats),
            ("nats://host/syncline", "nats://host:4222", EngineKind::Nats),
            ("tls://a,b:1,tls://[::1]:2/x", "tls://a:4222,tls://b:1,tls://[::1]:2/x", EngineKind::Nats),
            ("nats://a/x,nats://b/x", "nats://a:4222,nats://b:4222/x", EngineKind::Nats),
            ("https://h/relay/", "https://h/relay", EngineKind::Http),
            ("http://[::1]:80", "http://[::1]:80", EngineKind::Http),
            ("s3://b", "s3://b?region=us-east-1", EngineKind::S3),
            (
                "s3://b/p/q/?region=eu-1&endpoint=http%3A%2F%2Fh:1/",
                "s3://b/p/q?region=eu-1&endpoint=http://h:1",
                EngineKind::S3,
            ),
            (
                "s3://b?endpoint=http://h/a%26region=b%2525",
                "s3://b?region=us-east-1&endpoint=http://h/a%26region=b%2525",
                EngineKind::S3,
            ),
            ("file:///srv/a%20b%2520c", "file:///srv/a%20b%2520c", EngineKind::Directory),
        ] {
            let url: RelayUrl = text.parse().expect(text);
            assert_eq!((url.to_string().as_str(), url.kind()), (shown, kind));
            assert_eq!(shown.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_url_of_a_relay_is_refused_without_being_quoted() {
        for text in [
            "",
            "secret",
            "secret://host",
            "nats://",
            "nats://user:secret@host",
            "nats://host:secret",
            "nats://host:0",
            "nats://host/se.cret",
            "nats://host/a/b",
            "nats://a,tls://b",
            "nats://a/x,nats://b/y",
            "nats://a b",
            "nats://a\r\nsecret",
            "nats://-secret",
            "nats://[secret]",
            "tls://a?secret",
            "https://user:secret@host/",
            "https://host/?secret",
            "https://",
            "s3://",
            "s3://secret@b",
            "s3://b/../secret",
            "s3://b?secret=x",
            "s3://b?endpoint=ftp://secret",
            "s3://b?endpoint=http://u:secret@h",
            "s3://b?endpoint=http://h/%0asecret",
            "s3://b?endpoint=http://h/%20secret",
            "s3://b?region=/secret",
            "file://secret/x",
            "file:///%0asecret",
        ] {
            let err = text.parse::<RelayUrl>().expect_err(text);
            assert!(!err.to_string().contains("secret"), "{err}");
        }
        let err = "nats://u@h".parse::<RelayUrl>().unwrap_err().to_string();
        assert!(err.contains("--relay-username and --relay-password-file"), "{err}");
    }
}
