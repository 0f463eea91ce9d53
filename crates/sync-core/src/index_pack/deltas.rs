//! Resolving the deltas of a pack after it has arrived.

use std::io::{self, BufRead};
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::ObjectId;
use gix::objs::Kind;

use super::blob_writer::{BlobWriter, DirCursor, Written, hasher};
use super::disk::PackFile;
use super::entries::{AllRead, DeltaEntry};
use super::{PackReceiver, hash};
use crate::fetched::StreamedFile;
use crate::objects::content::{Content, Spill};
use crate::objects::delta::Delta;
use crate::objects::inflate::{Inflater, OUTPUT_SLACK, pieces, stream};
use crate::objects::pack_index::{ObjectIndex, PackedObject};
use crate::objects::{Objects, corrupt, entry_at, refuse_huge};
use crate::progress::Stage;
use crate::resources::SPARE_BUFFERS;
use crate::threads::on_threads;

/// Resolve all deltas and set the ids of their objects. Bases that are not in the pack are copied into it from
/// `bases`. Returns the files that were written.
pub(super) fn resolve(
    pack_receiver: &PackReceiver<'_>,
    pack: &PackFile,
    read: &mut AllRead,
    blob_writer: &BlobWriter<'_>,
    bases: Option<&Objects>,
) -> io::Result<Vec<StreamedFile>> {
    let count = read.deltas.len() + read.ref_deltas.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    pack_receiver.progress.enter(Stage::Resolving);
    pack_receiver.progress.set_total(count);
    read.deltas.sort_unstable_by_key(|delta| delta.base);
    read.ref_deltas.sort_unstable_by_key(|delta| delta.base);
    let AllRead { objects, deltas, ref_deltas, .. } = &*read;
    let resolver = DeltaResolver { pack_receiver, pack, blob_writer, objects, deltas, ref_deltas };
    let mut resolved = resolver.resolve()?;
    let (added, more) = resolver.add_bases(bases)?;
    resolved.push(more);
    let mut files = Vec::new();
    for (ids, written) in resolved {
        read.set_ids(ids);
        files.extend(written);
    }
    if read.objects.iter().any(|object| object.id.is_null()) {
        return Err(corrupt("a delta has no base"));
    }
    if !added.is_empty() {
        read.objects.extend(added);
        read.trailer = pack.close(read.objects.len(), pack_receiver.hash)?;
    }
    Ok(files)
}

/// Finds the deltas of each base.
struct DeltaResolver<'a> {
    pack_receiver: &'a PackReceiver<'a>,
    pack: &'a PackFile,
    blob_writer: &'a BlobWriter<'a>,
    objects: &'a [PackedObject],
    /// Both are sorted by their bases.
    deltas: &'a [DeltaEntry<ObjectIndex>],
    ref_deltas: &'a [DeltaEntry<ObjectId>],
}

/// A delta that one worker resolves.
#[derive(Clone, Copy)]
struct ClaimedDelta {
    at: ObjectIndex,
    size: u32,
    header: u8,
}

impl<'a> DeltaResolver<'a> {
    /// Resolve all deltas whose chain starts in the pack, on several threads.
    fn resolve(&self) -> io::Result<Vec<Written>> {
        let has_dependents = |(at, object): &(ObjectIndex, &PackedObject)| {
            !dependents(self.deltas, at).is_empty() || !dependents(self.ref_deltas, &object.id).is_empty()
        };
        // What has no id yet is a delta itself.
        let whole = (0..).zip(self.objects).filter(|(_, object)| !object.id.is_null());
        let roots: Vec<ObjectIndex> = whole.filter(has_dependents).map(|(at, _)| at).collect();
        let next = AtomicUsize::new(0);
        let threads = self.pack_receiver.resources.threads().min(roots.len());
        on_threads(0..threads, |_| {
            let mut worker = Worker::new(self);
            while let Some(root) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
                worker.resolve_root(*root)?;
            }
            Ok(worker.done())
        })
    }

    /// Complete a thin pack: append the missing bases to it, and resolve the deltas that depend on them.
    fn add_bases(&self, bases: Option<&Objects>) -> io::Result<(Vec<PackedObject>, Written)> {
        let Some(bases) = bases else { return Ok(Default::default()) };
        let (mut added, mut worker, mut addition) = (Vec::new(), Worker::new(self), None);
        for delta in self.ref_deltas {
            let id = delta.base;
            if delta.is_done.load(Ordering::Relaxed) {
                continue;
            }
            // A base that is found nowhere may be the result of another delta.
            let Some((kind, content)) = bases.content(&id)? else { continue };
            let addition = match &mut addition {
                Some(addition) => addition,
                none => none.insert(self.pack.reopen(self.pack_receiver.hash)?),
            };
            added.push(addition.add(id, kind, &content)?);
            worker.resolve_dependents(kind, content, claim(self.ref_deltas, &id))?;
        }
        Ok((added, worker.done()))
    }

    /// Take the unresolved deltas of an object of the pack.
    fn children(&self, at: ObjectIndex, id: ObjectId) -> Vec<ClaimedDelta> {
        let mut children = claim(self.deltas, &at);
        children.extend(claim(self.ref_deltas, &id));
        children
    }
}

/// The deltas of a base.
fn dependents<'a, B: Ord>(deltas: &'a [DeltaEntry<B>], base: &B) -> &'a [DeltaEntry<B>] {
    let start = deltas.partition_point(|delta| delta.base < *base);
    let length = deltas[start..].partition_point(|delta| delta.base == *base);
    &deltas[start..start + length]
}

/// Take the unresolved deltas of a base. Each is returned only once; the caller must resolve it.
fn claim<B: Ord>(deltas: &[DeltaEntry<B>], base: &B) -> Vec<ClaimedDelta> {
    let unclaimed =
        dependents(deltas, base).iter().filter(|delta| !delta.is_done.swap(true, Ordering::Relaxed));
    unclaimed.map(|delta| ClaimedDelta { at: delta.at, size: delta.size, header: delta.header }).collect()
}

/// One thread that resolves deltas.
struct Worker<'a> {
    resolver: &'a DeltaResolver<'a>,
    cursor: DirCursor<'a>,
    inflater: Inflater,
    /// The inflated delta.
    buffer: Vec<u8>,
    /// Buffers for reuse: the allocator is slow if threads share it.
    spare: Vec<Vec<u8>>,
    ids: Vec<(ObjectIndex, ObjectId)>,
}

impl<'a> Worker<'a> {
    fn new(resolver: &'a DeltaResolver<'a>) -> Self {
        let cursor = DirCursor::new(resolver.blob_writer);
        let (inflater, buffer) = (Inflater::new(), Vec::new());
        Worker { resolver, cursor, inflater, buffer, spare: Vec::new(), ids: Vec::new() }
    }

    fn done(self) -> Written {
        (self.ids, self.cursor.files)
    }

    /// Resolve all deltas whose chain starts at a whole object of the pack.
    fn resolve_root(&mut self, at: ObjectIndex) -> io::Result<()> {
        let DeltaResolver { pack_receiver, pack, objects, .. } = *self.resolver;
        let object = &objects[at as usize];
        let children = self.resolver.children(at, object.id);
        if children.is_empty() {
            return Ok(()); // the pack has this object twice, and another thread took its deltas
        }
        let root = entry_at(&pack.file, object.offset, pack_receiver.hash)?;
        let (kind, size) = (root.header.as_kind(), root.decompressed_size);
        let kind = kind.ok_or_else(|| corrupt("a delta has no base"))?;
        let content = if size > pack_receiver.resources.stream_threshold() {
            Content::spill(&pack_receiver.pack_dir, |put| {
                pieces(stream(&pack.file, root.data_offset, size), put)
            })?
        } else {
            let mut bytes = self.empty();
            bytes.reserve_exact(size as usize + OUTPUT_SLACK);
            self.inflater.whole(&pack.file, root.data_offset, size as usize, &mut bytes)?;
            Content::Held(bytes.into())
        };
        self.resolve_dependents(kind, content, children)
    }

    /// Resolve all deltas of an object, depth first. A base is held only until its last delta is resolved. If too
    /// many bases are held, further ones go to disk.
    fn resolve_dependents(
        &mut self,
        kind: Kind,
        content: Content,
        children: Vec<ClaimedDelta>,
    ) -> io::Result<()> {
        let pack_receiver = self.resolver.pack_receiver;
        let done = pack_receiver.progress.files();
        let mut open = vec![(content, children)];
        while let Some((base, mut children)) = open.pop() {
            let Some(child) = children.pop() else { continue };
            pack_receiver.interrupt.check()?;
            let held: u64 = open.iter().map(|(content, _)| content.held()).sum();
            let limit = pack_receiver
                .resources
                .delta_cache_bytes()
                .saturating_sub(held)
                .min(pack_receiver.resources.stream_threshold());
            let (id, content) = self.resolve_one(kind, child, &base, limit)?;
            if children.is_empty() {
                self.reuse(base);
            } else {
                open.push((base, children));
            }
            self.ids.push((child.at, id));
            gix::Count::inc(&done);
            let grandchildren = self.resolver.children(child.at, id);
            if grandchildren.is_empty() {
                self.reuse(content);
            } else {
                open.push((content, grandchildren));
            }
        }
        Ok(())
    }

    /// An empty buffer.
    fn empty(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keep the buffer of an object that is no longer needed.
    fn reuse(&mut self, content: Content) {
        let max_capacity = self.resolver.pack_receiver.resources.stream_threshold() as usize + OUTPUT_SLACK;
        let is_kept = |bytes: &Vec<u8>| self.spare.len() < SPARE_BUFFERS && bytes.capacity() <= max_capacity;
        if let Some(mut bytes) = content.into_held().filter(is_kept) {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Resolve one delta. The result is in memory if it has at most `limit` bytes.
    fn resolve_one(
        &mut self,
        kind: Kind,
        child: ClaimedDelta,
        base: &Content,
        limit: u64,
    ) -> io::Result<(ObjectId, Content)> {
        let DeltaResolver { pack_receiver, pack, objects, .. } = *self.resolver;
        let data_offset = objects[child.at as usize].offset + u64::from(child.header);
        if u64::from(child.size) > pack_receiver.resources.stream_threshold() {
            let stream = stream(&pack.file, data_offset, child.size.into());
            return self.apply(kind, stream, base, limit);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.inflater.whole(&pack.file, data_offset, child.size as usize, &mut buffer)?;
        let resolved = self.apply(kind, &buffer[..], base, limit);
        self.buffer = buffer;
        resolved
    }

    fn apply(
        &mut self,
        kind: Kind,
        delta: impl BufRead,
        base: &Content,
        limit: u64,
    ) -> io::Result<(ObjectId, Content)> {
        let pack_receiver = self.resolver.pack_receiver;
        let delta = Delta::open(delta)?;
        refuse_huge(kind, delta.size, pack_receiver.resources)?;
        if delta.size > limit {
            let mut hasher = hasher(pack_receiver.hash, kind, delta.size);
            let mut spill = Spill::create(&pack_receiver.pack_dir)?;
            delta.apply(base, &mut |piece| {
                pack_receiver.interrupt.check()?;
                hasher.update(piece);
                spill.add(piece)
            })?;
            let id = hasher.try_finalize().map_err(io::Error::other)?;
            return Ok((id, self.cursor.link_large(id, spill)?));
        }
        let mut bytes = self.empty();
        bytes.reserve_exact(delta.size as usize);
        delta.apply(base, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        let id = hash(pack_receiver.hash, kind, &bytes)?;
        if kind == Kind::Blob {
            self.cursor.write_blob(id, &bytes)?;
        }
        Ok((id, Content::Held(bytes.into())))
    }
}
