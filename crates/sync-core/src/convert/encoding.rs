//! The attribute `working-tree-encoding`.

use gix::bstr::ByteSlice;
use gix::filter::plumbing::worktree::{encode_to_worktree, encoding};

use super::{Conversion, States, Step};

pub(super) struct WorkingTreeEncoding;

impl Conversion for WorkingTreeEncoding {
    fn attributes(&self) -> &'static [&'static str] {
        &["working-tree-encoding"]
    }

    fn mark(&self) -> &'static str {
        "working-tree-encoding"
    }

    fn step(&self, attributes: &States<'_>) -> Option<Step> {
        let encoding = encoding_of(attributes)?;
        Some(Box::new(move |content, _| Ok(encoding.encode(&content).unwrap_or(content))))
    }
}

/// The encoding of a file; `None` for UTF-8.
pub(super) fn encoding_of(attributes: &States<'_>) -> Option<Encoding> {
    Encoding::of(&attributes.value("working-tree-encoding").to_str_lossy())
}

/// An encoding other than UTF-8.
#[derive(Debug, PartialEq)]
pub(super) enum Encoding {
    /// UTF-16, or UTF-32 if `wide`. `mark` is whether a byte order mark is written.
    Unicode { wide: bool, big_endian: bool, mark: bool },
    /// ISO-8859-1. gix would use its superset windows-1252.
    Latin1,
    /// Any other name, which gix may know.
    Named(String),
}

impl Encoding {
    /// Look up a name as git does: case and the dash after `UTF` do not matter.
    fn of(name: &str) -> Option<Encoding> {
        let name = name.to_ascii_uppercase();
        let utf = name.strip_prefix("UTF").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        match (utf, name.as_str()) {
            (Some("8"), _) | (_, "") => None,
            (_, "ISO-8859-1" | "ISO8859-1" | "ISO_8859-1" | "LATIN1" | "LATIN-1") => Some(Encoding::Latin1),
            (Some(utf), _) => Some(Encoding::unicode(utf).unwrap_or(Encoding::Named(name))),
            _ => Some(Encoding::Named(name)),
        }
    }

    fn unicode(name: &str) -> Option<Encoding> {
        let (wide, rest) = match (name.strip_prefix("16"), name.strip_prefix("32")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return None,
        };
        // A name without a byte order means a mark and, as with glibc's iconv, the byte order of the machine.
        let (big_endian, mark) = match rest {
            "" => (cfg!(target_endian = "big"), true),
            "LE-BOM" if !wide => (false, true),
            "BE-BOM" if !wide => (true, true),
            "LE" => (false, false),
            "BE" => (true, false),
            _ => return None,
        };
        Some(Encoding::Unicode { wide, big_endian, mark })
    }

    /// Encode a text. `None` if it stays as it is, as in git: it is empty or not UTF-8, or a character does not exist
    /// in the encoding.
    fn encode(&self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
        match self {
            Encoding::Unicode { wide, big_endian, mark } => Some(unicode(text, *wide, *big_endian, *mark)),
            Encoding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect(),
            Encoding::Named(name) => {
                let mut encoded = Vec::new();
                let encoding = encoding::for_label(name.as_str()).ok()?;
                encode_to_worktree(text.as_bytes(), encoding, &mut encoded).ok()?;
                Some(encoded)
            }
        }
    }
}

fn unicode(text: &str, wide: bool, big_endian: bool, mark: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() * 2 + 4);
    let mark = if mark { "\u{feff}" } else { "" };
    for c in mark.chars().chain(text.chars()) {
        if wide {
            let unit = u32::from(c);
            bytes.extend(if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            bytes.extend(if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_encodings_have_their_order_and_mark() {
        let encode = |name, text: &str| Encoding::of(name).unwrap().encode(text.as_bytes()).unwrap();
        assert_eq!(encode("UTF-16LE", "aß"), [0x61, 0, 0xdf, 0]);
        assert_eq!(encode("utf16be", "a"), [0, 0x61]);
        assert_eq!(encode("UTF-16LE-BOM", "a"), [0xff, 0xfe, 0x61, 0]);
        assert_eq!(encode("UTF-32BE", "a"), [0, 0, 0, 0x61]);
        assert_eq!(encode("UTF-16LE", "😀"), [0x3d, 0xd8, 0, 0xde]);
        assert_eq!(Encoding::of("utf8"), None);
        assert_eq!(Encoding::of("UTF-16").unwrap().encode(b""), None);
    }

    #[test]
    fn what_cannot_be_encoded_stays() {
        let encode = |name, text: &str| Encoding::of(name).unwrap().encode(text.as_bytes());
        assert_eq!(encode("latin1", "\u{e4}\u{85}"), Some(vec![0xe4, 0x85]));
        assert_eq!(encode("windows-1252", "\u{20ac}"), Some(vec![0x80]));
        for (name, text) in
            [("ISO-8859-1", "\u{20ac}"), ("windows-1252", "\u{1f333}"), ("UTF-7", "a"), ("UTF-32LE-BOM", "a")]
        {
            assert_eq!(encode(name, text), None, "{name}");
        }
    }
}
