//! Writing objects as a pack. Entries are copied without inflating them where possible.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix::hashtable::HashMap as IdMap;
use gix_pack::data::Entry;
use gix_pack::data::entry::Header;

use super::checksum::Hashed;
use super::deflate::{Deflater, EntryWriter, header_of};
use super::pack_index::PackedObject;
use super::{MAX_HEADER, Objects, Pack, PackLocation, corrupt};

/// A pack that was written.
pub(crate) struct WrittenPack {
    pub(crate) objects: Vec<PackedObject>,
    pub(crate) checksum: ObjectId,
}

/// Write a pack with the objects `ids`, in this order, to `out`. Deltas in it may name bases that come later, or that
/// the reader has according to `is_there`. `each` is called before each object.
///
/// Entries that are copied are checked against the checksums in the index of their pack.
pub(crate) fn write_pack(
    objects: &Objects,
    ids: &[ObjectId],
    is_there: impl Fn(&ObjectId) -> bool,
    out: impl Write,
    mut each: impl FnMut() -> io::Result<()>,
) -> io::Result<WrittenPack> {
    let out = BufWriter::with_capacity(64 * 1024, Hashed::new(out, objects.hash));
    let out = EntryWriter::new(out, 0);
    let wanted = ids.iter().map(|id| (*id, None)).collect();
    let orders = objects.packs.iter().map(|_| None).collect();
    let (source, deflater) = (ReadAhead::default(), Deflater::new());
    let mut writer = Writer { objects, wanted, is_there, orders, source, deflater, out };
    let count = u32::try_from(ids.len()).map_err(io::Error::other)?;
    writer.out.write_all(&gix_pack::data::header::encode(gix_pack::data::Version::V2, count))?;
    let mut written = Vec::with_capacity(ids.len());
    for id in ids {
        each()?;
        written.push(writer.write_object(id)?);
    }
    let checksum = writer.out.inner.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    Ok(WrittenPack { objects: written, checksum })
}

/// Sort objects as they are stored, so that they can be copied with few reads. Objects in no pack come last.
pub(crate) fn sort_as_stored(objects: &Objects, ids: &mut [ObjectId]) {
    ids.sort_by_cached_key(|id| match objects.locate(id) {
        Some(PackLocation { pack, offset }) => (pack, offset),
        None => (usize::MAX, 0),
    });
}

struct Writer<'a, W: Write, T> {
    objects: &'a Objects,
    /// The objects of the new pack, with their offsets once they are written.
    wanted: IdMap<ObjectId, Option<NonZeroU64>>,
    is_there: T,
    /// One per pack, built on demand.
    orders: Vec<Option<Order>>,
    source: ReadAhead,
    deflater: Deflater,
    out: EntryWriter<BufWriter<Hashed<W>>>,
}

impl<W: Write, T: Fn(&ObjectId) -> bool> Writer<'_, W, T> {
    fn write_object(&mut self, id: &ObjectId) -> io::Result<PackedObject> {
        self.out.begin();
        match self.objects.locate(id) {
            Some(location) => self.write_packed(location)?,
            None => self.write_unpacked(id)?,
        }
        self.wanted.insert(*id, NonZeroU64::new(self.out.start()));
        Ok(self.out.entry(*id))
    }

    fn write_packed(&mut self, location: PackLocation) -> io::Result<()> {
        let PackLocation { pack, offset } = location;
        let objects = self.objects;
        let file = objects.file(pack)?;
        let found = self.order(pack).visit(&objects.packs[pack], offset);
        let (at, next) = found.ok_or_else(|| corrupt("its index is damaged"))?;
        let end = match next {
            Some(next) => next,
            None => file.metadata()?.len().saturating_sub(objects.hash.len_in_bytes() as u64),
        };
        if end <= offset {
            return Err(corrupt("it ends too early"));
        }
        self.source.seek(file, offset..end);
        let entry = Entry::from_bytes(self.source.peek()?, offset, objects.hash).map_err(corrupt)?;
        let header_size = entry.header_size();
        let header = if entry.header.is_delta() {
            // There is no cycle: a base is found in the same pack as its delta, or in an earlier one.
            match self.delta_header(location, entry.header)? {
                Some(header) => header,
                None => return self.write_whole(location),
            }
        } else {
            entry.header
        };
        header.write_to(entry.decompressed_size, &mut self.out)?;
        // An index of version 1 has no checksums.
        self.copy_entry(header_size, objects.packs[pack].index.crc32_at_index(at))
    }

    /// The header for a delta, if whoever reads the pack has its base.
    fn delta_header(&mut self, delta: PackLocation, header: Header) -> io::Result<Option<Header>> {
        let Some(base_id) = self.base_id(delta, header)? else { return Ok(None) };
        Ok(match self.wanted.get(&base_id) {
            Some(Some(base)) => Some(Header::OfsDelta { base_distance: self.out.start() - base.get() }),
            Some(None) => Some(Header::RefDelta { base_id }),
            None => (self.is_there)(&base_id).then_some(Header::RefDelta { base_id }),
        })
    }

    fn base_id(&mut self, delta: PackLocation, header: Header) -> io::Result<Option<ObjectId>> {
        let Header::OfsDelta { base_distance } = header else {
            return Ok(if let Header::RefDelta { base_id } = header { Some(base_id) } else { None });
        };
        let base = Header::verified_base_pack_offset(delta.offset, base_distance);
        let base = base.ok_or_else(|| corrupt("a delta has no base"))?;
        let pack = &self.objects.packs[delta.pack];
        let at = self.order(delta.pack).entry(pack, base);
        Ok(at.map(|at| pack.index.oid_at_index(at).to_owned()))
    }

    /// Copy the deflated bytes of the entry that [`Writer::source`] is at. `expected` is the checksum of the entry with
    /// its header.
    fn copy_entry(&mut self, mut header_size: usize, expected: Option<u32>) -> io::Result<()> {
        let mut crc32 = crc32fast::Hasher::new();
        while let Some(piece) = self.source.next()? {
            crc32.update(piece);
            let header = header_size.min(piece.len());
            self.out.write_all(&piece[header..])?;
            header_size -= header;
        }
        match expected.is_none_or(|expected| expected == crc32.finalize()) {
            true => Ok(()),
            false => Err(corrupt("the checksum of an entry is wrong")),
        }
    }

    /// Write an object whole that is stored as a delta to a base outside of the new pack.
    fn write_whole(&mut self, location: PackLocation) -> io::Result<()> {
        let size = self.objects.size(&self.objects.stored(location)?)?;
        let chain = self.objects.chain(location)?;
        header_of(chain.kind).write_to(size, &mut self.out)?;
        self.objects.stream_chain(&chain, &mut |piece| self.deflater.add(piece, &mut self.out))?;
        self.deflater.finish(&mut self.out)
    }

    /// Write an object that is in no pack.
    fn write_unpacked(&mut self, id: &ObjectId) -> io::Result<()> {
        let found = self.objects.content(id)?;
        let (kind, content) = found.ok_or_else(|| corrupt(format!("{id} is missing")))?;
        header_of(kind).write_to(content.len(), &mut self.out)?;
        content.pieces(0, content.len(), &mut |piece| self.deflater.add(piece, &mut self.out))?;
        self.deflater.finish(&mut self.out)
    }

    fn order(&mut self, pack: usize) -> &mut Order {
        self.orders[pack].get_or_insert_with(|| Order::of(&self.objects.packs[pack]))
    }
}

/// Reads entries of packs, with few reads where they follow each other.
#[derive(Default)]
struct ReadAhead {
    file: Option<Arc<File>>,
    /// What was read, and the offset of its first byte in the file.
    bytes: Vec<u8>,
    start: u64,
    /// What is left of the current entry.
    left: Range<u64>,
}

/// How much is read at once, in bytes.
const READ_AHEAD: u64 = 256 * 1024;

impl ReadAhead {
    /// Go to an entry.
    fn seek(&mut self, file: Arc<File>, entry: Range<u64>) {
        if !self.file.as_ref().is_some_and(|open| Arc::ptr_eq(open, &file)) {
            self.bytes.clear();
            self.file = Some(file);
        }
        self.left = entry;
    }

    /// The first bytes of the entry: enough for its header.
    fn peek(&mut self) -> io::Result<&[u8]> {
        let held = self.hold((MAX_HEADER as u64).min(self.left.end - self.left.start))?;
        Ok(&self.bytes[held])
    }

    /// The next piece of the entry; `None` at its end.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let held = self.hold(1)?;
        self.left.start += held.len() as u64;
        Ok(Some(&self.bytes[held]))
    }

    /// Have at least `least` bytes of the entry. Returns where they are in [`ReadAhead::bytes`].
    fn hold(&mut self, least: u64) -> io::Result<Range<usize>> {
        let at = self.left.start;
        let end = self.start + self.bytes.len() as u64;
        let follows = (self.start..=end).contains(&at);
        if !follows || end - at < least {
            let left = self.left.end - at;
            self.fill(at, least, if follows { left.max(READ_AHEAD) } else { left }.min(READ_AHEAD))?;
        }
        let from = (at - self.start) as usize;
        let held = self.bytes.len() - from;
        Ok(from..from + held.min((self.left.end - at).try_into().unwrap_or(held)))
    }

    /// Read up to `most` bytes.
    fn fill(&mut self, at: u64, least: u64, most: u64) -> io::Result<()> {
        self.bytes.resize(most as usize, 0);
        self.start = at;
        let mut filled = 0;
        while (filled as u64) < least {
            let Some(file) = &self.file else { break };
            match file.read_at(&mut self.bytes[filled..], at + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}

/// The entries of a pack's index, sorted by offset.
struct Order {
    entries: Vec<u32>,
    /// The position after the one that was found last. Most are asked for one after the other.
    next: usize,
}

impl Order {
    fn of(pack: &Pack) -> Order {
        let mut entries: Vec<u32> = (0..pack.index.num_objects()).collect();
        entries.sort_by_cached_key(|entry| pack.index.pack_offset_at_index(*entry));
        Order { entries, next: 0 }
    }

    /// The entry at `offset`.
    fn entry(&self, pack: &Pack, offset: u64) -> Option<u32> {
        Some(self.entries[self.position(pack, offset)?])
    }

    fn position(&self, pack: &Pack, offset: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&offset, |entry| pack.index.pack_offset_at_index(*entry)).ok()
    }

    /// The entry at `offset`, and the offset of the one after it.
    fn visit(&mut self, pack: &Pack, offset: u64) -> Option<(u32, Option<u64>)> {
        let offset_of = |entry: &u32| pack.index.pack_offset_at_index(*entry);
        let is_next = self.entries.get(self.next).is_some_and(|entry| offset_of(entry) == offset);
        let at = if is_next { self.next } else { self.position(pack, offset)? };
        self.next = at + 1;
        Some((self.entries[at], self.entries.get(self.next).map(offset_of)))
    }
}
