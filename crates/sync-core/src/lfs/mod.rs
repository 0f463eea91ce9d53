//! Git LFS, without the network: pointers, where a server is, what it is asked and what it answers, and the objects on
//! disk.
//!
//! The formats are those of git-lfs: docs/spec.md and docs/api in its repository.

#[cfg(feature = "http")]
pub(crate) mod batch;
pub(crate) mod endpoint;
pub(crate) mod pointer;
pub(crate) mod store;

use std::fmt;

/// The SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The id of an object: the SHA-256 of its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Oid([u8; 32]);

impl Oid {
    /// From 64 lower-case hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Oid> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return None;
        }
        let id = gix::ObjectId::from_hex(text.as_bytes()).ok()?;
        id.as_bytes().try_into().ok().map(Oid)
    }

    pub(crate) fn of_digest(digest: &gix::oid) -> Option<Oid> {
        digest.as_bytes().try_into().ok().map(Oid)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An object as a pointer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LfsObject {
    pub(crate) oid: Oid,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl LfsObject {
    /// Whether it has no bytes, so that it need not be fetched.
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0 && Oid::from_hex(EMPTY) == Some(self.oid)
    }
}

impl fmt::Display for LfsObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}, {} bytes", self.oid, self.size)
    }
}
