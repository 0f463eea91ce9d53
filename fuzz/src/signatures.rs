//! Signatures of commits and tags.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sync_core::fuzzing;

use crate::text;

/// A commit that the key below signed.
const COMMIT: &[u8] = include_bytes!("signed_commit.txt");

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAICPb6pM0+APoigtYgOF1MkOjdDIApwg974l7OOUvvz2p";

/// What is cut out is one block, where Git looks for it, and all else is the payload.
pub fn signed(object: &[u8]) {
    let (commit, tag) = fuzzing::split_signed(object);
    if let Some((payload, signature)) = commit {
        let header = format!("\ngpgsig {}\n", signature.replace('\n', "\n "));
        let at = find(object, header.as_bytes()).expect("it is where Git looks for it") + 1;
        assert_eq!(payload, [&object[..at], &object[at + header.len() - 1..]].concat());
        let head = &payload[..find(&payload, b"\n\n").expect("an empty line")];
        assert_eq!(find(head, b"\ngpgsig"), None, "no header is left that Git would leave out");
        let begins = signature.lines().filter(|line| line.starts_with("-----BEGIN"));
        assert_eq!(begins.count(), 1);
    }
    if let Some((payload, signature)) = tag {
        assert_eq!([&payload, signature.as_bytes()].concat(), object);
        assert!(payload.ends_with(b"\n") && signature.starts_with("-----BEGIN"));
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The commit is accepted only if a line has the key that signed it.
pub fn allowed_signers(data: &[u8]) {
    let text = text(data);
    if let Ok(true) = fuzzing::is_signed(&text, COMMIT) {
        assert!(text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(KEY)));
    }
}

/// A signature of that commit by SSH, without its armor, counts only if it is by the key that is allowed.
pub fn sshsig(data: &[u8]) {
    let (payload, allowed) = (payload(COMMIT), format!("dev@x ssh-ed25519 {KEY}"));
    let object = with_signature(&payload, "SSH", data);
    if let Ok(true) = fuzzing::is_signed(&allowed, &object) {
        let key = STANDARD.decode(KEY).expect("base64");
        assert!(find(data, &key).is_some());
    }
}

/// A commit that an OpenPGP subkey signed.
const OPENPGP_COMMIT: &[u8] = include_bytes!("openpgp_commit.txt");

/// The certificate of that subkey.
const CERTIFICATE: &[u8] = include_bytes!("openpgp_keys.bin");

/// The fingerprint of its primary key.
const FINGERPRINT: &str = "AEBEBB88D0FF19C536FA49D7D702A8E57E83AFF9";

/// Whatever a file of certificates says, nobody else signed the commit.
pub fn openpgp_keys(data: &[u8]) {
    if let Ok(Some(signer)) = fuzzing::openpgp_signer(data, OPENPGP_COMMIT) {
        assert_eq!(signer, FINGERPRINT);
    }
}

/// A signature without its armor counts only if it has the content that the key signed.
pub fn openpgp_signature(data: &[u8]) {
    let object = with_signature(&payload(OPENPGP_COMMIT), "PGP", data);
    if let Ok(Some(signer)) = fuzzing::openpgp_signer(CERTIFICATE, &object) {
        assert_eq!(signer, FINGERPRINT);
        // Version, type, algorithms and the time come first in what is signed.
        assert!(find(data, &[4, 0, 22, 8, 0, 46]).is_some());
    }
}

fn payload(commit: &[u8]) -> Vec<u8> {
    fuzzing::split_signed(commit).0.expect("it is signed").0
}

fn with_signature(payload: &[u8], kind: &str, signature: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(signature);
    let header = format!(
        "\ngpgsig -----BEGIN {kind} SIGNATURE-----\n{}{body}\n -----END {kind} SIGNATURE-----\n\n",
        if kind == "PGP" { " \n " } else { " " }
    );
    let at = find(payload, b"\n\n").expect("an empty line");
    [&payload[..at], header.as_bytes(), &payload[at + 2..]].concat()
}
