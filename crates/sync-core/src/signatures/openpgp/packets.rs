//! Armor and packet headers (RFC 9580, sections 4.2 and 6). The contents of packets are read by the crate `pgp`.
//!
//! What has no definite length is refused: neither certificates nor signatures need it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How an armored public key begins and ends.
pub(super) const PUBLIC_KEY: (&str, &str) =
    ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----");

/// How an armored signature begins and ends.
pub(super) const SIGNATURE: (&str, &str) = ("-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----");

/// A packet with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawPacket<'a> {
    /// The type id.
    pub(super) kind: u8,
    /// Header and content.
    pub(super) bytes: &'a [u8],
    pub(super) content: &'a [u8],
}

/// Decode all armored blocks of one kind. What is between them is passed over.
pub(super) fn dearmor(text: &str, (begin, end): (&str, &str)) -> Result<Vec<Vec<u8>>, String> {
    let count = |wanted: &str| text.lines().filter(|line| line.trim_end() == wanted).count();
    if count(begin) != count(end) {
        return Err("an armored block has no end".into());
    }
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while lines.any(|line| line == begin) {
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        blocks.push(decode(&block)?);
    }
    Ok(blocks)
}

/// The lines of a block without its first and last one: headers, an empty line, base64 and perhaps a checksum. The
/// checksum is ignored, as RFC 9580, section 6.1, demands.
fn decode(block: &[&str]) -> Result<Vec<u8>, String> {
    let empty = block.iter().position(|line| line.is_empty());
    let body = &block[empty.ok_or("an armored block has no empty line after its headers")? + 1..];
    let body = match body.split_last() {
        Some((last, body)) if last.starts_with('=') => body,
        _ => body,
    };
    STANDARD.decode(body.concat()).map_err(|err| format!("an armored block is not base64: {err}"))
}

/// Divide bytes into packets.
pub(super) fn packets(mut bytes: &[u8]) -> Result<Vec<RawPacket<'_>>, String> {
    let mut packets = Vec::new();
    while let Some(first) = bytes.first() {
        let (kind, start, length) = match first {
            0xc0.. => new_header(bytes).map(|(start, length)| (first & 0x3f, start, length))?,
            0x80..0xc0 => old_header(bytes).map(|(start, length)| ((first >> 2) & 0xf, start, length))?,
            _ => return Err("it is no OpenPGP packet".into()),
        };
        let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(CUT_OFF)?;
        packets.push(RawPacket { kind, bytes: &bytes[..end], content: &bytes[start..end] });
        bytes = &bytes[end..];
    }
    Ok(packets)
}

const CUT_OFF: &str = "a packet is cut off";

/// Where the content of a packet starts, and how long it is (RFC 9580, section 4.2.1).
fn new_header(bytes: &[u8]) -> Result<(usize, usize), &'static str> {
    match *bytes.get(1).ok_or(CUT_OFF)? {
        short @ ..192 => Ok((2, short.into())),
        long @ 192..224 => {
            let low = *bytes.get(2).ok_or(CUT_OFF)?;
            Ok((3, ((usize::from(long) - 192) << 8) + usize::from(low) + 192))
        }
        224..255 => Err("a packet comes in parts of partial length"),
        255 => Ok((6, big_endian(bytes.get(2..6).ok_or(CUT_OFF)?))),
    }
}

/// The same for headers of the older format (section 4.2.2).
fn old_header(bytes: &[u8]) -> Result<(usize, usize), &'static str> {
    let octets = match bytes[0] & 3 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return Err("a packet has no length"),
    };
    Ok((1 + octets, big_endian(bytes.get(1..=octets).ok_or(CUT_OFF)?)))
}

fn big_endian(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let (begin, end) = SIGNATURE;
        let block = |body: &str| format!("{begin}\nVersion: 1\n\n{body}\n=AAAA\n{end}\n");
        let text = format!("text\n{}\r\nmore\n{}text", block("AQID"), block("BA==\r"));
        assert_eq!(dearmor(&text, SIGNATURE), Ok(vec![vec![1, 2, 3], vec![4]]));
        assert_eq!(dearmor("text", SIGNATURE), Ok(vec![]));
        for (text, fault) in [
            (format!("{begin}\n\nAQID\n"), "no end"),
            (format!("{}{begin}\n\nAQID\n", block("AQID")), "no end"),
            (format!("{begin}\nAQID\n{end}\n"), "no empty line"),
            (block("A*"), "not base64"),
            (block("AQID\n=AAAA\nAQID"), "not base64"),
        ] {
            let found = dearmor(&text, SIGNATURE).unwrap_err();
            assert!(found.contains(fault), "{text}: {found}");
        }
    }

    #[test]
    fn packets_have_definite_lengths() {
        let long = [&[0xc2, 192, 8][..], &[7; 200]].concat();
        for (bytes, kind, length) in [
            (&[0xc2, 1, 7][..], 2, 1),
            (&[0xc2, 255, 0, 0, 0, 1, 7], 2, 1),
            (&[0x88, 1, 7], 2, 1),
            (&[0x99, 0, 1, 7], 6, 1),
            (&[0x9a, 0, 0, 0, 1, 7], 6, 1),
            (&long, 2, 200),
        ] {
            let found = packets(bytes).unwrap();
            assert_eq!((found[0].kind, found[0].content), (kind, &[7; 200][..length]), "{bytes:?}");
            assert_eq!(found[0].bytes, bytes);
            assert_eq!(packets(&[bytes, bytes].concat()).unwrap().len(), 2);
            for end in 1..bytes.len() {
                assert!(packets(&bytes[..end]).is_err(), "{bytes:?} up to {end}");
            }
        }
        assert!(packets(&[0xc2, 224, 7]).unwrap_err().contains("partial"));
        assert!(packets(&[0x8b, 7]).unwrap_err().contains("no length"));
        assert!(packets(&[0x42, 1]).unwrap_err().contains("no OpenPGP packet"));
        assert_eq!(packets(&[0xc2, 255, 255, 255, 255, 255, 1]), Err(CUT_OFF.into()));
    }
}
