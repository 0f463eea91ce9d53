//! The targets of redirects (RFC 3986, 5), and which of them may be followed.

use http::{HeaderMap, header};

use crate::url::scope::UrlScope;

/// The base URL that a redirect leads to. The redirect must keep `tail`, the end of the requested URL, and must not lead
/// from HTTPS to HTTP.
pub(crate) fn redirect_base(base: &str, tail: &str, location: &str) -> Result<String, String> {
    let target = redirect_target(&format!("{base}{tail}"), location)?;
    let to = origin(&target).ok_or(INVALID)?;
    match target.strip_suffix(tail).map(|base| base.trim_end_matches('/')) {
        // A redirect to `http:/` can take its host from the tail.
        Some(new_base) if origin(new_base).as_ref() == Some(&to) => Ok(new_base.to_owned()),
        _ => Err(format!(
            "the server redirects to {}://{}, where there is no repository; if that is a sign-in page, check the login \
             and the URL",
            to.scheme, to.host
        )),
    }
}

/// The URL that a redirect from `url` leads to. It must not lead from HTTPS to HTTP.
pub(super) fn redirect_target(url: &str, location: &str) -> Result<String, String> {
    let from = origin(url).ok_or("the redirecting URL has no host")?;
    if location.is_empty() {
        return Err("the server redirects but does not say where".into());
    }
    let target = resolve(url, location).ok_or(INVALID)?;
    let to = origin(&target).ok_or(INVALID)?;
    if (from.scheme, to.scheme) == ("https", "http") {
        return Err("the server redirects from https to http, which is refused".into());
    }
    if split(&target).is_some_and(|parts| parts.authority.contains('@')) {
        return Err("the server redirects to a URL with user information, which is refused".into());
    }
    Ok(target)
}

const INVALID: &str = "the server redirects to an invalid URL";

/// The origin of a URL, which its secrets must not leave.
pub(super) fn origin(url: &str) -> Option<UrlScope> {
    url.parse().ok().map(UrlScope::origin)
}

/// The header `Location`, other bytes than ASCII percent-encoded; empty if there is none.
pub(super) fn location(headers: &HeaderMap) -> String {
    let bytes = headers.get(header::LOCATION).map(|value| value.as_bytes()).unwrap_or_default();
    let ascii =
        |byte: &u8| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    bytes.iter().map(ascii).collect()
}

struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    /// With the question mark, or empty.
    query: &'a str,
}

fn split(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    Some(Parts { scheme, authority, path, query })
}

/// Resolve a URL reference against the URL `at`.
fn resolve(at: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let at = split(at)?;
    let absolute = if has_scheme(reference) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{}:{reference}", at.scheme)
    } else if reference.starts_with('/') {
        format!("{}://{}{reference}", at.scheme, at.authority)
    } else if reference.is_empty() {
        format!("{}://{}{}{}", at.scheme, at.authority, at.path, at.query)
    } else if reference.starts_with('?') {
        format!("{}://{}{}{reference}", at.scheme, at.authority, at.path)
    } else {
        let directory = at.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{}://{}{directory}/{reference}", at.scheme, at.authority)
    };
    let parts = split(&absolute)?;
    Some(format!("{}://{}{}{}", parts.scheme, parts.authority, without_dots(parts.path), parts.query))
}

fn has_scheme(reference: &str) -> bool {
    let scheme = reference.split([':', '/', '?']).next().unwrap_or_default();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && reference[scheme.len()..].starts_with(':')
}

/// Remove `.` and `..` from a path (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for part in path.split('/').skip(1) {
        ends_in_slash = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => _ = kept.pop(),
            part => kept.push(part),
        }
    }
    let mut plain: String = kept.iter().flat_map(|part| ["/", part]).collect();
    if ends_in_slash {
        plain.push('/');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "/info/refs?service=git-upload-pack";

    #[test]
    fn redirects_keep_the_request_and_never_lose_encryption() {
        let follow = |base: &str, location: &str| redirect_base(base, TAIL, &format!("{location}{TAIL}"));
        assert_eq!(follow("http://a/x", "https://a/y").unwrap(), "https://a/y");
        assert_eq!(follow("https://a:1/x", "/y").unwrap(), "https://a:1/y");
        assert_eq!(follow("https://a/x", "https://b/y").unwrap(), "https://b/y");
        assert_eq!(follow("https://a/x", "https://a/@y").unwrap(), "https://a/@y");
        assert!(follow("https://a/x", "http://a/x").is_err());
        assert!(follow("https://a/x", "https://u:p@a/x").is_err());
        assert!(follow("https://a/x", "//u:p@b/x").is_err());
        for location in ["/\\b/x", "https:/y", "ftp://a/y", "x:y"] {
            assert!(follow("https://a/x", location).is_err(), "{location}");
        }
        assert!(follow("http://a/x", "http:/").is_err());
        for location in
            ["https://a/login", "", "?service=git-receive-pack", "//", "..", "https:", "mailto:a@b"]
        {
            assert!(redirect_base("https://a/x", TAIL, location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_location_beyond_ascii_is_encoded() {
        let mut headers = HeaderMap::new();
        assert_eq!(location(&headers), "");
        headers.insert(header::LOCATION, header::HeaderValue::from_bytes("/é".as_bytes()).unwrap());
        assert_eq!(location(&headers), "/%C3%A9");
    }

    #[test]
    fn references_are_resolved_at_the_url_that_was_asked_for() {
        // The request is for https://a:1/g/x/info/refs.
        for (location, base) in [
            ("//b/y/info/refs?service=git-upload-pack", "https://b/y"),
            ("../../y/info/refs?service=git-upload-pack", "https://a:1/g/y"),
            ("../../../../../y/info/refs?service=git-upload-pack", "https://a:1/y"),
            ("./refs?service=git-upload-pack", "https://a:1/g/x"),
            ("../.git/info/refs?service=git-upload-pack", "https://a:1/g/x/.git"),
            ("../info/refs?service=git-upload-pack#f", "https://a:1/g/x"),
            ("?service=git-upload-pack", "https://a:1/g/x"),
            ("refs?service=git-upload-pack", "https://a:1/g/x"),
            ("/./z/../y/info/refs?service=git-upload-pack", "https://a:1/y"),
            ("https://b/z/../y/info/refs?service=git-upload-pack", "https://b/y"),
        ] {
            assert_eq!(redirect_base("https://a:1/g/x", TAIL, location).as_deref(), Ok(base), "{location}");
        }
    }
}
