//! What a file is in the working tree, by its attributes: the blob, or another form of it, as git makes it.

use gix::ObjectId;
use gix::attrs::StateRef;
use gix::bstr::{BStr, ByteSlice};
use gix::filter::plumbing::eol::{AttributesDigest, convert_to_worktree};
use gix::filter::plumbing::worktree::{encode_to_worktree, encoding};

/// What a file is to be instead of its blob.
pub(super) struct Form {
    ident: bool,
    text: AttributesDigest,
    encoding: Option<Encoding>,
}

impl Form {
    /// What decides on it.
    pub(super) const ATTRIBUTES: [&str; 5] = ["text", "crlf", "eol", "ident", "working-tree-encoding"];

    pub(super) fn of(found: &gix::attrs::search::Outcome) -> Form {
        let [mut text, mut crlf, mut eol] = [StateRef::Unspecified; 3];
        let mut form = Form { ident: false, text: AttributesDigest::Binary, encoding: None };
        for found in found.iter_selected() {
            let state = found.assignment.state;
            match found.assignment.name.as_str() {
                "text" => text = state,
                "crlf" => crlf = state,
                "eol" => eol = state,
                "ident" => form.ident = state == StateRef::Set,
                _ => form.encoding = Encoding::of(&value(state).to_str_lossy()),
            }
        }
        form.text = kind_of_text([text, crlf], value(eol));
        form
    }

    /// Whether it may be anything but the blob.
    pub(super) fn is_other(&self) -> bool {
        use AttributesDigest::{TextAutoCrlf, TextCrlf};
        self.ident || self.encoding.is_some() || matches!(self.text, TextCrlf | TextAutoCrlf)
    }

    pub(super) fn apply(&self, blob: &[u8], id: ObjectId) -> gix::Result<Vec<u8>> {
        use AttributesDigest::{TextAuto, TextAutoCrlf};
        let is_streamed = self.encoding.is_none() && !matches!(self.text, TextAuto | TextAutoCrlf);
        let mut content =
            if self.ident { expand_ident(blob, &id.to_string(), is_streamed) } else { blob.to_vec() };
        let mut converted = Vec::new();
        if convert_to_worktree(&content, self.text, &mut converted, Default::default())? {
            content = converted;
        }
        Ok(self.encoding.as_ref().and_then(|encoding| encoding.encode(&content)).unwrap_or(content))
    }
}

/// Empty where the attribute has none.
fn value(state: StateRef<'_>) -> &BStr {
    match state {
        StateRef::Value(value) => value.as_bstr(),
        _ => "".into(),
    }
}

/// By the attributes that say whether a file is text, of which the first that does counts, and `eol`.
fn kind_of_text(text: [StateRef<'_>; 2], eol: &BStr) -> AttributesDigest {
    use AttributesDigest::{Binary, TextAuto, TextAutoCrlf, TextAutoInput, TextCrlf, TextInput};
    let says = |state: &StateRef<'_>| match *state {
        StateRef::Set | StateRef::Unset => true,
        state => value(state) == "auto" || value(state) == "input",
    };
    let text = text.into_iter().find(says).unwrap_or(StateRef::Unspecified);
    match (value(text) == "auto", eol.as_bytes()) {
        _ if text == StateRef::Unset => Binary,
        (true, b"lf") => TextAutoInput,
        (true, b"crlf") => TextAutoCrlf,
        (true, _) => TextAuto,
        (false, b"crlf") => TextCrlf,
        // To LF nothing is converted here.
        (false, _) => TextInput,
    }
}

/// An encoding other than UTF-8.
#[derive(Debug, PartialEq)]
enum Encoding {
    /// UTF-16 or, when `wide`, UTF-32.
    Unicode { wide: bool, big_endian: bool, mark: bool },
    /// ISO-8859-1, for which gix takes its superset windows-1252.
    Latin1,
    /// One that gix knows, or nobody.
    Named(String),
}

impl Encoding {
    /// Names as git compares them: without regard to case and to the dash after `UTF`.
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
        // A bare name means a mark and, as iconv has it here, the machine's byte order.
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

    /// `None` where it stays as it is, as git leaves it: it is empty, no UTF-8, or the encoding lacks a character.
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

/// Put the id into every keyword. git has two readings of what one is: `streamed` that of files it need not hold in
/// memory.
pub(crate) fn expand_ident(text: &[u8], id: &str, streamed: bool) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len() + id.len());
    let mut rest = text;
    while let Some(at) = rest.find_byte(b'$') {
        let (before, tail) = rest.split_at(at);
        expanded.extend_from_slice(before);
        let (length, is_keyword) = if streamed { streamed_keyword(tail) } else { keyword(tail) };
        if is_keyword {
            expanded.extend_from_slice(format!("$Id: {id} $").as_bytes());
        } else {
            expanded.extend_from_slice(&tail[..length]);
        }
        rest = &tail[length..];
    }
    expanded.extend_from_slice(rest);
    expanded
}

/// How much of a text that begins with `$` is dealt with, and whether that is a keyword: `$Id$`, or `$Id: … $` on one
/// line without spaces inside, as an id of another system has.
fn keyword(text: &[u8]) -> (usize, bool) {
    match text.strip_prefix(b"$Id") {
        Some([b'$', ..]) => (4, true),
        Some([b':', inside @ ..]) => {
            let end = inside.find_byteset(b"$\n").filter(|end| inside[*end] == b'$');
            let own = end.filter(|end| !middle(&inside[..*end]).contains(&b' '));
            own.map_or((1, false), |end| (4 + end + 1, true))
        }
        _ => (1, false),
    }
}

/// All but the first and the last byte.
fn middle(text: &[u8]) -> &[u8] {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

/// The same, where whatever was looked at is dealt with.
fn streamed_keyword(text: &[u8]) -> (usize, bool) {
    let matched = text.iter().zip(b"$Id").take_while(|(found, wanted)| found == wanted).count();
    match (matched, text.get(matched)) {
        (3, Some(b'$')) => (4, true),
        (3, Some(b':')) => {
            let inside = &text[4..];
            let end = inside.find_byteset(b"$\n").unwrap_or(inside.len());
            let is_whole = inside.get(end) == Some(&b'$');
            let is_foreign =
                inside.starts_with(b" ") && middle(&inside[..end]).find_byteset(b" \t\r").is_some();
            (text.len().min(4 + end + 1), is_whole && !is_foreign)
        }
        _ => (text.len().min(matched + 1), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idents_expand_as_git_does() {
        for (text, expected, streamed) in [
            ("a $Id$ b", "a $Id: X $ b", "a $Id: X $ b"),
            ("$Id: old $", "$Id: X $", "$Id: X $"),
            ("$Id:$ $Id$", "$Id: X $ $Id: X $", "$Id: X $ $Id: X $"),
            ("$Id: file,v 1.2 2001 $", "$Id: file,v 1.2 2001 $", "$Id: file,v 1.2 2001 $"),
            ("$Id: broken\n$", "$Id: broken\n$", "$Id: broken\n$"),
            ("$Identity$ $Id", "$Identity$ $Id", "$Identity$ $Id"),
            ("$Id: $Id$", "$Id: X $Id$", "$Id: X $Id$"),
            ("$Id: a b $Id$", "$Id: a b $Id: X $", "$Id: a b $Id$"),
            ("$$Id$ $I$Id$", "$$Id: X $ $I$Id: X $", "$$Id$ $I$Id$"),
            ("$Id:a b$", "$Id:a b$", "$Id: X $"),
            ("$Id: a\tb $", "$Id: X $", "$Id: a\tb $"),
            ("$Id: a b", "$Id: a b", "$Id: a b"),
        ] {
            assert_eq!(expand_ident(text.as_bytes(), "X", false).as_bstr(), expected);
            assert_eq!(expand_ident(text.as_bytes(), "X", true).as_bstr(), streamed);
        }
    }

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
