//! Writing objects as a pack. Entries are copied without inflating them where possible.

use std::io::{self, BufWriter, Write};

use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix_pack::data::entry::Header;

use super::chain::{PackLocation, Stored};
use super::deflate::{Deflater, Hashed, header_of};
use super::{Objects, Pack, corrupt};

/// Write a pack with the objects `ids` to `out`. Deltas in it may name bases that come later, or that the reader has
/// according to `is_there`.
pub(crate) fn write_pack(
    objects: &Objects,
    ids: &[ObjectId],
    is_there: impl Fn(&ObjectId) -> bool,
    out: impl Write,
    interrupt: &crate::interrupt::Interrupt,
) -> io::Result<()> {
    let out = BufWriter::with_capacity(64 * 1024, out);
    let out = Hashed { inner: out, hasher: gix::hash::hasher(objects.hash) };
    let mut wanted = ids.to_vec();
    wanted.sort_unstable();
    let orders = objects.packs.iter().map(|_| None).collect();
    let mut writer = Writer { objects, wanted, is_there, orders, deflater: Deflater::new(), out };
    let count = u32::try_from(ids.len()).map_err(io::Error::other)?;
    writer.out.write_all(&gix_pack::data::header::encode(gix_pack::data::Version::V2, count))?;
    for id in ids {
        interrupt.check()?;
        writer.write_object(id)?;
    }
    let Hashed { mut inner, hasher } = writer.out;
    inner.write_all(hasher.try_finalize().map_err(io::Error::other)?.as_slice())?;
    inner.flush()
}

struct Writer<'a, W, T> {
    objects: &'a Objects,
    /// The objects of the new pack, sorted.
    wanted: Vec<ObjectId>,
    is_there: T,
    /// One per pack, built on demand.
    orders: Vec<Option<Order>>,
    deflater: Deflater,
    out: W,
}

impl<W: Write, T: Fn(&ObjectId) -> bool> Writer<'_, W, T> {
    fn write_object(&mut self, id: &ObjectId) -> io::Result<()> {
        let Some(location) = self.objects.locate(id) else { return self.write_unpacked(id) };
        let stored = self.objects.stored(location)?;
        let header = match stored.entry.header {
            Header::OfsDelta { .. } | Header::RefDelta { .. } => match self.base_id(&stored)? {
                // There is no cycle: a base is found in the same pack as its delta, or in an earlier one.
                Some(base_id) => Header::RefDelta { base_id },
                None => return self.write_whole(location),
            },
            whole => whole,
        };
        header.write_to(stored.entry.decompressed_size, &mut self.out)?;
        self.copy_entry(&stored)
    }

    /// The base of a delta, if whoever reads the pack has it.
    fn base_id(&mut self, delta: &Stored) -> io::Result<Option<ObjectId>> {
        let objects = self.objects;
        let id = match (&delta.entry.header, objects.base(delta)?) {
            (Header::RefDelta { base_id }, _) => Some(*base_id),
            (_, Some(base)) => self.order(base.pack).id(&objects.packs[base.pack], base.offset),
            (_, None) => None,
        };
        Ok(id.filter(|id| self.wanted.binary_search(id).is_ok() || (self.is_there)(id)))
    }

    /// Copy the deflated bytes of an entry.
    fn copy_entry(&mut self, stored: &Stored) -> io::Result<()> {
        let PackLocation { pack, offset } = stored.location;
        let objects = self.objects;
        let next = self.order(pack).after(&objects.packs[pack], offset);
        let end = match next {
            Some(next) => next,
            None => stored.file.metadata()?.len().saturating_sub(objects.hash.len_in_bytes() as u64),
        };
        let (mut buffer, mut at) = ([0; 16 * 1024], stored.entry.data_offset);
        while at < end {
            let wanted = buffer.len().min((end - at) as usize);
            stored.file.read_exact_at(&mut buffer[..wanted], at)?;
            self.out.write_all(&buffer[..wanted])?;
            at += wanted as u64;
        }
        Ok(())
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

    fn order(&mut self, pack: usize) -> &Order {
        self.orders[pack].get_or_insert_with(|| Order::of(&self.objects.packs[pack]))
    }
}

/// The entries of a pack's index, sorted by offset.
struct Order(Vec<u32>);

impl Order {
    fn of(pack: &Pack) -> Order {
        let mut entries: Vec<u32> = (0..pack.index.num_objects()).collect();
        entries.sort_unstable_by_key(|entry| pack.index.pack_offset_at_index(*entry));
        Order(entries)
    }

    fn id(&self, pack: &Pack, offset: u64) -> Option<ObjectId> {
        let at = self.0.binary_search_by_key(&offset, |entry| pack.index.pack_offset_at_index(*entry));
        Some(pack.index.oid_at_index(self.0[at.ok()?]).to_owned())
    }

    /// The offset of the entry after the one at `offset`.
    fn after(&self, pack: &Pack, offset: u64) -> Option<u64> {
        let at = self.0.partition_point(|entry| pack.index.pack_offset_at_index(*entry) <= offset);
        Some(pack.index.pack_offset_at_index(*self.0.get(at)?))
    }
}
