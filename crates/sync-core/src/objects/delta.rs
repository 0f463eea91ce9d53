//! Applying deltas (gitformat-pack(5), "Deltified representation").

use std::io::{self, BufRead};

use super::content::Content;
use super::{MAX_BUFFERED_OBJECT, corrupt};

/// A delta, read as a stream while it is applied.
pub(crate) struct Delta<R> {
    input: R,
    base_size: u64,
    /// The size of the result, in bytes.
    pub(crate) size: u64,
}

impl<R: BufRead> Delta<R> {
    pub(crate) fn open(mut input: R) -> io::Result<Self> {
        let (base_size, size) = (length(&mut input)?, length(&mut input)?);
        if size > MAX_BUFFERED_OBJECT {
            return Err(corrupt(format!("an object of {size} bytes is too large")));
        }
        Ok(Delta { input, base_size, size })
    }

    /// Apply the delta to `base` and pass the result to `put`, piece by piece.
    pub(crate) fn apply(
        mut self,
        base: &Content,
        put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.base_size != base.len() {
            return Err(corrupt("a delta expects a base of another size"));
        }
        let mut left = self.size;
        while let Some(command) = next(&mut self.input)? {
            let is_copy = command & 0x80 != 0;
            let (start, length) = if is_copy {
                let start = operand(&mut self.input, command, 4)?;
                (
                    start,
                    Some(operand(&mut self.input, command >> 4, 3)?)
                        .filter(|length| *length > 0)
                        .unwrap_or(0x10000),
                )
            } else {
                (0, command.into())
            };
            if length == 0 || length > left {
                return Err(corrupt("a delta is malformed"));
            }
            left -= length;
            if is_copy {
                base.pieces(start, length, put)?;
            } else {
                self.insert(length as usize, put)?;
            }
        }
        if left == 0 { Ok(()) } else { Err(too_early()) }
    }

    fn insert(&mut self, length: usize, put: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = [0; 0x7f];
        let bytes = &mut bytes[..length];
        self.input.read_exact(bytes).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => too_early(),
            _ => err,
        })?;
        put(bytes)
    }
}

fn next(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    let byte = input.fill_buf()?.first().copied();
    input.consume(usize::from(byte.is_some()));
    Ok(byte)
}

fn too_early() -> io::Error {
    corrupt("a delta ends too early")
}

/// Read a number with seven bits per byte, the lowest bits first.
fn length(input: &mut impl BufRead) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let byte = next(input)?.ok_or_else(too_early)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(corrupt("a delta is malformed"))
}

/// Read a number, the lowest byte first. Only the bytes whose bit is set in `bits` are present; the others are 0.
fn operand(input: &mut impl BufRead, bits: u8, bytes: u32) -> io::Result<u64> {
    let mut number = 0;
    for at in (0..bytes).filter(|at| bits & 1 << at != 0) {
        number |= u64::from(next(input)?.ok_or_else(too_early)?) << (8 * at);
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::objects::content::Spill;

    fn applied(base: &Content, delta: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Delta::open(delta)?.apply(base, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    /// The same content in memory and on disk.
    fn both(bytes: &[u8]) -> [Content; 2] {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(dir.path()).unwrap();
        spill.add(bytes).unwrap();
        [Content::Held(Arc::new(bytes.to_vec())), spill.into_content().unwrap()]
    }

    #[test]
    fn deltas_copy_and_insert() {
        for base in both(b"hello world") {
            // Copy 6 from 0, insert "there".
            let delta = [&[11, 11, 0x90, 6, 5][..], b"there"].concat();
            assert_eq!(applied(&base, &delta).unwrap(), b"hello there");
        }
        let long = [0xff, 0xff, 3, 1, 0x91, 0xff, 1];
        for base in both(&[7; 0xffff]) {
            assert_eq!(applied(&base, &long).unwrap(), [7]);
        }
        let all = [0x80, 0x80, 4, 0x80, 0x80, 4, 0x80];
        for base in both(&[7; 0x10000]) {
            assert_eq!(applied(&base, &all).unwrap(), [7; 0x10000]);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for delta in [
            &[][..],
            &[5],
            &[10, 1, 1, b'x'],     // another base
            &[11, 1, 0x90, 2],     // longer than it says
            &[11, 2, 1, b'x'],     // shorter than it says
            &[11, 2, 3, b'x'],     // the insert ends too early
            &[11, 2, 0],           // reserved
            &[11, 2, 0x91, 10, 2], // beyond the base
            &[11, 2, 0x91],        // no operand
            &[11, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        ] {
            for base in both(b"hello world") {
                let fault = applied(&base, delta).unwrap_err();
                assert_eq!(fault.kind(), io::ErrorKind::InvalidData, "{delta:?}: {fault}");
            }
        }
    }
}
