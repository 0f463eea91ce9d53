//! Blobs on their way to the thread that writes them, many at a time.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender};

use super::blob_writer::{Blob, WriterMessage};
use crate::objects::inflate::OUTPUT_SLACK;
use crate::objects::pack_index::ObjectIndex;

/// Collects blobs for the writer thread.
pub(super) struct Batches<'a> {
    to_writer: SyncSender<WriterMessage>,
    from_writer: &'a Receiver<Vec<u8>>,
    /// The blobs, and behind them what an earlier batch left: clearing it would take time.
    bytes: Vec<u8>,
    used: usize,
    blobs: Vec<Blob>,
    /// The largest batch, in bytes.
    batch_bytes: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        to_writer: SyncSender<WriterMessage>,
        from_writer: &'a Receiver<Vec<u8>>,
        batch_bytes: usize,
    ) -> Self {
        Batches { to_writer, from_writer, bytes: Vec::new(), used: 0, blobs: Vec::new(), batch_bytes }
    }

    /// Space for a blob, and [`OUTPUT_SLACK`].
    pub(super) fn reserve(&mut self, size: usize) -> io::Result<&mut [u8]> {
        if self.used + size > self.batch_bytes {
            self.send()?;
        }
        let end = self.used + size + OUTPUT_SLACK;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        Ok(&mut self.bytes[self.used..end])
    }

    /// Add the blob that was written to the reserved space.
    pub(super) fn push(&mut self, at: ObjectIndex, size: usize) {
        self.blobs.push(Blob { at, start: self.used, end: self.used + size });
        self.used += size;
    }

    pub(super) fn send(&mut self) -> io::Result<()> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        let next = self.buffer();
        self.used = 0;
        let (bytes, blobs) = (std::mem::replace(&mut self.bytes, next), std::mem::take(&mut self.blobs));
        self.send_message(WriterMessage::Batch { bytes, blobs })
    }

    /// A buffer, whose content means nothing. Buffers are reused: the allocator returns large ones to the system at
    /// once, which is slow.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let new = |_| Vec::with_capacity(self.batch_bytes + OUTPUT_SLACK);
        self.from_writer.try_recv().unwrap_or_else(new)
    }

    pub(super) fn send_message(&self, message: WriterMessage) -> io::Result<()> {
        self.to_writer.send(message).map_err(|_| io::Error::other("the files could not be written"))
    }
}
