//! Normalized HTTP URLs, compared by what is below them.

use std::str::FromStr;

use super::{parse_uri, port};
use crate::error::ParseError;

/// A normalized http or https URL, which stands for itself and all URLs below it.
///
/// It has no user information, query or fragment, no default port, no slash at the end, and a host in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlScope {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    port: u16,
    pub(crate) path: String,
}

impl UrlScope {
    /// The origin: scheme, host and port, without the path.
    #[must_use]
    pub fn origin(self) -> UrlScope {
        UrlScope { path: String::new(), ..self }
    }

    /// How closely this fits a URL, or `None` if the URL is not at or below it. The host counts before the path, as for
    /// Git's `http.<url>.*`. A `*` in the host matches one label.
    pub(crate) fn fit(&self, url: &UrlScope) -> Option<(usize, usize)> {
        let fits = (self.scheme, self.port) == (url.scheme, url.port)
            && fits_host(&self.host, &url.host)
            && begins(&url.path, &self.path);
        fits.then(|| (1 + self.host.replace('*', "").len(), self.path.len()))
    }
}

fn fits_host(pattern: &str, host: &str) -> bool {
    pattern.split('.').count() == host.split('.').count()
        && pattern.split('.').zip(host.split('.')).all(|(pattern, part)| pattern == "*" || pattern == part)
}

/// Whether a path is at or below another, comparing whole components.
pub(crate) fn begins(path: &str, with: &str) -> bool {
    let rest = path.strip_prefix(with.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for UrlScope {
    type Err = ParseError;

    /// Accepts an `http://` or `https://` URL. Each label of the host may be `*`.
    ///
    /// # Errors
    ///
    /// The text is no such URL. The error does not quote it, since it may contain a password.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let uri = parse_uri(text.split(['?', '#']).next().unwrap_or_default())?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("https") => ("https", 443),
            Some("http") => ("http", 80),
            _ => return Err("is neither an http nor an https URL".into()),
        };
        let host = uri.host().unwrap_or_default();
        let port = port(&uri)?.unwrap_or(default_port);
        Ok(UrlScope {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> UrlScope {
        text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn all_spellings_of_a_url_are_one_place() {
        for (text, same) in [
            ("https://h", "https://h/"),
            ("HTTPS://H:443/a/", "https://h/a"),
            ("http://h:80/A", "http://H:/A"),
            ("https://u:p@h/x?y#z", "https://h/x"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(scope(text), scope(same), "{text}");
        }
        for other in ["http://h", "https://h:80", "https://h/a", "https://i"] {
            assert_ne!(scope(other), scope("https://h"), "{other}");
        }
        for text in ["", "h", "h/x", "ftp://canary", "https://", "https://u:canary@", "https://h:canary/"] {
            let fault = text.parse::<UrlScope>().expect_err(text);
            assert!(!fault.to_string().contains("canary"), "{fault}");
        }
    }

    #[test]
    fn a_place_is_for_what_is_below_and_the_host_counts_first() {
        let fit = |at: &str, url: &str| scope(at).fit(&scope(url));
        for (at, url) in [
            ("https://h", "https://h/x"),
            ("https://H:443/x/", "https://h/x/y"),
            ("https://*.example.com", "https://a.example.com/x"),
        ] {
            assert!(fit(at, url).is_some(), "{at} {url}");
        }
        for (at, url) in [
            ("https://h/x", "https://h/xy"),
            ("https://h", "https://h.evil"),
            ("https://h", "http://h"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com", "https://a.example.com.evil"),
        ] {
            assert_eq!(fit(at, url), None, "{at} {url}");
        }
        let url = "https://a.example.com/x/y";
        assert!(fit("https://a.example.com", url) > fit("https://*.example.com/x/y", url));
        assert!(fit("https://*.example.com/x", url) > fit("https://*.example.com", url));
    }
}
