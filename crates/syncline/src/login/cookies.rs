//! Cookies in Netscape's format, as browsers export them and curl writes them.

use std::path::Path;

use sync_core::{Cookie, Result};

use super::secret_files;
use crate::clock::since_1970;

const WHAT: &str = "the cookie file";

/// The cookies of a file that have not expired.
pub(super) fn read(path: &Path) -> Result<Vec<Cookie>> {
    let now = since_1970().as_secs();
    parse(&secret_files::text(WHAT, path)?, now).map_err(|line| {
        let error =
            format!("line {line} is not a cookie in Netscape's format (six or seven fields between tabs)");
        secret_files::error(WHAT, path, error)
    })
}

/// The error is the number of the first line that is not a cookie.
pub fn parse(text: &str, now: u64) -> std::result::Result<Vec<Cookie>, usize> {
    let mut cookies = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // Only what curl calls HttpOnly begins like a comment without being one.
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (cookie, expiry) = cookie(line).ok_or(at + 1)?;
        // 0 means until the end of the session.
        if expiry == 0 || expiry > now {
            cookies.push(cookie);
        }
    }
    Ok(cookies)
}

fn cookie(line: &str) -> Option<(Cookie, u64)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let (&[domain, subdomains, path, secure, expiry, name], value) = fields.split_first_chunk()?;
    // One without a value may end at its name.
    let value = match value {
        [] => "",
        [value] => value,
        _ => return None,
    };
    // Characters that would end the header or begin another cookie.
    let is_plain = |text: &str| !text.contains(|c: char| c.is_control() || c == ';');
    let cookie = Cookie {
        domain: domain.trim_start_matches('.').to_owned(),
        subdomains: flag(subdomains)?,
        path: path.to_owned(),
        secure: flag(secure)?,
        name: name.to_owned(),
        value: value.into(),
    };
    let is_whole = !cookie.domain.is_empty() && !name.is_empty() && is_plain(name) && is_plain(value);
    Some((cookie, expiry.parse().ok()?)).filter(|_| is_whole)
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_uppercase().as_str() {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_and_expired_ones_left_out() {
        let text = "# Netscape HTTP Cookie File\r\n\n\
                    .example.com\tTRUE\t/\tTRUE\t0\tsession\ta=b c\r\n\
                    #HttpOnly_host\tFALSE\t/x\tFALSE\t101\tlasting\t\n\
                    host\tFALSE\t/\tFALSE\t100\texpired\tv\n\
                    host\tFALSE\t/\tFALSE\t0\tempty\n";
        let cookies = parse(text, 100).unwrap();
        let found: Vec<_> = cookies
            .iter()
            .map(|c| (&*c.domain, c.subdomains, &*c.path, c.secure, &*c.name, c.value.expose()))
            .collect();
        let expected = [
            ("example.com", true, "/", true, "session", "a=b c"),
            ("host", false, "/x", false, "lasting", ""),
            ("host", false, "/", false, "empty", ""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_that_are_no_cookies_are_named_by_their_number() {
        for line in [
            "Set-Cookie: a=b",
            "host\tFALSE\t/\tFALSE\t0",
            "host\tFALSE\t/\tFALSE\t0\tname\tvalue\tmore",
            "host\tFALSE\t/\tFALSE\tnever\tname\tvalue",
            "host\tmaybe\t/\tFALSE\t0\tname\tvalue",
            "\tFALSE\t/\tFALSE\t0\tname\tvalue",
            "host\tFALSE\t/\tFALSE\t0\tname\tvalue; other=1",
            "host\tFALSE\t/\tFALSE\t0\tname\tval\u{7f}ue",
        ] {
            assert_eq!(parse(&format!("# comment\n{line}\n"), 0), Err(2), "{line}");
        }
    }
}
