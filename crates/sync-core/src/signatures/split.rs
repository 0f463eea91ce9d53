//! Splitting the raw bytes of a commit or tag into what is signed and the signature.
//!
//! Git joins several signature headers and leaves out every header whose name begins with `gpgsig`; parsers that read
//! fields once or twice differ in more. So only the form that git writes is accepted.

use super::RefusalReason::{Ambiguous, Bad, Unsigned};
use super::{Refusal, SignatureFormat};

/// The largest object, in bytes.
const MAX_OBJECT: usize = 1 << 20;

/// The largest signature, in bytes.
const MAX_SIGNATURE: usize = 64 << 10;

/// How the lines begin that begin a signature, how it ends, and its format.
const ARMORS: [(&str, &str, SignatureFormat); 4] = [
    ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----", SignatureFormat::Ssh),
    ("-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----", SignatureFormat::OpenPgp),
    ("-----BEGIN PGP MESSAGE-----", "-----END PGP MESSAGE-----", SignatureFormat::OpenPgp),
    ("-----BEGIN SIGNED MESSAGE-----", "-----END SIGNED MESSAGE-----", SignatureFormat::X509),
];

/// An object with a signature that was not verified yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// What the signature is about.
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: String,
    pub(crate) format: SignatureFormat,
    /// The e-mail address of the committer or tagger.
    pub(crate) email: String,
    /// The time of the committer or tagger, in seconds since 1970 (UTC).
    pub(crate) time: u64,
}

/// What a tag says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TagFields {
    pub(crate) object: String,
    pub(crate) name: String,
}

/// Split a commit of a SHA-1 repository, or with `is_sha256` of a SHA-256 repository.
pub(crate) fn split_commit(object: &[u8], is_sha256: bool) -> Result<Signed, Refusal> {
    let (head, _) = head_and_message(object)?;
    let headers = headers(head)?;
    let names: Vec<&str> = headers.iter().map(|header| header.name).collect();
    let parents = names.iter().skip(1).take_while(|name| **name == "parent").count();
    let (fixed, others) = names.split_at_checked(3 + parents).unwrap_or((&names, &[]));
    let is_in_order = fixed.len() == 3 + parents
        && (fixed[0], fixed[1 + parents], fixed[2 + parents]) == ("tree", "author", "committer");
    let is_repeated = |name: &&str| ["tree", "parent", "author", "committer"].contains(name);
    if !is_in_order || others.iter().any(is_repeated) {
        return Err(ambiguous("its headers are not in Git's order"));
    }
    if others.iter().filter(|name| **name == "encoding").count() > 1 {
        return Err(ambiguous("it has several encodings"));
    }
    let (email, time) = identity(headers[2 + parents].value)?;
    let mut signatures = headers.iter().filter(|header| header.name.starts_with("gpgsig"));
    let expected = if is_sha256 { "gpgsig-sha256" } else { "gpgsig" };
    let signature = match (signatures.next(), signatures.next()) {
        (None, _) => return Err(Refusal::new(Unsigned, "it is not signed")),
        (Some(header), None) if header.name == expected => header,
        (Some(_), None) => return Err(ambiguous(&format!("its signature is not in the header {expected}"))),
        (Some(_), Some(_)) => return Err(ambiguous("it has several signatures")),
    };
    let text = signature.lines().collect::<Vec<_>>().join("\n");
    let format = armor(&text)?;
    let payload = [&object[..signature.start], &object[signature.end..]].concat();
    Ok(Signed { payload, signature: text, format, email, time })
}

/// Split an annotated tag.
pub(crate) fn split_tag(object: &[u8]) -> Result<(TagFields, Signed), Refusal> {
    let (head, message) = head_and_message(object)?;
    let headers = headers(head)?;
    let [object_header, kind, name, tagger] = &headers[..] else {
        return Err(ambiguous("its headers are not those of a tag"));
    };
    let names = [object_header.name, kind.name, name.name, tagger.name];
    if names != ["object", "type", "tag", "tagger"] {
        return Err(ambiguous("its headers are not those of a tag"));
    }
    match kind.value {
        "commit" => {}
        "tag" => return Err(Refusal::new(Bad, "it names another tag")),
        other => return Err(Refusal::new(Bad, format!("it names a {other}").escape_debug().to_string())),
    }
    let (email, time) = identity(tagger.value)?;
    let begins = |line: &[u8]| ARMORS.iter().any(|(begin, ..)| line.starts_with(begin.as_bytes()));
    let mut starts = Vec::new();
    let mut at = object.len() - message.len();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if begins(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let start = match starts[..] {
        [] => return Err(Refusal::new(Unsigned, "it is not signed")),
        [start] => start,
        _ => return Err(ambiguous("it has several signatures")),
    };
    let text = std::str::from_utf8(&object[start..]).map_err(|_| ambiguous("its signature is no text"))?;
    let format = armor(text)?;
    let fields = TagFields { object: object_header.value.to_owned(), name: name.value.to_owned() };
    let (payload, signature) = (object[..start].to_vec(), text.to_owned());
    Ok((fields, Signed { payload, signature, format, email, time }))
}

fn ambiguous(text: &str) -> Refusal {
    Refusal::new(Ambiguous, format!("{text}, so programs may read it in different ways"))
}

/// The headers with their last line break, and what follows the empty line.
fn head_and_message(object: &[u8]) -> Result<(&str, &[u8]), Refusal> {
    if object.len() > MAX_OBJECT {
        return Err(ambiguous(&format!("it has more than {MAX_OBJECT} bytes")));
    }
    let end = object.windows(2).position(|two| two == b"\n\n");
    let Some(end) = end else { return Err(ambiguous("it has no empty line after its headers")) };
    let (head, message) = (&object[..=end], &object[end + 2..]);
    if head.iter().any(|byte| matches!(byte, 0 | b'\r')) {
        return Err(ambiguous("its headers have control characters"));
    }
    // Names may be in any encoding, and only the e-mail address is looked at.
    match std::str::from_utf8(head) {
        Ok(head) => Ok((head, message)),
        Err(_) => Err(ambiguous("its headers are not UTF-8")),
    }
}

/// A header with its continuation lines.
struct Header<'a> {
    name: &'a str,
    /// Without the line break at its end.
    value: &'a str,
    /// Where it starts and ends in the object.
    start: usize,
    end: usize,
}

impl Header<'_> {
    /// The lines of the value, without the space at the beginning of each continuation line.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.value.split('\n').enumerate().map(|(at, line)| if at == 0 { line } else { &line[1..] })
    }
}

fn headers(head: &str) -> Result<Vec<Header<'_>>, Refusal> {
    let mut headers: Vec<Header<'_>> = Vec::new();
    let mut at = 0;
    for line in head.split_inclusive('\n') {
        let end = at + line.len();
        match (line.strip_prefix(' '), headers.last_mut()) {
            (Some(_), Some(last)) => {
                let value_start = last.start + last.name.len() + 1;
                last.value = &head[value_start..end - 1];
                last.end = end;
            }
            (Some(_), None) => return Err(ambiguous("its first line is a continuation")),
            (None, _) => {
                let Some((name, value)) = line.trim_end_matches('\n').split_once(' ') else {
                    return Err(ambiguous("a header has no value"));
                };
                headers.push(Header { name, value, start: at, end });
            }
        }
        at = end;
    }
    Ok(headers)
}

/// The e-mail address and the time in `Name <address> time zone`.
fn identity(value: &str) -> Result<(String, u64), Refusal> {
    let parse = || {
        let (_, rest) = value.split_once('<')?;
        let (email, rest) = rest.split_once("> ")?;
        let (time, zone) = rest.split_once(' ')?;
        let is_plain = !email.contains(['<', '>', '\n']) && !zone.contains([' ', '<', '>', '\n']);
        is_plain.then_some((email.to_owned(), time.parse().ok()?))
    };
    parse().ok_or_else(|| ambiguous("its committer or tagger is malformed"))
}

/// The format of one block that begins and ends as it should.
fn armor(text: &str) -> Result<SignatureFormat, Refusal> {
    if text.len() > MAX_SIGNATURE {
        return Err(ambiguous(&format!("its signature has more than {MAX_SIGNATURE} bytes")));
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut lines = text.split('\n');
    let (first, last) = (lines.next().unwrap_or_default(), lines.next_back().unwrap_or_default());
    let found = ARMORS.iter().find(|(begin, ..)| first == *begin);
    let Some((_, end, format)) = found else { return Err(ambiguous("its signature has an unknown form")) };
    if last != *end || lines.any(|line| line.starts_with("-----")) {
        return Err(ambiguous("its signature is not one block"));
    }
    Ok(*format)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----";

    fn commit(headers: &[&str]) -> Vec<u8> {
        format!("{}\n\nmessage\n", headers.join("\n")).into_bytes()
    }

    fn usual<'a>(more: &'a [&'a str]) -> Vec<&'a str> {
        let usual = ["tree 1", "parent 2", "parent 3", "author A <a@x> 1 +0000", "committer C <c@x> 2 +0000"];
        usual.into_iter().chain(more.iter().copied()).collect()
    }

    #[test]
    fn a_signature_is_cut_out_and_all_else_is_signed() {
        let signed = format!("gpgsig {SIGNATURE}");
        let found =
            split_commit(&commit(&usual(&["encoding x", &signed, "mergetag a\n b", "HG:x y"])), false)
                .unwrap();
        assert_eq!(found.payload, commit(&usual(&["encoding x", "mergetag a\n b", "HG:x y"])));
        assert_eq!(found.signature, "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----");
        assert_eq!((found.format, found.email.as_str(), found.time), (SignatureFormat::Ssh, "c@x", 2));
        let sha256 = commit(&usual(&[&format!("gpgsig-sha256 {SIGNATURE}")]));
        assert!(split_commit(&sha256, true).is_ok());
        assert_eq!(split_commit(&sha256, false).unwrap_err().reason, Ambiguous);
        let web_flow = commit(&usual(&[&format!("gpgsig {SIGNATURE}\n ")]));
        assert!(split_commit(&web_flow, false).unwrap().signature.ends_with("-----\n"));
    }

    #[test]
    fn a_signature_in_the_message_does_not_count() {
        let object = [commit(&usual(&[])), format!("gpgsig {SIGNATURE}\n").into_bytes()].concat();
        assert_eq!(split_commit(&object, false).unwrap_err().reason, Unsigned);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let signed = format!("gpgsig {SIGNATURE}");
        let two =
            format!("gpgsig {SIGNATURE}\n -----BEGIN SSH SIGNATURE-----\n B\n -----END SSH SIGNATURE-----");
        for more in [
            vec![signed.as_str(), &signed],
            vec![&signed, "gpgsig-sha256 junk"],
            vec![&signed, "gpgsigX junk"],
            vec![&signed, "gpgsig junk"],
            vec![&signed, "tree 9"],
            vec![&signed, "parent 9"],
            vec![&signed, "author A <a@x> 1 +0000"],
            vec![&signed, "committer C <c@x> 2 +0000"],
            vec![&signed, "encoding a", "encoding b"],
            vec![&signed, "novalue"],
            vec![&two],
            vec!["gpgsig junk"],
            vec![&signed[..signed.len() - 1]],
        ] {
            let refusal = split_commit(&commit(&usual(&more)), false).unwrap_err();
            assert_eq!(refusal.reason, Ambiguous, "{more:?}: {refusal}");
        }
        for headers in [
            vec![signed.as_str(), "tree 1", "author A <a@x> 1 +0000", "committer C <c@x> 2 +0000"],
            vec!["tree 1", "tree 2", "author A <a@x> 1 +0000", "committer C <c@x> 2 +0000", &signed],
            vec!["tree 1", "committer C <c@x> 2 +0000", "author A <a@x> 1 +0000", &signed],
            vec!["tree 1", "author A <a@x> 1 +0000", &signed, "committer C <c@x> 2 +0000"],
            vec![" tree 1"],
            vec!["tree 1"],
        ] {
            assert_eq!(split_commit(&commit(&headers), false).unwrap_err().reason, Ambiguous, "{headers:?}");
        }
        let good = String::from_utf8(commit(&usual(&[&signed]))).unwrap();
        for object in [
            good.replace("tree 1", "tree 1\0"),
            good.replace("tree 1", "tree 1\r"),
            good.replace("<c@x>", "<c@x> <d@x>"),
            good.replace("<c@x> 2", "<c@x> -2"),
            good.replace("\n\n", "\n"),
            good.clone() + &"x".repeat(MAX_OBJECT),
        ] {
            assert_eq!(split_commit(object.as_bytes(), false).unwrap_err().reason, Ambiguous);
        }
    }

    fn tag(kind: &str, rest: &str) -> Vec<u8> {
        format!("object 1\ntype {kind}\ntag v1\ntagger T <t@x> 3 +0000\n\n{rest}").into_bytes()
    }

    #[test]
    fn a_tag_is_signed_by_the_block_at_its_end() {
        let block = SIGNATURE.replace("\n ", "\n") + "\n";
        let (fields, signed) = split_tag(&tag("commit", &format!("message\n{block}"))).unwrap();
        assert_eq!((fields.object.as_str(), fields.name.as_str()), ("1", "v1"));
        assert_eq!(signed.payload, tag("commit", "message\n"));
        assert_eq!((signed.email.as_str(), signed.time), ("t@x", 3));
        for (object, reason) in [
            (tag("commit", "message\n"), Unsigned),
            (tag("commit", &format!("message\n {block}")), Unsigned),
            (tag("tag", &block), Bad),
            (tag("tree", &block), Bad),
            (tag("commit", &format!("{block}more\n")), Ambiguous),
            (tag("commit", &format!("{block}{block}")), Ambiguous),
            (tag("commit", "-----BEGIN SSH SIGNATURE-----\n"), Ambiguous),
            (b"object 1\ntype commit\ntag v1\n\nx".to_vec(), Ambiguous),
            (b"object 1\ntype commit\ntag v1\ntagger T <t@x> 3 +0000\ntag v2\n\nx".to_vec(), Ambiguous),
        ] {
            assert_eq!(
                split_tag(&object).unwrap_err().reason,
                reason,
                "{}",
                String::from_utf8_lossy(&object)
            );
        }
    }
}
