//! A URL of a transport, or a signature of a format, that is not built in is known, and refused with one clear error.

use std::time::SystemTime;

use sync_core::{
    ErrorKind, Judged, Mirror, RefusalReason, SignaturePolicy, SignatureVerifier, Source, VerifyMode,
};

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

#[test]
fn a_signature_that_is_not_built_in_is_named() {
    for (armor, format, feature, is_built_in) in [
        ("SSH", "SSH", "ssh", cfg!(feature = "ssh")),
        ("PGP", "OpenPGP", "openpgp", cfg!(feature = "openpgp")),
    ] {
        let object = format!(
            "tree 1\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\
             gpgsig -----BEGIN {armor} SIGNATURE-----\n AAAA\n -----END {armor} SIGNATURE-----\n\nx\n"
        );
        let judged = Judged {
            commit: "1".repeat(40).parse().unwrap(),
            reference: None,
            commit_object: object.as_bytes(),
            tag_object: None,
        };
        let policy = SignaturePolicy::new(VerifyMode::Head, Vec::new());
        let refusal =
            SignatureVerifier::new(policy, || SystemTime::UNIX_EPOCH).judge(&judged).unwrap().unwrap_err();
        let text =
            format!("it is signed with {format}, and sync-core was built without its feature `{feature}`");
        assert_eq!(refusal.text == text, !is_built_in, "{refusal}");
        assert_eq!(refusal.reason == RefusalReason::Unsupported, !is_built_in, "{refusal}");
    }
}
