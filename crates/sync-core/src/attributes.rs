//! Which files are attribute files, and how Git reads them.

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::Mode;
use gix::index::{Entry, State};

/// UTF-8's mark of byte order.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Attributes as gix must be shown them to read what git reads: at a checkout that takes a mark at the beginning for
/// a part of the first pattern, and ends at a zero. `None` where they are read alike.
pub(crate) fn as_git_reads(attributes: &[u8]) -> Option<Vec<u8>> {
    let end = attributes.find_byte(0).unwrap_or(attributes.len());
    let before: &[u8] = if attributes.starts_with(MARK) { b"\n" } else { b"" };
    (end < attributes.len() || !before.is_empty()).then(|| [before, &attributes[..end]].concat())
}

pub(super) fn attribute_files(index: &State) -> impl Iterator<Item = &Entry> {
    index.entries().iter().filter(|entry| entry.mode != Mode::COMMIT && is_attributes(entry.path(index)))
}

pub(super) fn is_attributes(path: &BStr) -> bool {
    path.strip_suffix(b".gitattributes").is_some_and(|dir| dir.is_empty() || dir.ends_with(b"/"))
}
