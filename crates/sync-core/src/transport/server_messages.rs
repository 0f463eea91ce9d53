//! Messages of a server within Git's protocol: `ERR` lines, and the third sideband channel during a pack. They can come
//! at any moment, and gix misreads most of them. So we scan the bytes as they arrive.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes of the messages are kept.
const MAX_MESSAGE: usize = 1_500;

/// The packets that `prelude` looks for are not longer.
const MAX_PRELUDE: usize = 64;

/// The messages of the server on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    /// The server's errors.
    errors: Vec<u8>,
    /// Text instead of Git's protocol.
    noise: Vec<u8>,
}

impl Messages {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        *self.lock() = Collected::default();
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.lock().errors.is_empty()
    }

    pub(super) fn errors(&self) -> Option<String> {
        Some(in_one_line(&self.lock().errors)).filter(|text| !text.is_empty())
    }

    pub(super) fn noise(&self) -> Option<String> {
        let collected = self.lock();
        let lines = collected.noise.split_inclusive(|byte| *byte == b'\n');
        let noise: Vec<u8> = lines.take_while(|line| !is_packet(line)).flatten().copied().collect();
        Some(in_one_line(&noise)).filter(|text| !text.is_empty())
    }
}

/// Whether a line begins like Git's protocol.
fn is_packet(line: &[u8]) -> bool {
    let begins = |rest: &[u8]| {
        let is_id = rest.len() > 40 && rest[..40].iter().all(u8::is_ascii_hexdigit);
        is_id || rest.starts_with(b"version ") || rest.starts_with(b"ERR ")
    };
    line.first_chunk().is_some_and(|head| length(head).is_some() && begins(&line[4..]))
}

/// A text with its lines joined to one.
pub(super) fn in_one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

/// The length of a packet, with its four digits.
fn length(head: &[u8; 4]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok().filter(|_| head.iter().all(u8::is_ascii_hexdigit))?;
    usize::from_str_radix(text, 16).ok()
}

/// Finds messages in a stream of packets that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct PacketScanner {
    head: Vec<u8>,
    left: usize,
    text: Vec<u8>,
    /// Whether the stream does not consist of packets.
    is_lost: bool,
}

impl PacketScanner {
    /// Scan the next bytes of the stream.
    pub(super) fn scan(&mut self, mut bytes: &[u8], messages: &Messages) {
        while !bytes.is_empty() && !self.is_lost {
            let missing = if self.left > 0 { self.left } else { 4 - self.head.len() };
            let (now, rest) = bytes.split_at(missing.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= now.len();
                // The first sideband channel carries the pack, which is not kept.
                let is_pack = self.text.first().or(now.first()) == Some(&1);
                let space = if is_pack { 1 } else { MAX_MESSAGE } - self.text.len();
                self.text.extend_from_slice(&now[..now.len().min(space)]);
                if self.left == 0 {
                    self.finish(messages);
                }
                continue;
            }
            self.head.extend_from_slice(now);
            if let Some(head) = self.head.first_chunk() {
                match length(head) {
                    Some(length) => self.left = length.saturating_sub(4),
                    None => self.is_lost = true,
                }
                self.head.clear();
            }
        }
    }

    fn finish(&mut self, messages: &Messages) {
        let error = match self.text.strip_prefix(b"ERR ") {
            Some(error) => error,
            None => self.text.strip_prefix(b"\x03").unwrap_or_default(),
        };
        let errors = &mut messages.lock().errors;
        let space = MAX_MESSAGE - errors.len().min(MAX_MESSAGE);
        errors.extend_from_slice(&error[..error.len().min(space)]);
        self.text.clear();
    }
}

/// Read the first bytes of a stream, and return those that gix may see. This drops the line `version 1`, which gix does
/// not know: that version of the protocol is version 0 after this line.
pub(super) fn prelude(stream: &mut impl Read, messages: &Messages) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut is_service = false;
    loop {
        let start = seen.len();
        read_up_to(stream, 4, &mut seen)?;
        let Some(head) = seen[start..].first_chunk() else {
            if !seen[start..].iter().all(u8::is_ascii_hexdigit) {
                messages.lock().noise.clone_from(&seen);
            }
            return Ok(seen);
        };
        match length(head) {
            None => {
                // Read once only: the stream may not end.
                let mut more = [0; MAX_MESSAGE];
                let read = stream.read(&mut more)?;
                seen.extend_from_slice(&more[..read]);
                messages.lock().noise.clone_from(&seen);
                return Ok(seen);
            }
            Some(0) if is_service => {}
            Some(length @ 5..=MAX_PRELUDE) => {
                read_up_to(stream, length - 4, &mut seen)?;
                let text = &seen[start + 4..];
                if text.trim_ascii_end() == b"version 1" {
                    seen.truncate(start);
                    return Ok(seen);
                }
                if !text.starts_with(b"# service=") {
                    return Ok(seen);
                }
                is_service = true;
            }
            Some(_) => return Ok(seen),
        }
    }
}

fn read_up_to(stream: &mut impl Read, count: usize, seen: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; MAX_PRELUDE];
    let end = seen.len() + count;
    while seen.len() < end {
        match stream.read(&mut buffer[..end - seen.len()]) {
            Ok(0) => break,
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str) -> String {
        format!("{:04x}{text}", text.len() + 4)
    }

    #[test]
    fn errors_are_heard_however_they_are_cut() {
        let pack = packet("\u{1}ERR not this");
        for (stream, expected) in [
            (packet("ERR no access\n"), Some("no access")),
            (
                format!("{}0000{}", packet("NAK\n"), packet("\u{3}out of\n")) + &packet("\u{3}memory"),
                Some("out of; memory"),
            ),
            (pack.clone() + &packet("\u{2}progress") + "00010002" + &packet("ERR late"), Some("late")),
            (pack, None),
            ("PACK".to_owned() + &packet("ERR raw"), None),
            (packet("0123 refs/heads/ERR x\n"), None),
        ] {
            for cut in [1, 3, 7, 1000] {
                let (mut scanner, messages) = (PacketScanner::default(), Messages::default());
                stream.as_bytes().chunks(cut).for_each(|chunk| scanner.scan(chunk, &messages));
                assert_eq!(messages.errors().as_deref(), expected, "{stream:?} by {cut}");
            }
        }
        let (mut scanner, messages) = (PacketScanner::default(), Messages::default());
        let long = packet(&format!("ERR {}", "x".repeat(60_000)));
        (0..100).for_each(|_| scanner.scan(long.as_bytes(), &messages));
        assert!(messages.errors().unwrap().len() <= MAX_MESSAGE);
    }

    #[test]
    fn what_the_server_says_becomes_one_line() {
        assert_eq!(in_one_line(b"ERROR: no.\r\n\n  fatal: x\n"), "ERROR: no.; fatal: x");
    }

    #[test]
    fn the_line_of_version_1_is_passed_over_and_all_else_kept() {
        let (one, service) = (packet("version 1\n"), packet("# service=git-upload-pack\n") + "0000");
        let refs = packet(&format!(
            "{} HEAD\0shallow agent=git/2.52.0 symref=HEAD:refs/heads/main\n",
            "a".repeat(40)
        ));
        for (given, kept, noise) in [
            (one.clone() + &refs, refs.clone(), None),
            (packet("version 1") + "0000", "0000".into(), None),
            (service.clone() + &one + &refs, service.clone() + &refs, None),
            (service.clone() + &refs, service + &refs, None),
            (packet("version 2\n") + &one, packet("version 2\n") + &one, None),
            (refs.clone() + &one, refs.clone() + &one, None),
            ("0000".to_owned() + &one, "0000".to_owned() + &one, None),
            (String::new(), String::new(), None),
            ("001".into(), "001".into(), None),
            (
                "Welcome!\n\nBe nice.\n".to_owned() + &refs,
                "Welcome!\n\nBe nice.\n".to_owned() + &refs,
                Some("Welcome!; Be nice."),
            ),
            ("beef is off\n".into(), "beef is off\n".into(), None),
            ("no".into(), "no".into(), Some("no")),
            ("No shell.".into(), "No shell.".into(), Some("No shell.")),
        ] {
            let messages = Messages::default();
            let mut stream = given.as_bytes();
            let mut seen = prelude(&mut stream, &messages).unwrap();
            seen.extend_from_slice(stream);
            assert_eq!(String::from_utf8(seen).unwrap(), kept);
            assert_eq!(messages.noise().as_deref(), noise, "{given:?}");
        }
    }
}
