//! Git LFS.

use sync_core::fuzzing;

use crate::text;

/// A pointer names what its lines say.
pub fn pointer(data: &[u8]) {
    let Some((oid, size)) = fuzzing::lfs_pointer(data) else { return };
    let text = text(data);
    assert!(data.len() < 1024);
    assert!(text.lines().any(|line| line.trim() == format!("oid sha256:{oid}")));
    let sizes = text.lines().filter_map(|line| line.trim().strip_prefix("size "));
    assert!(sizes.into_iter().any(|found| found.parse() == Ok(size)));
}

/// Whatever a repository says, its login stays on its server.
pub fn config(data: &[u8]) {
    if let Some((url, _)) = fuzzing::lfs_endpoint(data) {
        let rest = url.strip_prefix("https://").expect("never without encryption");
        let host = rest.split(['/', '?']).next().unwrap_or_default().to_ascii_lowercase();
        // A port may be empty (RFC 3986, 3.2.3).
        assert!(matches!(&*host, "h" | "h:" | "h:443"), "{url}");
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    }
}

/// The object that is asked for.
const OID: &str = "2526f2d1b0b6f8c5f2e5bd7cbbd0d7a5b1c0f6a3ee1fd2a4a7ce9f1fa2f3b4c5";

/// Whatever a server says, an object is asked for over TLS, without a login in the URL, by one request.
pub fn answer(data: &[u8]) {
    let Some((href, headers)) = fuzzing::lfs_answer(data, OID, 12) else { return };
    let rest = href.strip_prefix("https://").expect("never without encryption");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!authority.is_empty() && !authority.contains('@'), "{href}");
    // A path in UTF-8 is sent as it is.
    assert!(href.chars().all(|c| c != ' ' && !c.is_control()), "{href:?}");
    for (name, value) in headers {
        assert!(!value.contains(['\r', '\n', '\0']), "{name:?}");
        let name = name.to_ascii_lowercase();
        assert!(!matches!(&*name, "host" | "content-length" | "transfer-encoding" | "connection"), "{name}");
    }
}
