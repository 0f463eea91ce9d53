//! `ssh://` URLs, and Git's short form `[user@]host:path`.

use std::fmt;
use std::net::Ipv6Addr;

use super::{parse_uri, percent_decode, port};
use crate::error::ParseError;

const DEFAULT_PORT: u16 = 22;

/// OpenSSH uses the name of the local user, but a container may have none.
const DEFAULT_USER: &str = "git";

/// The user, the server and the repository of an SSH URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SshUrl {
    /// The text before the path, as given.
    start: String,
    /// The path as given, without slashes at the end.
    rest: String,
    names_user: bool,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Absolute, relative to the home of the user, or beginning with `~`.
    pub(crate) path: String,
}

impl SshUrl {
    /// `ssh://[user@]host[:port]/path`
    pub(super) fn parse(text: &str) -> Result<SshUrl, ParseError> {
        let uri = parse_uri(text)?;
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| percent_decode(user)).transpose()?;
        let host = uri.host().unwrap_or_default();
        let port = port(&uri)?.unwrap_or(DEFAULT_PORT);
        let rest = uri.path().trim_end_matches('/');
        let start = text.find("://").map_or(0, |at| at + 3) + authority.len();
        let host = host.trim_matches(['[', ']']);
        ParsedUrl { user, host, port, path: &percent_decode(rest)? }.check(&text[..start], rest)
    }

    /// `[user@]host:path`. Brackets enclose an IPv6 address, or a host and its port.
    pub(super) fn parse_short(text: &str) -> Result<SshUrl, ParseError> {
        let colon = text.find(':').unwrap_or(text.len());
        let bracket = if text.starts_with('[') { Some(0) } else { text[..colon].find("@[").map(|at| at + 1) };
        let (server, path) = match bracket {
            None => text.split_once(':').ok_or("names no path")?,
            Some(_) => text.split_once("]:").ok_or("has a bracket that is not closed")?,
        };
        let (user, server) = match bracket {
            Some(at @ 1..) => (Some(&server[..at - 1]), &server[at + 1..]),
            _ => match server.trim_start_matches('[').rsplit_once('@') {
                Some((user, server)) => (Some(user), server),
                None => (None, server.trim_start_matches('[')),
            },
        };
        let (host, port) = match server.split_once(':') {
            Some((host, port)) if server.parse::<Ipv6Addr>().is_err() => (host, parse_port(port)?),
            _ => (server, DEFAULT_PORT),
        };
        // `name::address` is Git's syntax for a remote helper.
        if bracket.is_none() && path.starts_with(':') {
            return Err("names a remote helper, and no helper programs are run".into());
        }
        // The user means `user:password@host:path`.
        if path.split_once('@').is_some_and(|(_, rest)| rest.contains(':')) {
            return Err(NO_PASSWORD.into());
        }
        let rest = path.trim_end_matches('/');
        let parsed = ParsedUrl { user: user.map(ToOwned::to_owned), host, port, path: rest };
        parsed.check(&text[..text.len() - path.len()], rest)
    }

    pub(super) fn is_short(&self) -> bool {
        !self.start.contains("://")
    }

    pub(super) fn names_user(&self) -> bool {
        self.names_user
    }

    /// The part that a relative URL keeps, and the path that it is joined to.
    pub(super) fn parts(&self) -> (&str, &str) {
        (&self.start, &self.rest)
    }

    /// The path as it is in the URL, percent-decoded: with the slash before a `~`, which is not part of the path for
    /// Git.
    pub(crate) fn decoded_path(&self) -> String {
        if self.is_short() {
            return self.path.clone();
        }
        percent_decode(&self.rest).unwrap_or_else(|_| self.path.clone())
    }

    /// Whether one session can serve both URLs.
    pub(crate) fn is_same_server(&self, other: &SshUrl) -> bool {
        (&self.user, &self.host, self.port) == (&other.user, &other.host, other.port)
    }
}

impl fmt::Display for SshUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.start, self.rest)
    }
}

const NO_PASSWORD: &str = "contains a password, but ssh:// takes none; use a key";

fn parse_port(text: &str) -> Result<u16, ParseError> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err("has a port that is not a number between 1 and 65535".into()),
    }
}

/// The parts of a URL before they are checked.
struct ParsedUrl<'a> {
    user: Option<String>,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl ParsedUrl<'_> {
    fn check(self, start: &str, rest: &str) -> Result<SshUrl, ParseError> {
        let ParsedUrl { user, host, port, path } = self;
        let names_user = user.is_some();
        let user = user.unwrap_or_else(|| DEFAULT_USER.to_owned());
        if user.contains(':') {
            return Err(NO_PASSWORD.into());
        }
        // The host is looked up in known_hosts, where other characters have a special meaning.
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c)) {
            return Err("names no host".into());
        }
        if user.is_empty() {
            return Err("has an empty user name".into());
        }
        if path.is_empty() {
            return Err("names no repository".into());
        }
        let path = if path.starts_with("/~") { &path[1..] } else { path };
        for (part, text) in [("user", user.as_str()), ("host", host), ("path", path)] {
            if text.starts_with('-') {
                return Err(format!("has a {part} that begins with a dash").into());
            }
        }
        let (start, rest) = (start.to_owned(), rest.to_owned());
        let (host, path) = (host.to_ascii_lowercase(), path.to_owned());
        Ok(SshUrl { start, rest, names_user, user, host, port, path })
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ParseError;
    use crate::url::Kind;
    use crate::url::RemoteUrl;

    fn parse(text: &str) -> Result<RemoteUrl, ParseError> {
        text.parse()
    }

    #[test]
    fn ssh_urls_say_who_where_and_what() {
        for (text, user, host, port, path, name) in [
            ("ssh://host/a/b.git", "git", "host", 22, "/a/b.git", "b.git"),
            ("ssh://me@HOST:2222/a/b/", "me", "host", 2222, "/a/b", "b"),
            ("ssh://host:/x", "git", "host", 22, "/x", "x"),
            ("git+ssh://git@[::1]:1/x", "git", "::1", 1, "/x", "x"),
            ("ssh+git://me%40corp@host/a%20b", "me@corp", "host", 22, "/a b", "a%20b"),
            ("ssh://host/~me/x", "git", "host", 22, "~me/x", "x"),
            ("ssh://host/~/x", "git", "host", 22, "~/x", "x"),
            ("git@host:group/x.git", "git", "host", 22, "group/x.git", "x.git"),
            ("host:/srv/x", "git", "host", 22, "/srv/x", "x"),
            ("host:repo", "git", "host", 22, "repo", "host:repo"),
            ("me@host:~/x", "me", "host", 22, "~/x", "x"),
            ("host:/~me/x/", "git", "host", 22, "~me/x", "x"),
            ("[::1]:x/y", "git", "::1", 22, "x/y", "y"),
            ("me@[2001:db8::1]:/x", "me", "2001:db8::1", 22, "/x", "x"),
            ("[host:2222]:x/y", "git", "host", 2222, "x/y", "y"),
            ("[me@host:2222]:x/y", "me", "host", 2222, "x/y", "y"),
            ("me@[host:2222]:x/y", "me", "host", 2222, "x/y", "y"),
            ("[me@host]:x/y", "me", "host", 22, "x/y", "y"),
            ("me@host:it's/a b%41", "me", "host", 22, "it's/a b%41", "a b%41"),
        ] {
            let url = parse(text).unwrap_or_else(|err| panic!("{text}: {err}"));
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
            assert_eq!(url.last_component(), name, "{text}");
            let Kind::Ssh(url) = url.0 else { panic!("{text}") };
            let found = (url.user.as_str(), url.host.as_str(), url.port, url.path.as_str());
            assert_eq!(found, (user, host, port, path), "{text}");
        }
    }

    #[test]
    fn hostile_and_incomplete_urls_are_refused_without_quoting_them() {
        for text in [
            "ssh://",
            "ssh://host",
            "ssh://host/",
            "ssh:///x",
            "ssh://-oProxyCommand=secret/x",
            "ssh://-secret@host/x",
            "ssh://%2dsecret@host/x",
            "ssh://@host/x",
            "ssh://me:secret@host/x",
            "ssh://me%3asecret@host/x",
            "ssh://host:0/x",
            "ssh://host:99999/x",
            "ssh://host:secret/x",
            "ssh://host/%0asecret",
            "ssh://m%0ae@host/x",
            "ssh://good#@evil/x",
            "ssh://*/x",
            "host:",
            ":x",
            "@host:x",
            "-secret@host:x",
            "-oProxyCommand=secret:x",
            "host:-secret",
            "host:secret\nx",
            "me:secret@host:x",
            "[me:secret@host]:x",
            "[::1:x",
            "[host:x]:y",
            "a*:x",
            "a,b:x",
        ] {
            let err = parse(text).expect_err(text);
            assert!(!err.to_string().contains("secret"), "{err}");
        }
    }

    #[test]
    fn only_a_url_can_hold_a_login() {
        for (text, expected) in
            [("ssh://me@host/x", true), ("ssh://host/x", false), ("me@host:x", false), ("host:x", false)]
        {
            assert_eq!(parse(text).unwrap().has_login(), expected, "{text}");
        }
    }
}
