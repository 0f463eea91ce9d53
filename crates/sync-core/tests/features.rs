//! A URL of a transport that is not built in is known, and refused with one clear error.

use sync_core::{ErrorKind, Mirror, Source};

#[test]
fn a_transport_that_is_not_built_in_is_named() {
    for (url, feature, is_built_in) in [
        ("https://127.0.0.1:1/x", "http", cfg!(feature = "http")),
        ("ssh://127.0.0.1:1/x", "ssh", cfg!(feature = "ssh")),
        ("git://127.0.0.1:1/x", "git", true),
    ] {
        let source = Source::new(url.parse().unwrap(), "main".parse().unwrap());
        let root = tempfile::tempdir().unwrap();
        let err = Mirror::builder(source).open(root.path()).unwrap().sync().unwrap_err();
        let text = format!("connect to {url}: sync-core was built without its feature `{feature}`");
        assert_eq!(err.to_string() == text, !is_built_in, "{err}");
        assert!(is_built_in || err.kind() == ErrorKind::Configuration);
    }
}
