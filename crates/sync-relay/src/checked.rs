//! A reader that knows what its bytes must be.

use std::io::{self, Read};

use ring::digest::{Context, SHA256};
use sync_core::RelayPack;

/// Reads a pack. It fails beyond the announced length, and at its end if the bytes are not the announced ones.
pub(crate) struct Checked<R> {
    inner: R,
    left: u64,
    sha256: [u8; 32],
    /// `None` once the end was compared.
    digest: Option<Context>,
}

impl<R: Read> Checked<R> {
    pub(crate) fn new(inner: R, pack: &RelayPack) -> Self {
        Checked { inner, left: pack.bytes, sha256: pack.sha256, digest: Some(Context::new(&SHA256)) }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damaged =
            |text: &str| Err(io::Error::new(io::ErrorKind::InvalidData, format!("the pack {text}")));
        // One byte more shows that there is more.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        if count as u64 > self.left {
            return damaged("is longer than announced");
        }
        self.left -= count as u64;
        if let (Some(digest), 1..) = (&mut self.digest, count) {
            digest.update(&buffer[..count]);
        }
        if count == 0 && !buffer.is_empty() {
            if self.left > 0 {
                return damaged("ends too early");
            }
            if self.digest.take().is_some_and(|digest| digest.finish().as_ref() != self.sha256) {
                return damaged("is not the one that was announced");
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], announced: &[u8], bytes: u64) -> Result<Vec<u8>, String> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(ring::digest::digest(&SHA256, announced).as_ref());
        let mut all = Vec::new();
        let mut reader = Checked::new(content, &RelayPack { bytes, sha256, shallow: Vec::new() });
        reader.read_to_end(&mut all).map_err(|err| err.to_string())?;
        Ok(all)
    }

    #[test]
    fn only_the_announced_bytes_pass() {
        assert_eq!(read(b"pack", b"pack", 4), Ok(b"pack".to_vec()));
        for (content, announced, bytes, cause) in [
            (&b"pack"[..], &b"pack"[..], 5, "the pack ends too early"),
            (b"pack", b"pack", 3, "the pack is longer than announced"),
            (b"pock", b"pack", 4, "the pack is not the one that was announced"),
        ] {
            assert_eq!(read(content, announced, bytes), Err(cause.to_owned()));
        }
    }

    #[test]
    fn of_a_pack_without_end_one_byte_too_many_is_read() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += buffer.len() as u64;
                Ok(buffer.len())
            }
        }
        for (bytes, most) in [(0, 1), (10, 11), (100_000, 100_001), (65_536, 65_537)] {
            let mut endless = Endless(0);
            let pack = RelayPack { bytes, sha256: [0; 32], shallow: Vec::new() };
            let mut reader = io::BufReader::with_capacity(4096, Checked::new(&mut endless, &pack));
            let err = io::copy(&mut reader, &mut io::sink()).unwrap_err();
            assert_eq!(err.to_string(), "the pack is longer than announced");
            drop(reader);
            assert_eq!(endless.0, most);
        }
    }
}
