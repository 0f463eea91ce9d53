//! Deflating objects for packs.

use std::io::{self, Write};

use gix::ObjectId;
use gix::objs::Kind;
use gix::zlib::stream::deflate::{Compress, FlushCompress};
use gix::zlib::{Compression, Status};
use gix_pack::data::entry::Header;

use super::pack_index::PackedObject;

/// Deflates objects, one after the other.
pub(crate) struct Deflater {
    compress: Compress,
    output: Vec<u8>,
}

impl Deflater {
    pub(crate) fn new() -> Self {
        // The level that git uses for loose objects.
        Deflater { compress: Compress::new(Compression::BEST_SPEED), output: vec![0; 32 * 1024] }
    }

    /// Add a piece of an object.
    pub(crate) fn add(&mut self, piece: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.run(piece, FlushCompress::None, out)
    }

    /// End the object.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.run(&[], FlushCompress::Finish, out)?;
        self.compress.reset();
        Ok(())
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut dyn Write) -> io::Result<()> {
        loop {
            let (read, written) = (self.compress.total_in(), self.compress.total_out());
            let status = self.compress.compress(input, &mut self.output, flush).map_err(io::Error::other)?;
            input = &input[(self.compress.total_in() - read) as usize..];
            let produced = (self.compress.total_out() - written) as usize;
            out.write_all(&self.output[..produced])?;
            let is_full = produced == self.output.len();
            if matches!(status, Status::StreamEnd) || (input.is_empty() && !is_full) {
                return Ok(());
            }
        }
    }
}

/// The header of an entry with a whole object, not a delta.
pub(crate) fn header_of(kind: Kind) -> Header {
    match kind {
        Kind::Blob => Header::Blob,
        Kind::Tree => Header::Tree,
        Kind::Commit => Header::Commit,
        Kind::Tag => Header::Tag,
    }
}

/// Writes the entries of a pack: counts bytes, and computes the checksum of each entry.
pub(crate) struct EntryWriter<W> {
    pub(crate) inner: W,
    offset: u64,
    start: u64,
    crc32: crc32fast::Hasher,
}

impl<W: Write> EntryWriter<W> {
    /// `offset` is that of the next byte in the pack.
    pub(crate) fn new(inner: W, offset: u64) -> Self {
        EntryWriter { inner, offset, start: offset, crc32: crc32fast::Hasher::new() }
    }

    /// Begin an entry.
    pub(crate) fn begin(&mut self) {
        self.start = self.offset;
        self.crc32.reset();
    }

    /// The offset of the current entry.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The entry that was written since [`EntryWriter::begin`].
    pub(crate) fn entry(&self, id: ObjectId) -> PackedObject {
        PackedObject { offset: self.start, crc32: self.crc32.clone().finalize(), id }
    }
}

impl<W: Write> Write for EntryWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc32.update(&bytes[..written]);
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::objects::inflate::stream;

    #[test]
    fn what_is_deflated_inflates_again() {
        let mut deflater = Deflater::new();
        let noise: Vec<u8> =
            (0_u32..300_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        for content in [&b""[..], b"x", &[0; 1 << 20], &noise] {
            let mut deflated = Vec::new();
            for piece in content.chunks(70_000) {
                deflater.add(piece, &mut deflated).unwrap();
            }
            deflater.finish(&mut deflated).unwrap();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&deflated).unwrap();
            let file = fs_err::File::open(file.path()).unwrap();
            let mut inflated = Vec::new();
            stream(&file, 0, content.len() as u64).read_to_end(&mut inflated).unwrap();
            assert!(inflated == content, "{} bytes", content.len());
        }
    }
}
