//! What a server says in the midst of git's protocol. Its `ERR` lines and the third channel of a pack can come at any
//! moment, and gix takes most of them for something else; so they are listened for where the bytes come in.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much of it is kept.
const MAX_SAID: usize = 1_500;

/// What is larger is no first packet that matters here.
const MAX_PRELUDE: usize = 64;

/// What was heard on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// The server's errors.
    errors: Vec<u8>,
    /// What came in place of git's protocol.
    noise: Vec<u8>,
}

impl Words {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        *self.lock() = Heard::default();
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.lock().errors.is_empty()
    }

    pub(super) fn errors(&self) -> Option<String> {
        Some(in_one_line(&self.lock().errors)).filter(|text| !text.is_empty())
    }

    pub(super) fn noise(&self) -> Option<String> {
        let heard = self.lock();
        let lines = heard.noise.split_inclusive(|byte| *byte == b'\n');
        let noise: Vec<u8> = lines.take_while(|line| !is_packet(line)).flatten().copied().collect();
        Some(in_one_line(&noise)).filter(|text| !text.is_empty())
    }
}

/// Whether a line begins as git's protocol does.
fn is_packet(line: &[u8]) -> bool {
    let begins = |rest: &[u8]| {
        let is_id = rest.len() > 40 && rest[..40].iter().all(u8::is_ascii_hexdigit);
        is_id || rest.starts_with(b"version ") || rest.starts_with(b"ERR ")
    };
    line.first_chunk().is_some_and(|head| length(head).is_some() && begins(&line[4..]))
}

/// The lines of a text in one.
pub(super) fn in_one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

/// How long a packet is, with these digits.
fn length(head: &[u8; 4]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok().filter(|_| head.iter().all(u8::is_ascii_hexdigit))?;
    usize::from_str_radix(text, 16).ok()
}

/// What is known of the packet that is coming in.
#[derive(Debug, Default)]
pub(super) struct Ear {
    head: Vec<u8>,
    left: usize,
    text: Vec<u8>,
    /// What comes is no packets.
    is_lost: bool,
}

impl Ear {
    /// Go on with these bytes.
    pub(super) fn listen(&mut self, mut bytes: &[u8], words: &Words) {
        while !bytes.is_empty() && !self.is_lost {
            let missing = if self.left > 0 { self.left } else { 4 - self.head.len() };
            let (now, rest) = bytes.split_at(missing.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= now.len();
                // The first channel's are the pack's.
                let is_pack = self.text.first().or(now.first()) == Some(&1);
                let room = if is_pack { 1 } else { MAX_SAID } - self.text.len();
                self.text.extend_from_slice(&now[..now.len().min(room)]);
                if self.left == 0 {
                    self.finish(words);
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

    fn finish(&mut self, words: &Words) {
        let said = match self.text.strip_prefix(b"ERR ") {
            Some(said) => said,
            None => self.text.strip_prefix(b"\x03").unwrap_or_default(),
        };
        let errors = &mut words.lock().errors;
        let room = MAX_SAID - errors.len().min(MAX_SAID);
        errors.extend_from_slice(&said[..said.len().min(room)]);
        self.text.clear();
    }
}

/// The first bytes of a stream, as gix is to see them: it does not know the line by which a server says that it
/// speaks version 1, which is version 0 after that line.
pub(super) fn prelude(stream: &mut impl Read, words: &Words) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut is_service = false;
    loop {
        let start = seen.len();
        read_up_to(stream, 4, &mut seen)?;
        let Some(head) = seen[start..].first_chunk() else {
            if !seen[start..].iter().all(u8::is_ascii_hexdigit) {
                words.lock().noise.clone_from(&seen);
            }
            return Ok(seen);
        };
        match length(head) {
            None => {
                // What is at hand, once: there may be no end.
                let mut more = [0; MAX_SAID];
                let read = stream.read(&mut more)?;
                seen.extend_from_slice(&more[..read]);
                words.lock().noise.clone_from(&seen);
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
                let (mut ear, words) = (Ear::default(), Words::default());
                stream.as_bytes().chunks(cut).for_each(|chunk| ear.listen(chunk, &words));
                assert_eq!(words.errors().as_deref(), expected, "{stream:?} by {cut}");
            }
        }
        let (mut ear, words) = (Ear::default(), Words::default());
        (0..100).for_each(|_| ear.listen(packet(&format!("ERR {}", "x".repeat(60_000))).as_bytes(), &words));
        assert!(words.errors().unwrap().len() <= MAX_SAID);
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
            let words = Words::default();
            let mut stream = given.as_bytes();
            let mut seen = prelude(&mut stream, &words).unwrap();
            seen.extend_from_slice(stream);
            assert_eq!(String::from_utf8(seen).unwrap(), kept);
            assert_eq!(words.noise().as_deref(), noise, "{given:?}");
        }
    }
}
