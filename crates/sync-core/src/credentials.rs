//! Who may log in where over HTTP. What is secret here is never printed.

use crate::secret::{Auth, Secret};
use crate::url::HttpUrl;
use crate::url::scope::{UrlScope, begins};

/// A login for part of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Where it may go.
    pub scope: Scope,
    /// What to show there.
    pub auth: Auth,
}

/// How closely the login of a host fits, and one that is written in the URL itself.
const BY_HOST: (usize, usize) = (0, 0);
const BY_ITSELF: (usize, usize) = (0, 1);

/// Where a login may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To a URL and those below it, by whole parts: `https://host/a` is not for `https://host/ab`, nor
    /// `https://host` for `https://host.evil`.
    Beginning(UrlScope),
    /// To every port of a host, over HTTP and HTTPS: what a `.netrc` says.
    Host(String),
}

impl Scope {
    /// How closely this fits a URL; `None` where it does not. Any beginning fits closer than a host.
    fn fit(&self, url: &UrlScope) -> Option<(usize, usize)> {
        match self {
            Scope::Beginning(place) => place.fit(url),
            Scope::Host(name) => (url.host == name.to_ascii_lowercase()).then_some(BY_HOST),
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
    fn is_for(&self, url: &UrlScope) -> bool {
        let domain = self.domain.to_ascii_lowercase();
        let is_below = || url.host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
        (url.host == domain || (self.subdomains && is_below()))
            && begins(&url.path, &self.path)
            && (!self.secure || url.scheme == "https")
    }
}

/// Everything to log in with over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// What fits closest counts, of equals the last. A login in the URL itself gives way to any beginning.
    pub logins: Vec<Login>,
    /// Sent to whom they are for.
    pub cookies: Vec<Cookie>,
}

impl Credentials {
    pub(crate) fn login_for<'a>(&'a self, url: &'a HttpUrl) -> Option<&'a Auth> {
        let place = url.scope()?;
        let fitting = self.logins.iter().filter_map(|login| Some((login.scope.fit(&place)?, &login.auth)));
        let all = fitting.chain(url.login.iter().map(|auth| (BY_ITSELF, auth)));
        all.max_by_key(|(fit, _)| *fit).map(|(_, auth)| auth)
    }

    /// Everything that must not be repeated.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let logins = self.logins.iter().flat_map(|login| login.auth.secrets());
        logins.chain(self.cookies.iter().map(|cookie| cookie.value.expose().to_owned())).collect()
    }

    /// The value of the header `Cookie`, where there is any.
    pub(crate) fn cookies_for(&self, url: &str) -> Option<String> {
        let place = url.parse().ok()?;
        let fitting = self.cookies.iter().filter(|cookie| cookie.is_for(&place));
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
