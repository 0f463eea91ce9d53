//! What `.gitattributes` files can do to the form of a file, told by their text alone.

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::Mode;
use gix::index::{Entry, State};

/// UTF-8's mark of byte order.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Whether a `.gitattributes` can make any file differ from its blob; rather yes than no. (That a file is `text`
/// or has a filter that we do not know changes nothing here.)
pub(crate) fn may_change_form(attributes: &[u8]) -> bool {
    is_special(attributes) || attributes.contains_str("crlf")
}

/// Whether a `.gitattributes` asks for something that gix does not do.
pub(crate) fn is_special(attributes: &[u8]) -> bool {
    attributes.contains_str("ident") || attributes.contains_str("working-tree-encoding")
}

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
