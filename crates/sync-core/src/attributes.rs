//! Which files are attribute files, and how Git reads them.

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::Mode;
use gix::index::{Entry, State};

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A `.gitattributes` in a form that gix reads as Git reads the original, or `None` if both read the original alike.
/// At a checkout, Git takes a byte order mark as part of the first pattern, and stops at a zero byte.
pub(crate) fn as_git_reads(attributes: &[u8]) -> Option<Vec<u8>> {
    let end = attributes.find_byte(0).unwrap_or(attributes.len());
    let before: &[u8] = if attributes.starts_with(BYTE_ORDER_MARK) { b"\n" } else { b"" };
    (end < attributes.len() || !before.is_empty()).then(|| [before, &attributes[..end]].concat())
}

/// Whether a `.gitattributes` may say that files are of Git LFS.
pub(crate) fn mentions_lfs(attributes: &[u8]) -> bool {
    attributes.contains_str("lfs")
}

pub(super) fn attribute_files(index: &State) -> impl Iterator<Item = &Entry> {
    index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT && is_attributes(entry.path(index)))
}

pub(super) fn is_attributes(path: &BStr) -> bool {
    path.strip_suffix(b".gitattributes").is_some_and(|dir| dir.is_empty() || dir.ends_with(b"/"))
}
