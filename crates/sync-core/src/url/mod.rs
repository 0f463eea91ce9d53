//! URLs of repositories. They are parsed here, once; nothing else in the crate looks at the text of a URL.

pub(crate) mod scope;
pub(crate) mod ssh;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;

use crate::error::ParseError;
use crate::paths::without_dots;
use crate::secret::Auth;

use scope::UrlScope;
use ssh::SshUrl;

/// The URL of a repository, or its local path. `Display` and `Debug` show neither the password nor the user name of an
/// HTTP URL.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(pub(crate) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Http(HttpUrl),
    /// `git://host[:port]/path`
    Git {
        host: String,
        port: u16,
        path: String,
    },
    Ssh(SshUrl),
    Local(PathBuf),
    /// Not a repository, but what relays one.
    Relay(String),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl {
    /// Without user information and without a trailing slash.
    pub(crate) base: String,
    /// User and password, decoded.
    pub(crate) login: Option<Auth>,
}

impl HttpUrl {
    pub(crate) fn scope(&self) -> Option<UrlScope> {
        self.base.parse().ok()
    }

    /// Scheme, host and port, as they are written.
    fn server(&self) -> &str {
        let start = self.base.find("://").map_or(0, |at| at + 3);
        let length = self.base[start..].find('/').unwrap_or(self.base.len() - start);
        &self.base[..start + length]
    }
}

impl RemoteUrl {
    /// Stands for a repository whose URL is not known, since a [`Relay`](crate::Relay) has it: `text` names the relay.
    #[must_use]
    pub fn of_relay(text: impl Into<String>) -> Self {
        RemoteUrl(Kind::Relay(text.into()))
    }

    /// Git's name of the protocol: `https`, `http`, `git`, `ssh`, or `file` for a path.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match &self.0 {
            Kind::Http(url) if url.base.starts_with("https:") => "https",
            Kind::Http(_) => "http",
            Kind::Git { .. } => "git",
            Kind::Ssh(_) => "ssh",
            Kind::Local(_) => "file",
            Kind::Relay(_) => "relay",
        }
    }

    /// The URL that `relative` (`./x`, `../x`) means in the `.gitmodules` of the repository at this URL.
    pub(crate) fn join(&self, relative: &str) -> Result<RemoteUrl, ParseError> {
        let mut decoded = None;
        let (prefix, path) = match &self.0 {
            Kind::Http(url) => url.base.split_at(url.server().len()),
            Kind::Git { path, .. } => {
                decoded = Some(percent_decode(relative)?); // `path` is decoded, too
                ("", path.as_str())
            }
            Kind::Ssh(url) => url.parts(),
            Kind::Local(path) => return Ok(RemoteUrl(Kind::Local(without_dots(&path.join(relative))))),
            Kind::Relay(_) => return Err("is relative to a relay; give the repository's URL".into()),
        };
        let relative = decoded.as_deref().unwrap_or(relative);
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part != ".." {
                parts.push(part);
            } else if parts.pop().is_none() {
                return Err("leads above the root of the server".into());
            }
        }
        let is_home = matches!(&self.0, Kind::Ssh(url) if url.is_short() && !path.starts_with('/'));
        let root = if is_home { "" } else { "/" };
        let joined = format!("{prefix}{root}{}", parts.join("/"));
        match &self.0 {
            Kind::Git { host, port, .. } if joined.len() > 1 => {
                Ok(RemoteUrl(Kind::Git { host: host.clone(), port: *port, path: joined }))
            }
            Kind::Git { .. } => Err(NO_REPOSITORY.into()),
            _ => joined.parse(),
        }
    }

    /// This URL with the login of `other`, if that has the same origin and this one has no login.
    pub(crate) fn with_login_of(mut self, other: &RemoteUrl) -> Self {
        if let (Kind::Http(url), Kind::Http(other)) = (&mut self.0, &other.0)
            && url.login.is_none()
            && url.scope().map(UrlScope::origin) == other.scope().map(UrlScope::origin)
        {
            url.login.clone_from(&other.login);
        }
        self
    }

    /// The origin (scheme, host and port), which a login over HTTP must not leave; `None` for URLs that are not HTTP.
    #[must_use]
    pub fn origin(&self) -> Option<UrlScope> {
        match &self.0 {
            Kind::Http(url) => url.scope().map(UrlScope::origin),
            Kind::Git { .. } | Kind::Ssh(_) | Kind::Local(_) | Kind::Relay(_) => None,
        }
    }

    /// A name for the server: two repositories with the same name are on the same one. A local path is its own.
    #[must_use]
    pub fn server(&self) -> String {
        match &self.0 {
            Kind::Http(url) => url.server().to_ascii_lowercase(),
            Kind::Git { host, port, .. } => format!("git://{host}:{port}"),
            Kind::Ssh(url) => format!("ssh://{}@{}:{}", url.user, url.host, url.port),
            Kind::Local(path) => path.to_string_lossy().into_owned(),
            Kind::Relay(text) => text.clone(),
        }
    }

    /// The texts of its login that errors must not quote.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match &self.0 {
            Kind::Http(url) => url.login.iter().flat_map(Auth::secrets).collect(),
            Kind::Git { .. } | Kind::Ssh(_) | Kind::Local(_) | Kind::Relay(_) => Vec::new(),
        }
    }

    /// Whether the URL contains a user name.
    #[must_use]
    pub fn has_login(&self) -> bool {
        match &self.0 {
            Kind::Http(url) => url.login.is_some(),
            Kind::Ssh(url) => url.names_user() && !url.is_short(),
            Kind::Git { .. } | Kind::Local(_) | Kind::Relay(_) => false,
        }
    }

    /// The text after the last slash, with `.git` if it is there. This is git-sync's default name of the link.
    #[must_use]
    pub fn last_component(&self) -> String {
        let path = match &self.0 {
            Kind::Http(url) => url.base.clone(),
            Kind::Git { path, .. } => path.clone(),
            Kind::Ssh(url) => url.to_string(),
            Kind::Local(path) => without_dots(path).to_string_lossy().into_owned(),
            Kind::Relay(text) => text.clone(),
        };
        path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The same URL, with a relative local path resolved against `base`.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self.0 {
            Kind::Local(path) => RemoteUrl(Kind::Local(base.join(path).components().collect())),
            other => RemoteUrl(other),
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Http(url) => f.write_str(&url.base),
            Kind::Git { host, port: DEFAULT_GIT_PORT, path } => write!(f, "git://{}{path}", bracketed(host)),
            Kind::Git { host, port, path } => write!(f, "git://{}:{port}{path}", bracketed(host)),
            Kind::Ssh(url) => url.fmt(f),
            Kind::Local(path) => path.display().fmt(f),
            Kind::Relay(text) => f.write_str(text),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

const DEFAULT_GIT_PORT: u16 = 9418;

impl FromStr for RemoteUrl {
    type Err = ParseError;

    /// Accepts `https://`, `http://`, `ssh://`, `[user@]host:path`, `git://`, `file://` and paths.
    ///
    /// # Errors
    ///
    /// The text is no such URL. The error does not quote it, since it may contain a password.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err("is empty".into());
        }
        if text.chars().any(char::is_control) {
            return Err("contains a control character".into());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.find([':', '/']) {
                Some(at) if text[at..].starts_with(':') => {
                    SshUrl::parse_short(text).map(|url| RemoteUrl(Kind::Ssh(url)))
                }
                _ => Ok(RemoteUrl(Kind::Local(text.into()))),
            };
        };
        match scheme {
            "http" | "https" => parse_http(text).map(|url| RemoteUrl(Kind::Http(url))),
            "git" => parse_git(text).map(RemoteUrl),
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err("a file URL needs an absolute path: file:///path/to/repository".into());
                }
                Ok(RemoteUrl(Kind::Local(percent_decode(path)?.into())))
            }
            "ssh" | "git+ssh" | "ssh+git" => SshUrl::parse(text).map(|url| RemoteUrl(Kind::Ssh(url))),
            _ => Err("has an unknown scheme; use https, http, ssh, git, file or a plain path".into()),
        }
    }
}

/// Uses the parser of the HTTP client, so that both agree on the host.
fn parse_uri(text: &str) -> Result<Uri, ParseError> {
    if let Some(c) = text.chars().find(|c| " \\?#\"<>^`{|}".contains(*c)) {
        return Err(format!("contains the character {c:?}; percent-encode it").into());
    }
    let uri: Uri = text.parse().map_err(|err| format!("is not a valid URL: {err}"))?;
    match uri.host() {
        None | Some("") => Err("names no host".into()),
        Some(host) if host.starts_with('-') => Err("has a host that begins with a dash".into()),
        // The parser takes the last @ to be before the host, even one in brackets.
        Some(host) if !host.starts_with('[') && host.contains(['[', ']']) => Err("names no host".into()),
        Some(_) => port(&uri).map(|_| uri),
    }
}

/// The port in a URL. The parser ignores a port that is not a number, so we check the text.
pub(crate) fn port(uri: &Uri) -> Result<Option<u16>, ParseError> {
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    match server
        .strip_prefix(uri.host().unwrap_or_default())
        .map(|rest| rest.strip_prefix(':').unwrap_or(rest))
    {
        Some("") => Ok(None),
        given => match given.unwrap_or_default().parse() {
            Ok(port @ 1..) => Ok(Some(port)),
            _ => Err("has a port that is not a number between 1 and 65535".into()),
        },
    }
}

const NO_REPOSITORY: &str = "names no repository";

fn parse_http(text: &str) -> Result<HttpUrl, ParseError> {
    let uri = parse_uri(text)?;
    if uri.host().is_some_and(|host| host.contains('*')) {
        return Err("has a wildcard as its host".into());
    }
    text.parse::<UrlScope>()?;
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    let (login, host) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((info, host)) => {
            let (user, password) = info.split_once(':').unwrap_or((info, ""));
            (Some(Auth::basic(percent_decode(user)?, percent_decode(password)?)), host)
        }
    };
    percent_decode(uri.path())?; // it may hide control characters
    let scheme = uri.scheme_str().unwrap_or_default();
    Ok(HttpUrl { base: format!("{scheme}://{host}{}", uri.path().trim_end_matches('/')), login })
}

fn parse_git(text: &str) -> Result<Kind, ParseError> {
    let uri = parse_uri(text)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("names a user, but git:// has no users".into());
    }
    let path = percent_decode(uri.path())?;
    if path.len() < 2 {
        return Err(NO_REPOSITORY.into());
    }
    Ok(Kind::Git {
        host: uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(DEFAULT_GIT_PORT),
        path,
    })
}

fn percent_decode(text: &str) -> Result<String, ParseError> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "is not UTF-8 after percent-decoding")?;
    if decoded.chars().any(char::is_control) {
        Err("contains an encoded control character".into())
    } else {
        Ok(decoded.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RemoteUrl, ParseError> {
        text.parse()
    }

    #[test]
    fn urls_are_understood_and_shown_without_user_information() {
        for (text, shown, name) in [
            ("https://host/a/b.git", "https://host/a/b.git", "b.git"),
            ("https://host/a/b/", "https://host/a/b", "b"),
            ("https://u:p%40ss@host:8443/b", "https://host:8443/b", "b"),
            ("https://token@host/b", "https://host/b", "b"),
            ("http://[::1]:80/b", "http://[::1]:80/b", "b"),
            ("git://host/b.git", "git://host/b.git", "b.git"),
            ("git://host:1/b.git", "git://host:1/b.git", "b.git"),
            ("git://[::1]:1/b", "git://[::1]:1/b", "b"),
            ("file:///srv/a%20b.git", "/srv/a b.git", "a b.git"),
            ("/srv/x.git", "/srv/x.git", "x.git"),
            ("./dir:colon/x", "./dir:colon/x", "x"),
            ("relative", "relative", "relative"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.last_component(), name);
            assert!(!format!("{url:?}").contains("p@ss"));
        }
    }

    #[test]
    fn relative_paths_are_taken_from_the_base_and_name_the_link() {
        for (text, shown, name) in [
            (".", "/base/dir", "dir"),
            ("..", "/base/dir/..", "base"),
            ("../x/./y", "/base/dir/../x/y", "y"),
            ("/abs", "/abs", "abs"),
            ("file:///f", "/f", "f"),
        ] {
            let url = parse(text).unwrap().relative_to("/base/dir".as_ref());
            assert_eq!((url.to_string().as_str(), url.last_component().as_str()), (shown, name));
        }
    }

    #[test]
    fn the_login_is_decoded() {
        let Kind::Http(url) = parse("https://me:p%40s%3As@host/x").unwrap().0 else { panic!() };
        assert_eq!(url.login, Some(Auth::basic("me", "p@s:s")));
    }

    #[test]
    fn deceptive_and_foreign_urls_are_refused_without_quoting_them() {
        for text in [
            "",
            "https://",
            "https:///x",
            "https://good?@evil/x",
            "https://good#@evil/x",
            "https://good\\@evil/x",
            "https://host/a b",
            "https://host:99999/x",
            "https://host:8o80/x",
            "http://[::1]x:80/y",
            "https://secret@[::@]:/x",
            "https://[secret@]x/y",
            "git://host:0/x",
            "https://host/\nx",
            "https://u:%0asecret@host/x",
            "https://-oProxy=x/y",
            "https://*.secret/x",
            "https://host:secret/x",
            "https://host:65536/x",
            "git://user@host/x",
            "git://host/",
            "git://host/%00",
            "file://host/x",
            "ftp://host/x",
            "ext::sh -c secret",
        ] {
            let err = parse(text).expect_err(text);
            assert!(!err.to_string().contains("secret"), "{err}");
        }
    }
}
