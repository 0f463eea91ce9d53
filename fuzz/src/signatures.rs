//! Signatures of commits and tags.

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
