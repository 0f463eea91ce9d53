//! The attribute `ident`: the keyword `$Id$`.

use gix::attrs::StateRef;
use gix::bstr::ByteSlice;
use gix::filter::plumbing::eol::AttributesDigest;

use super::encoding::encoding_of;
use super::{Conversion, States, Step, eol};

pub(super) struct Ident;

impl Conversion for Ident {
    fn attributes(&self) -> &'static [&'static str] {
        // The others decide which of git's two keyword parsers applies.
        &["ident", "text", "crlf", "eol", "working-tree-encoding"]
    }

    fn mark(&self) -> &'static str {
        "ident"
    }

    fn step(&self, attributes: &States<'_>) -> Option<Step> {
        use AttributesDigest::{TextAuto, TextAutoCrlf};
        if attributes.get("ident") != StateRef::Set {
            return None;
        }
        let is_auto = matches!(eol::digest(attributes), TextAuto | TextAutoCrlf);
        let is_streamed = encoding_of(attributes).is_none() && !is_auto;
        Some(Box::new(move |content, id| Ok(expand_ident(&content, &id.to_string(), is_streamed))))
    }
}

/// Insert the id into every keyword. git has two parsers, which differ in odd cases; `streamed` selects the one for
/// files that git does not hold in memory.
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

/// Parse a text that begins with `$`: the length to skip, and whether that is a keyword.
///
/// A keyword is `$Id$`, or `$Id: … $` on one line without spaces inside. The ids of other systems have such spaces.
fn keyword(text: &[u8]) -> (usize, bool) {
    match text.strip_prefix(b"$Id") {
        Some([b'$', ..]) => (4, true),
        Some([b':', inside @ ..]) => {
            let end = inside.find_byteset(b"$\n").filter(|end| inside[*end] == b'$');
            let keyword_end = end.filter(|end| !middle(&inside[..*end]).contains(&b' '));
            keyword_end.map_or((1, false), |end| (4 + end + 1, true))
        }
        _ => (1, false),
    }
}

/// All but the first and the last byte.
fn middle(text: &[u8]) -> &[u8] {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

/// The same for streamed files: everything that was read is skipped, even if it is no keyword.
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
}
