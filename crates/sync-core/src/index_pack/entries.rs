//! Reading the entries of a pack while it arrives. Each is inflated once.

use std::io::{self, BufRead, Read};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender};

use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::Kind as ObjectKind;
use gix_pack::data::entry::Header;

use super::batches::Batches;
use super::blob_writer::{BlobWriter, WriterMessage, hasher};
use super::{PackReceiver, hash};
use crate::objects::inflate::{Decoder, OUTPUT_SLACK, decoder, wrong_length};
use crate::objects::pack_index::{ObjectIndex, PackedObject};
use crate::objects::{MAX_BUFFERED_OBJECT, corrupt, refuse_huge};

/// A message to the disk thread.
pub(super) enum Packet {
    /// Bytes that the checksum covers.
    Bytes(Vec<u8>),
    /// The checksum at the end of the pack.
    Trailer(Vec<u8>),
}

/// An entry with a delta. There may be millions, so each has only a few bytes here.
pub(super) struct DeltaEntry<B> {
    pub(super) base: B,
    pub(super) at: ObjectIndex,
    /// The inflated size of the delta.
    pub(super) size: u32,
    /// The length of the header, which the deflated delta follows.
    pub(super) header: u8,
    /// Whether it is resolved, or a thread is resolving it. A hostile pack may have cycles of deltas.
    pub(super) is_done: AtomicBool,
}

/// All entries of a pack.
pub(super) struct AllRead {
    /// In the order of their offsets.
    pub(super) objects: Vec<PackedObject>,
    /// Deltas of objects that are in the pack before them.
    pub(super) deltas: Vec<DeltaEntry<ObjectIndex>>,
    /// Deltas of objects with these ids.
    pub(super) ref_deltas: Vec<DeltaEntry<ObjectId>>,
    pub(super) trailer: ObjectId,
}

impl AllRead {
    pub(super) fn set_ids(&mut self, ids: Vec<(ObjectIndex, ObjectId)>) {
        for (at, id) in ids {
            self.objects[at as usize].id = id;
        }
    }
}

/// The smallest packet for the disk thread, in bytes: servers send small pieces.
const PACKET: usize = 48 * 1024;

/// Git refuses shorter deltas, in bytes. They could only make an object of nothing.
const SHORTEST_DELTA: u64 = 4;

/// The largest piece of a large object, in bytes.
const WINDOW: u64 = 256 * 1024;

/// A pack that is being read.
pub(super) struct Entries<'a> {
    source: &'a mut dyn BufRead,
    pack_receiver: &'a PackReceiver<'a>,
    kind: Kind,
    /// Larger objects pass through in pieces.
    large: u64,
    decoder: Box<Decoder>,
    /// The buffer for these pieces.
    window: Vec<u8>,
    /// The bytes that arrived, and how many of them are used.
    packet: Vec<u8>,
    used: usize,
    /// The offset of `packet[0]` in the pack.
    start: u64,
    crc32: crc32fast::Hasher,
    to_disk: SyncSender<Packet>,
    from_disk: Receiver<Vec<u8>>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(
        source: &'a mut dyn BufRead,
        pack_receiver: &'a PackReceiver<'a>,
        to_disk: SyncSender<Packet>,
        from_disk: Receiver<Vec<u8>>,
    ) -> Self {
        Entries {
            source,
            pack_receiver,
            kind: pack_receiver.hash,
            large: pack_receiver.resources.stream_threshold(),
            decoder: decoder(),
            window: Vec::new(),
            packet: Vec::new(),
            used: 0,
            start: 0,
            crc32: crc32fast::Hasher::new(),
            to_disk,
            from_disk,
        }
    }

    /// Read the pack to its end.
    pub(super) fn read_all(
        &mut self,
        blob_writer: &BlobWriter<'_>,
        to_writer: SyncSender<WriterMessage>,
        from_writer: &Receiver<Vec<u8>>,
    ) -> io::Result<AllRead> {
        let PackReceiver { progress, interrupt, .. } = *self.pack_receiver;
        let mut header = [0; 12];
        self.read_exact(&mut header)?;
        let (_, count) = gix_pack::data::header::decode(&header).map_err(corrupt)?;
        progress.set_total(count as usize);
        let (done, bytes) = (progress.files(), progress.bytes());
        let batch_bytes = self.pack_receiver.resources.batch_bytes() as usize;
        let mut out = Batches::new(to_writer, from_writer, batch_bytes);
        let trailer = ObjectId::null(self.kind);
        let (objects, deltas, ref_deltas) = Default::default();
        let mut read = AllRead { objects, deltas, ref_deltas, trailer };
        for at in 0..count {
            interrupt.check()?;
            self.entry(at, blob_writer, &mut out, &mut read)?;
            gix::Count::inc(&done);
            gix::Count::set(&bytes, self.offset() as usize);
        }
        out.send()?;
        read.trailer = self.trailer()?;
        Ok(read)
    }

    fn entry(
        &mut self,
        at: ObjectIndex,
        blob_writer: &BlobWriter<'_>,
        out: &mut Batches<'_>,
        read: &mut AllRead,
    ) -> io::Result<()> {
        let offset = self.offset();
        self.crc32 = crc32fast::Hasher::new();
        let hash_length = self.kind.len_in_bytes();
        let entry = gix_pack::data::Entry::from_read(self, offset, hash_length)?;
        let size = entry.decompressed_size;
        let mut id = ObjectId::null(self.kind);
        match entry.header {
            Header::Blob if size > self.large => self.large_blob(at, size, out)?,
            Header::Blob => self.small_blob(at, size as usize, out)?,
            Header::OfsDelta { base_distance } => {
                let base = offset.checked_sub(base_distance);
                let base = base.and_then(|base| find_object(&read.objects, base));
                let base = base.ok_or_else(|| corrupt("a delta has no base"))?;
                read.deltas.push(self.skip_delta(at, &entry, base)?);
            }
            Header::RefDelta { base_id } => read.ref_deltas.push(self.skip_delta(at, &entry, base_id)?),
            Header::Commit | Header::Tree | Header::Tag => {
                let kind = entry.header.as_kind().unwrap_or(ObjectKind::Tag);
                refuse_huge(kind, size, self.pack_receiver.resources)?;
                id = self.read_other(kind, size, blob_writer)?;
            }
        }
        read.objects.push(PackedObject { offset, crc32: self.crc32.clone().finalize(), id });
        Ok(())
    }

    /// Add a small blob to the batch.
    fn small_blob(&mut self, at: ObjectIndex, size: usize, out: &mut Batches<'_>) -> io::Result<()> {
        self.inflate_into(out.reserve(size)?, size)?;
        out.push(at, size);
        Ok(())
    }

    /// Send a large blob to the writer thread in pieces.
    fn large_blob(&mut self, at: ObjectIndex, size: u64, out: &mut Batches<'_>) -> io::Result<()> {
        out.send()?;
        out.send_message(WriterMessage::Begin { at, size })?;
        self.inflate_in_pieces(size, |piece| {
            let mut buffer = out.buffer();
            buffer.clear();
            buffer.extend_from_slice(piece);
            out.send_message(WriterMessage::Piece(buffer))
        })?;
        out.send_message(WriterMessage::End)
    }

    /// Hash a commit, tag or tree, and add it to the plan unless it is very large.
    fn read_other(
        &mut self,
        kind: ObjectKind,
        size: u64,
        blob_writer: &BlobWriter<'_>,
    ) -> io::Result<ObjectId> {
        if size > self.pack_receiver.resources.pending_tree_bytes() {
            let mut hasher = hasher(self.kind, kind, size);
            self.inflate_in_pieces(size, |piece| {
                hasher.update(piece);
                Ok(())
            })?;
            return hasher.try_finalize().map_err(io::Error::other);
        }
        let body = self.inflate_whole(size)?;
        let id = hash(self.kind, kind, &body)?;
        blob_writer.add_object(kind, id, &body)?;
        Ok(id)
    }

    /// Inflate the next stream into memory.
    fn inflate_whole(&mut self, size: u64) -> io::Result<Vec<u8>> {
        // The size in the header may be wrong: for a large one, memory is allocated as it is needed.
        let mut body = Vec::with_capacity(size.min(self.large) as usize + OUTPUT_SLACK);
        if size <= self.large {
            body.resize(size as usize + OUTPUT_SLACK, 0);
            self.inflate_into(&mut body, size as usize)?;
            body.truncate(size as usize);
        } else {
            self.inflate_in_pieces(size, |piece| {
                body.extend_from_slice(piece);
                Ok(())
            })?;
        }
        Ok(body)
    }

    /// Skip a delta. It is resolved after the pack has arrived.
    fn skip_delta<B>(
        &mut self,
        at: ObjectIndex,
        entry: &gix_pack::data::Entry,
        base: B,
    ) -> io::Result<DeltaEntry<B>> {
        let size = entry.decompressed_size;
        let fault = |what| corrupt(format!("a delta of {size} bytes is too {what}"));
        if size < SHORTEST_DELTA {
            return Err(fault("short"));
        }
        let size = u32::try_from(size).ok().filter(|size| u64::from(*size) <= MAX_BUFFERED_OBJECT);
        let size = size.ok_or_else(|| fault("large"))?;
        let header = u8::try_from(entry.header_size()).map_err(corrupt)?;
        self.inflate_in_pieces(size.into(), |_| Ok(()))?;
        Ok(DeltaEntry { base, at, size, header, is_done: AtomicBool::new(false) })
    }

    /// Inflate the next stream, of exactly `size` bytes, into `buffer`, which has [`OUTPUT_SLACK`] bytes more.
    fn inflate_into(&mut self, buffer: &mut [u8], size: usize) -> io::Result<()> {
        let mut written = 0;
        loop {
            self.refill()?;
            let step = self.decoder.decompress(&self.packet[self.used..], buffer, false);
            let step = step.map_err(corrupt)?;
            let (done, consumed, full) = (step.done, step.consumed, step.full);
            written += step.output.len();
            self.advance(consumed);
            if done && written == size {
                return Ok(());
            }
            if done || full || written > size {
                return Err(wrong_length());
            }
        }
    }

    /// Inflate the next stream, of exactly `size` bytes, and pass it to `take` piece by piece.
    fn inflate_in_pieces(
        &mut self,
        size: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut window = std::mem::take(&mut self.window);
        window.resize(size.min(WINDOW) as usize + OUTPUT_SLACK, 0);
        let mut written = 0;
        loop {
            self.pack_receiver.interrupt.check()?;
            self.refill()?;
            let step = self.decoder.decompress(&self.packet[self.used..], &mut window, false);
            let step = step.map_err(corrupt)?;
            let (done, consumed, full) = (step.done, step.consumed, step.full);
            written += step.output.len() as u64;
            take(step.output)?;
            self.advance(consumed);
            if done && written == size {
                self.window = window;
                return Ok(());
            }
            if done || written > size {
                return Err(wrong_length());
            }
            if full {
                self.decoder.make_room(&mut window);
            }
        }
    }

    /// The offset of the next byte in the pack.
    fn offset(&self) -> u64 {
        self.start + self.used as u64
    }

    fn advance(&mut self, amount: usize) {
        self.crc32.update(&self.packet[self.used..self.used + amount]);
        self.used += amount;
    }

    /// Make at least one byte available. Used bytes go to the disk thread once they are worth a packet.
    fn refill(&mut self) -> io::Result<()> {
        if self.used < self.packet.len() {
            return Ok(());
        }
        if self.packet.len() >= PACKET {
            self.start += self.packet.len() as u64;
            self.used = 0;
            // Within a large object, too.
            gix::Count::set(&self.pack_receiver.progress.bytes(), self.start as usize);
            let mut next = self.from_disk.try_recv().unwrap_or_default();
            next.clear();
            let used = std::mem::replace(&mut self.packet, next);
            self.send(Packet::Bytes(used))?;
        }
        let arrived = self.source.fill_buf()?;
        if arrived.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the pack ends too early"));
        }
        self.packet.extend_from_slice(arrived);
        let amount = arrived.len();
        self.source.consume(amount);
        Ok(())
    }

    /// Read the checksum of the pack, and send the rest to the disk thread.
    fn trailer(&mut self) -> io::Result<ObjectId> {
        let mut trailer = self.packet.split_off(self.used);
        let rest = std::mem::take(&mut self.packet);
        self.send(Packet::Bytes(rest))?;
        let length = self.kind.len_in_bytes();
        let missing = length.saturating_sub(trailer.len());
        trailer.truncate(length);
        self.source.take(missing as u64).read_to_end(&mut trailer)?;
        let id = ObjectId::try_from(&trailer[..]).map_err(|_| corrupt("it ends too early"))?;
        self.send(Packet::Trailer(trailer))?;
        Ok(id)
    }

    fn send(&self, packet: Packet) -> io::Result<()> {
        // If the disk thread has ended, its own error is the one that is reported.
        self.to_disk.send(packet).map_err(|_| io::Error::other("the pack could not be stored"))
    }
}

/// The object at an offset.
fn find_object(objects: &[PackedObject], offset: u64) -> Option<ObjectIndex> {
    objects.binary_search_by_key(&offset, |object| object.offset).ok().map(|at| at as ObjectIndex)
}

/// Used for headers, which are read byte by byte.
impl Read for Entries<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.refill()?;
        let amount = buffer.len().min(self.packet.len() - self.used);
        buffer[..amount].copy_from_slice(&self.packet[self.used..self.used + amount]);
        self.advance(amount);
        Ok(amount)
    }
}
