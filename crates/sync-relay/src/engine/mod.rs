//! Engines: what holds the tips and the packs.

mod access;
mod dir;
mod files;
mod http;
mod nats;
mod s3;
mod url;
mod web;

use std::fmt;
use std::io::{self, Read};

use sync_core::Interrupt;

use crate::RelayName;
use crate::hex::hex;

pub use access::{Access, Keys, Login, LoginProvider, Wake};
pub use nats::Connections;
pub use url::{EngineKind, RelayUrl};

use dir::Directory;
use http::Http;
use nats::Nats;
use s3::S3;
use url::Place;

/// Where a tip is in the order of its writes, as the engine counts: a sequence number, an ETag or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(pub String);

/// A stored tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The bytes that were written.
    pub bytes: Vec<u8>,
    /// Which write they are of.
    pub revision: Revision,
}

/// The name of a pack: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName(pub [u8; 32]);

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The largest tip that an engine returns, in bytes. A larger one is an error.
pub const LARGEST_TIP: usize = 256 * 1024;

/// What became of a write of a tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It is stored.
    Done(Revision),
    /// Somebody else wrote first. Read again.
    Lost,
}

/// An engine that holds the tip and the packs of one name. All calls block, and end soon after an interrupt with
/// [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::Interrupted`].
///
/// What errors say names the server and what to do, never a secret. An engine that cannot be reached now gives
/// [`io::ErrorKind::NotConnected`]; one that refuses gives [`io::ErrorKind::PermissionDenied`].
pub trait Engine: Send {
    /// Make ready what is written to: a feeder calls this first. What is there is left as it is.
    fn prepare(&mut self, _interrupt: &Interrupt) -> io::Result<()> {
        Ok(())
    }

    /// The tip; `None` if none was written. Where replicas answer, it may be an older one for a moment, after a
    /// [`swap`](Engine::swap) of one's own too.
    fn tip(&mut self, interrupt: &Interrupt) -> io::Result<Option<Record>>;

    /// Read a pack. [`io::ErrorKind::NotFound`] if it is not there. The reader gives at most what is stored, in order;
    /// the caller checks length and digest.
    fn pack<'a>(
        &'a mut self,
        name: &PackName,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>>;

    /// Write a tip if the stored one still is `expected` (`None`: there is none yet).
    fn swap(&mut self, tip: &[u8], expected: Option<&Revision>, interrupt: &Interrupt) -> io::Result<Swap>;

    /// Store a pack of this length, unless it is there. Readers see all of it or nothing.
    fn put_pack(
        &mut self,
        name: &PackName,
        length: u64,
        pack: &mut fs_err::File,
        interrupt: &Interrupt,
    ) -> io::Result<()>;

    /// All packs.
    fn packs(&mut self, interrupt: &Interrupt) -> io::Result<Vec<PackName>>;

    /// Remove a pack; it may be gone already.
    fn remove_pack(&mut self, name: &PackName, interrupt: &Interrupt) -> io::Result<()>;

    /// Whether news arrive without asking. Then a tip need not be asked for often.
    fn tells_news(&self) -> bool {
        false
    }

    /// Whether the engine can be reached, as far as is known.
    fn is_connected(&self) -> bool;
}

/// The error about a tip beyond [`LARGEST_TIP`].
fn too_large(place: &dyn fmt::Display) -> io::Error {
    let text = format!("{place} is larger than the limit of {LARGEST_TIP} bytes");
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// The error about a pack in whose file there is less than was said.
fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the pack is shorter than it should be")
}

/// The engine of a relay, for one name. Nothing is connected before its first call.
#[must_use]
pub fn open(url: &RelayUrl, name: &RelayName, access: Access, connections: &Connections) -> Box<dyn Engine> {
    match &url.0 {
        Place::Nats(place) => Box::new(Nats::new(place, url.to_string(), name, access, connections)),
        Place::Directory(path) => Box::new(Directory::new(path, name)),
        Place::Http(base) => Box::new(Http::new(base, name, access)),
        Place::S3(place) => Box::new(S3::new(place, name, access)),
    }
}
