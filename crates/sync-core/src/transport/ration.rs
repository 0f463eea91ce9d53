//! How much a server may say besides packs: its words are kept in memory.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::Excess;

/// Well over a million references.
const TALK: u64 = 128 << 20;

/// What is left for the server to say; shared by a connection and who uses it.
#[derive(Clone, Debug)]
pub(crate) struct Ration(Arc<AtomicU64>);

impl Ration {
    pub(crate) fn new() -> Ration {
        Ration(Arc::new(AtomicU64::new(TALK)))
    }

    /// A listing begins, or a negotiation.
    pub(crate) fn renew(&self) {
        self.0.store(TALK, Ordering::Relaxed);
    }

    /// A pack begins, which has a limit of its own.
    pub(crate) fn lift(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    pub(super) fn of<R>(&self, inner: R) -> Rationed<R> {
        Rationed { inner, ration: self.clone() }
    }
}

/// Reads as much as the ration allows.
#[derive(Debug)]
pub(crate) struct Rationed<R> {
    inner: R,
    ration: Ration,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let left = self.ration.0.load(Ordering::Relaxed);
        let left = left.checked_sub(read as u64).ok_or_else(|| Excess::of_talk(TALK))?;
        self.ration.0.store(left, Ordering::Relaxed);
        Ok(read)
    }
}
