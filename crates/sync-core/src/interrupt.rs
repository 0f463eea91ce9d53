//! The flag that stops long work. It owns no clock and no signal handler: whoever drives the core sets it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A shared flag that makes every long operation of this crate end soon with an error.
///
/// Work is stopped between steps, between chunks of a pack and between reads of a socket: a blocked network
/// read notices within a tenth of a second. An interrupted operation leaves only temporary names behind.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ask all work that shares this flag to stop.
    pub fn trigger(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Make the flag usable for the next operation.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether work was asked to stop.
    pub fn is_triggered(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// An error of kind `TimedOut` once the flag is set; never `Interrupted`, which readers would retry.
    pub fn check(&self) -> io::Result<()> {
        if self.is_triggered() { Err(io::Error::new(io::ErrorKind::TimedOut, "stopped")) } else { Ok(()) }
    }
}
