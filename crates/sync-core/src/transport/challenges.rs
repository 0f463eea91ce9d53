//! The ways to log in that a server or a proxy offers: its challenges (RFC 9110, 11.6.1).

/// A hint for an error that lists the offered schemes; empty if one of them is supported.
pub(super) fn offer<'a>(challenges: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    let mut schemes: Vec<&str> = Vec::new();
    for scheme in challenges.flat_map(schemes_of) {
        if schemes.len() < MOST && !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            schemes.push(scheme);
        }
    }
    let is_supported = |scheme: &&str| ["basic", "bearer"].contains(&scheme.to_ascii_lowercase().as_str());
    if schemes.is_empty() || schemes.iter().any(is_supported) {
        return String::new();
    }
    format!("; it offers {}, which is not supported; use Basic or Bearer", schemes.join(", "))
}

/// The schemes of one header, which may hold several challenges: `Negotiate, Digest realm="a, b", qop=auth`.
fn schemes_of(challenges: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let parts = challenges.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    let scheme = |part: &'_ str| part.trim().split([' ', '\t']).next().map_or(0, str::len);
    parts
        .map(str::trim)
        .filter(|part| !part[scheme(part)..].trim_start().starts_with('='))
        .map(|part| &part[..scheme(part)])
        .filter(|scheme| (1..=32).contains(&scheme.len()) && scheme.bytes().all(is_token))
        .collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
