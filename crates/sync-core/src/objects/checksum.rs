//! The checksum at the end of a pack or an index. It only finds damage, so it needs no detection of SHA-1 collisions,
//! which takes a quarter of the time. (Git leaves it out here since version 2.48.)

use std::io::{self, Write};

use gix::ObjectId;
use gix::hash::{Hasher, Kind};
use sha1::{Digest, Sha1};

/// Computes a checksum.
pub(crate) enum Checksum {
    Sha1(Sha1),
    Other(Hasher),
}

impl Checksum {
    pub(crate) fn new(kind: Kind) -> Checksum {
        match kind {
            Kind::Sha1 => Checksum::Sha1(Sha1::new()),
            kind => Checksum::Other(gix::hash::hasher(kind)),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Sha1(sha1) => sha1.update(bytes),
            Checksum::Other(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> io::Result<ObjectId> {
        match self {
            Checksum::Sha1(sha1) => Ok(ObjectId::Sha1(sha1.finalize().into())),
            Checksum::Other(hasher) => hasher.try_finalize().map_err(io::Error::other),
        }
    }
}

/// A writer that computes the checksum of what is written.
pub(crate) struct Hashed<W> {
    inner: W,
    checksum: Checksum,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W, kind: Kind) -> Self {
        Hashed { inner, checksum: Checksum::new(kind) }
    }

    /// Write the checksum. Returns it.
    pub(crate) fn finish(mut self) -> io::Result<ObjectId> {
        let checksum = self.checksum.finish()?;
        self.inner.write_all(checksum.as_slice())?;
        self.inner.flush()?;
        Ok(checksum)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
