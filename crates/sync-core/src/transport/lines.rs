//! Reads lines of Git's protocol, into buffers of 128 KiB, which are used again.

use std::io::{self, BufRead};

use gix::protocol::transport::packetline::PacketLineRef;
use gix::protocol::transport::packetline::blocking_io::StreamingPeekableIter;

pub(super) type Lines = StreamingPeekableIter<Box<dyn BufRead + Send>>;

const DELIMITERS: &[PacketLineRef<'static>] = &[PacketLineRef::Flush];

/// A reader without an answer.
pub(super) fn new() -> Lines {
    Lines::new(Box::new(io::empty()), DELIMITERS, false)
}

/// Forget the answer, and every line that was read ahead.
pub(super) fn clear(lines: &mut Lines) {
    lines.replace(Box::new(io::empty()));
    while let Some(Ok(_)) = lines.read_line() {}
    lines.reset_with(DELIMITERS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_answer_is_left() {
        let mut lines = new();
        lines.replace(Box::new(&b"0006a\n0006b\n0000"[..]));
        lines.reset_with(&[PacketLineRef::Delimiter]);
        assert!(lines.peek_line().is_some());
        clear(&mut lines);
        assert!(!matches!(lines.peek_line(), Some(Ok(_))));
        lines.replace(Box::new(&b"0006c\n0000"[..]));
        let mut text = String::new();
        io::Read::read_to_string(&mut lines.as_read(), &mut text).unwrap();
        assert_eq!(text, "c\n");
    }
}
