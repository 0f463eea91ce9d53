//! Who may log in where over HTTP. What is secret here is never printed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for whoever has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What shows who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// RFC 7617.
    Basic {
        /// The user's name.
        user: String,
        /// A password or token.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
}

impl Auth {
    /// A user name and password.
    pub fn basic(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Auth::Basic { user: user.into(), password: password.into() }
    }

    /// The value of the header `Authorization`.
    pub fn header(&self) -> Secret {
        match self {
            Auth::Basic { user, password } => {
                format!("Basic {}", BASE64.encode(format!("{user}:{}", password.expose()))).into()
            }
            Auth::Bearer(token) => format!("Bearer {}", token.expose()).into(),
        }
    }

    /// Everything that must not be repeated.
    pub(crate) fn secrets(&self) -> [String; 2] {
        let (Auth::Basic { password: secret, .. } | Auth::Bearer(secret)) = self;
        let header = self.header();
        let sent = header.expose().split_once(' ').map_or("", |(_, sent)| sent);
        [secret.expose().to_owned(), sent.to_owned()]
    }
}

/// A login for part of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Where it may go.
    pub scope: Scope,
    /// What to show there.
    pub auth: Auth,
}

/// Where a login may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To URLs that begin with this, by whole parts: `https://host/a` is not for `https://host/ab`, nor
    /// `https://host` for `https://host.evil`.
    Beginning(String),
    /// To every port of a host, over HTTP and HTTPS: what a `.netrc` says.
    Host(String),
}

impl Scope {
    /// How closely this fits a URL; `None` where it does not. Any beginning fits closer than a host.
    fn fit(&self, url: &str) -> Option<usize> {
        match self {
            Scope::Beginning(with) => begins(url, with).then(|| 1 + with.trim_end_matches('/').len()),
            Scope::Host(name) => (host(url)? == name.to_ascii_lowercase()).then_some(0),
        }
    }
}

/// A cookie and the servers that may have it, as RFC 6265 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The host, or with `subdomains` the end of its name; without a leading dot.
    pub domain: String,
    /// Whether hosts below `domain` get it too.
    pub subdomains: bool,
    /// The beginning of the paths.
    pub path: String,
    /// For HTTPS only.
    pub secure: bool,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Secret,
}

impl Cookie {
    fn is_for(&self, url: &str) -> bool {
        let Some(host) = host(url) else { return false };
        let domain = self.domain.to_ascii_lowercase();
        let is_below = || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
        let path = url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or("/");
        (host == domain || (self.subdomains && is_below()))
            && begins(path, &self.path)
            && (!self.secure || url.starts_with("https://"))
    }
}

/// Everything to log in with over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// For the source and other repositories of its server, unless the URL itself says otherwise.
    pub own: Option<Auth>,
    /// For others and for parts of servers: what fits closest counts, of equals the last.
    pub logins: Vec<Login>,
    /// Sent to whom they are for.
    pub cookies: Vec<Cookie>,
}

impl Credentials {
    pub(crate) fn login_for(&self, url: &str) -> Option<&Auth> {
        let fitting = self.logins.iter().filter_map(|login| Some((login.scope.fit(url)?, &login.auth)));
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, auth)| auth)
    }

    /// Everything that must not be repeated.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let logins = self.logins.iter().map(|login| &login.auth).chain(&self.own).flat_map(Auth::secrets);
        logins.chain(self.cookies.iter().map(|cookie| cookie.value.expose().to_owned())).collect()
    }

    /// The value of the header `Cookie`, where there is any.
    pub(crate) fn cookies_for(&self, url: &str) -> Option<String> {
        let fitting = self.cookies.iter().filter(|cookie| cookie.is_for(url));
        let pairs: Vec<_> =
            fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value.expose())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Whether a URL begins with another, by whole parts.
pub(crate) fn begins(url: &str, with: &str) -> bool {
    let rest = url.strip_prefix(with.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn host(url: &str) -> Option<String> {
    let uri: ureq::http::Uri = url.parse().ok()?;
    uri.host().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_printed() {
        let auth = Auth::basic("me", "canary");
        let login = Login { scope: Scope::Host("h".into()), auth: Auth::Bearer("canary".into()) };
        assert!(!format!("{auth:?}{login:?}{:?}", auth.header()).contains("canary"));
    }

    #[test]
    fn the_closest_login_counts() {
        let login = |scope, user: &str| Login { scope, auth: Auth::basic(user, "") };
        let beginning = |text: &str| Scope::Beginning(text.into());
        let logins = vec![
            login(beginning("https://h/group"), "group"),
            login(beginning("https://h/"), "server"),
            login(Scope::Host("H".into()), "host"),
            login(beginning("https://h/group/"), "later"),
        ];
        let credentials = Credentials { logins, ..Credentials::default() };
        for (url, user) in [
            ("https://h/group/x", Some("later")),
            ("https://h/groupie", Some("server")),
            ("http://h:8080/x", Some("host")),
            ("https://h.evil/group", None),
        ] {
            assert_eq!(credentials.login_for(url), user.map(|user| Auth::basic(user, "")).as_ref(), "{url}");
        }
    }

    #[test]
    fn cookies_go_to_whom_they_are_for() {
        let cookie = |domain: &str, subdomains, path: &str, secure, name: &str| Cookie {
            domain: domain.into(),
            subdomains,
            path: path.into(),
            secure,
            name: name.into(),
            value: "v".into(),
        };
        let cookies = vec![
            cookie("h.example", false, "/", true, "host"),
            cookie("example", true, "/a", false, "below"),
        ];
        let credentials = Credentials { cookies, ..Credentials::default() };
        for (url, expected) in [
            ("https://h.example/a/b", Some("host=v; below=v")),
            ("https://h.example/ab", Some("host=v")),
            ("http://h.example/a", Some("below=v")),
            ("https://x.h.example/a", Some("below=v")),
            ("https://evilexample/a", None),
        ] {
            assert_eq!(credentials.cookies_for(url).as_deref(), expected, "{url}");
        }
    }
}
