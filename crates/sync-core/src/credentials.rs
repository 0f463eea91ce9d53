//! Logins and cookies for HTTP, and which server gets which. `Debug` and errors show none of their secrets.

use crate::secret::{Auth, Secret};
use crate::url::HttpUrl;
use crate::url::scope::{UrlScope, begins};

/// A login and the URLs that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The URLs that the login may be sent to.
    pub scope: Scope,
    /// The login itself.
    pub auth: Auth,
}

/// How closely a login fits a URL when it is for the whole host, or is written in the URL itself. Both fit less
/// closely than any [`UrlScope`].
const FIT_OF_HOST: (usize, usize) = (0, 0);
const FIT_OF_URL_LOGIN: (usize, usize) = (0, 1);

/// The URLs that a login may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// A URL and those below it. Whole path components and hosts are compared: `https://host/a` does not cover
    /// `https://host/ab`, nor does `https://host` cover `https://host.evil`.
    Beginning(UrlScope),
    /// Every port of a host, over HTTP and HTTPS, as in a `.netrc` file.
    Host(String),
}

impl Scope {
    /// How closely this fits a URL, or `None` if it does not cover it. A URL always fits closer than a host.
    fn fit(&self, url: &UrlScope) -> Option<(usize, usize)> {
        match self {
            Scope::Beginning(scope) => scope.fit(url),
            Scope::Host(name) => (url.host == name.to_ascii_lowercase()).then_some(FIT_OF_HOST),
        }
    }
}

/// A cookie and the servers that it may be sent to (RFC 6265).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The host, without a leading dot.
    pub domain: String,
    /// Whether hosts below `domain` get the cookie too.
    pub subdomains: bool,
    /// The cookie is sent for this path and those below it; `/` covers all.
    pub path: String,
    /// Whether the cookie is sent over HTTPS only.
    pub secure: bool,
    /// The name of the cookie.
    pub name: String,
    /// The value of the cookie.
    pub value: Secret,
}

impl Cookie {
    fn is_for(&self, url: &UrlScope) -> bool {
        let domain = self.domain.to_ascii_lowercase();
        let is_below = || url.host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
        (url.host == domain || (self.subdomains && is_below()))
            && begins(&url.path, &self.path)
            && (!self.secure || url.scheme == "https")
    }
}

/// All logins and cookies for HTTP. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The login that fits a URL closest is used, and among equals the last one. A login in the URL itself ranks below
    /// every [`Scope::Beginning`] and above every [`Scope::Host`].
    pub logins: Vec<Login>,
    /// Every cookie that fits a URL is sent.
    pub cookies: Vec<Cookie>,
}

impl Credentials {
    pub(crate) fn login_for<'a>(&'a self, url: &'a HttpUrl) -> Option<&'a Auth> {
        let scope = url.scope()?;
        let fitting = self.logins.iter().filter_map(|login| Some((login.scope.fit(&scope)?, &login.auth)));
        let all = fitting.chain(url.login.iter().map(|auth| (FIT_OF_URL_LOGIN, auth)));
        all.max_by_key(|(fit, _)| *fit).map(|(_, auth)| auth)
    }

    /// All texts that errors must not quote.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let logins = self.logins.iter().flat_map(|login| login.auth.secrets());
        logins.chain(self.cookies.iter().map(|cookie| cookie.value.expose().to_owned())).collect()
    }

    /// The value of the header `Cookie`, or `None` if no cookie fits.
    pub(crate) fn cookies_for(&self, url: &str) -> Option<String> {
        let scope = url.parse().ok()?;
        let fitting = self.cookies.iter().filter(|cookie| cookie.is_for(&scope));
        let pairs: Vec<_> =
            fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value.expose())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
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
        let beginning = |text: &str| Scope::Beginning(text.parse().unwrap());
        let logins = vec![
            login(beginning("https://h/group"), "group"),
            login(beginning("https://h/"), "server"),
            login(Scope::Host("H".into()), "host"),
            login(beginning("HTTPS://H:443/group/"), "later"),
        ];
        let credentials = Credentials { logins, ..Credentials::default() };
        for (url, user) in [
            ("https://h/group/x", Some("later")),
            ("https://h/groupie", Some("server")),
            ("http://h:8080/x", Some("host")),
            ("https://h.evil/group", None),
            ("https://HOST/x", None),
            ("https://H:443/x", Some("server")),
        ] {
            let url = HttpUrl { base: url.into(), login: None };
            assert_eq!(
                credentials.login_for(&url),
                user.map(|user| Auth::basic(user, "")).as_ref(),
                "{}",
                url.base
            );
        }
        for (base, user) in [
            ("https://h/group/x", "later"),
            ("https://h/x", "server"),
            ("http://h/x", "itself"),
            ("https://other/x", "itself"),
        ] {
            let url = HttpUrl { base: base.into(), login: Some(Auth::basic("itself", "")) };
            assert_eq!(credentials.login_for(&url), Some(&Auth::basic(user, "")), "{base}");
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
            ("https://H.example:443/a?b", Some("host=v; below=v")),
            ("http://h.example/a", Some("below=v")),
            ("https://x.h.example/a", Some("below=v")),
            ("https://evilexample/a", None),
        ] {
            assert_eq!(credentials.cookies_for(url).as_deref(), expected, "{url}");
        }
    }
}
