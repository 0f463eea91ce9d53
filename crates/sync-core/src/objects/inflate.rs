//! Inflating streams inside files with plain reads: the pages of a mapped pack would count as memory of this process.
//!
//! Only this file uses sirocco, so that it is easy to replace.

use std::io::{self, BufRead, BufReader, Read};

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use sirocco::Format;
pub(crate) use sirocco::inflate::Decoder;
use sirocco::inflate::Reader;

use super::corrupt;

/// Spare bytes behind the output: sirocco decodes fastest with some.
pub(crate) const OUTPUT_SLACK: usize = 64;

/// So many bytes of input always produce the first bytes of output, even after the largest Huffman table.
const START: usize = 1024;

/// A decoder for zlib streams, as Git uses them. It is boxed because it is large.
pub(crate) fn decoder() -> Box<Decoder> {
    Box::new(Decoder::new(Format::Zlib))
}

/// Inflates objects into memory, one after the other.
pub(crate) struct Inflater {
    decoder: Box<Decoder>,
    input: Vec<u8>,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Inflater { decoder: decoder(), input: vec![0; 16 * 1024] }
    }

    /// Inflate the stream at `offset` into `out`, whose content is replaced. The result must have exactly `size`
    /// bytes.
    pub(crate) fn whole(
        &mut self,
        file: &File,
        offset: u64,
        size: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        out.resize(size + OUTPUT_SLACK, 0);
        let (mut at, mut written) = (offset, 0);
        // Even data that does not compress grows only by a few bytes.
        let read_size = self.input.len().min(size + OUTPUT_SLACK);
        self.decoder.reset();
        loop {
            let read = file.read_at(&mut self.input[..read_size], at)?;
            let step = self.decoder.decompress(&self.input[..read], out, read == 0).map_err(corrupt)?;
            at += step.consumed as u64;
            written += step.output.len();
            if step.done && written == size {
                out.truncate(size);
                return Ok(());
            }
            if step.done || step.full || read == 0 {
                return Err(wrong_length());
            }
        }
    }

    /// Inflate the beginning of the stream at `offset` into `out`, as much as fits. Returns the number of bytes.
    pub(crate) fn start(&mut self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.decoder.reset();
        let read = file.read_at(&mut self.input[..START], offset)?;
        let step = self.decoder.decompress(&self.input[..read], out, false).map_err(corrupt)?;
        Ok(step.output.len())
    }
}

/// A reader that inflates the stream at `offset`. It fails unless the result has exactly `size` bytes.
pub(crate) fn stream(file: &File, offset: u64, size: u64) -> impl BufRead {
    let raw = BufReader::with_capacity(64 * 1024, At { file, offset });
    let exactly = Exactly { inner: Reader::new(Format::Zlib, raw), left: size };
    BufReader::with_capacity(64 * 1024, exactly)
}

/// Pass all of a stream to `take`, piece by piece.
pub(crate) fn pieces(
    mut stream: impl BufRead,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let piece = stream.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            return Ok(());
        }
        take(piece)?;
        stream.consume(length);
    }
}

/// Reads a file from an offset on, without moving its position.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// A reader that fails unless its input has exactly `left` bytes more.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let is_end = read == 0 && !buffer.is_empty();
        self.left = self.left.checked_sub(read as u64).ok_or_else(wrong_length)?;
        if is_end && self.left > 0 { Err(wrong_length()) } else { Ok(read) }
    }
}

pub(crate) fn wrong_length() -> io::Error {
    corrupt("an object does not have the size in its header")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use gix::zlib::Compression;
    use gix::zlib::stream::deflate::{Compress, FlushCompress};

    use super::*;

    /// Some streams begin with a long Huffman table.
    #[test]
    fn the_start_of_any_stream_is_found() {
        let content: Vec<u8> = (0..60_000_u32).map(|at| (at.pow(2) % 251 * (at % 7) / 3) as u8).collect();
        let mut deflated = vec![0; 100_000];
        let mut compress = Compress::new(Compression::BEST);
        compress.compress(&content, &mut deflated, FlushCompress::Finish).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&deflated[..compress.total_out() as usize]).unwrap();
        let mut start = [0; 32];
        let file = File::open(file.path()).unwrap();
        assert_eq!(Inflater::new().start(&file, 0, &mut start).unwrap(), 32);
        assert_eq!(start, content[..32]);
    }
}
