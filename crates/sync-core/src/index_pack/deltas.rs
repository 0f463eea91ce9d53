//! Objects that are given by their difference from others, after all of the pack has come.

use std::io::{self, BufRead};
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::ObjectId;
use gix::objs::Kind;

use super::blob_writer::{BlobWriter, DirCursor, Placed, hasher};
use super::disk::PackFile;
use super::entries::{AllRead, Base, Delta, Whole};
use super::{Object, PackReceiver, hash};
use crate::fetched::StreamedFile;
use crate::objects::content::{Content, Spill};
use crate::objects::delta::Delta as ObjectDelta;
use crate::objects::inflate::{Inflater, OUTPUT_SLACK, pieces, stream};
use crate::objects::{Objects, corrupt, refuse_huge};
use crate::progress::Stage;
use crate::resources::SPARE_BUFFERS;

/// Put all deltas together, giving the objects their ids; the files that came of them. What they start from that
/// the pack does not hold is added to it.
pub(super) fn resolve(
    pack_receiver: &PackReceiver<'_>,
    pack: &PackFile,
    read: &mut AllRead,
    blob_writer: &BlobWriter<'_>,
    bases: Option<&Objects>,
) -> io::Result<Vec<StreamedFile>> {
    if read.deltas.is_empty() {
        return Ok(Vec::new());
    }
    pack_receiver.progress.enter(Stage::Resolving);
    pack_receiver.progress.set_total(read.deltas.len());
    read.deltas.sort_unstable_by(|a, b| a.base.cmp(&b.base));
    let resolver =
        DeltaResolver { pack_receiver, pack, blob_writer, objects: &read.objects, deltas: &read.deltas };
    let (mut resolved, mut files) = resolver.resolve(&read.whole)?;
    let (added, (more_resolved, more_files)) = resolver.adopt(bases)?;
    resolved.extend(more_resolved);
    files.extend(more_files);
    for (at, id) in resolved {
        read.objects[at].id = id;
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

/// Who is made from whom.
struct DeltaResolver<'a> {
    pack_receiver: &'a PackReceiver<'a>,
    pack: &'a PackFile,
    blob_writer: &'a BlobWriter<'a>,
    objects: &'a [Object],
    /// Sorted by their bases.
    deltas: &'a [Delta],
}

impl<'a> DeltaResolver<'a> {
    /// All that is made from what is there in full, on several threads.
    fn resolve(&self, whole: &[Whole]) -> io::Result<Placed> {
        let is_root = |whole: &&Whole| {
            let object = &self.objects[whole.at];
            !self.of(&Base::Offset(object.offset)).is_empty() || !self.of(&Base::Id(object.id)).is_empty()
        };
        let roots: Vec<&Whole> = whole.iter().filter(is_root).collect();
        let next = AtomicUsize::new(0);
        let PackReceiver { resources, .. } = self.pack_receiver;
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let work = || {
                let mut work = Work::new(self);
                while let Some(root) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work.root(root)?;
                }
                Ok(work.done())
            };
            let started: Vec<_> =
                (0..resources.threads().min(roots.len())).map(|_| scope.spawn(work)).collect();
            started.into_iter().map(|thread| thread.join()).collect()
        });
        let (mut resolved, mut files) = Placed::default();
        for outcome in outcomes {
            let (ids, written) = super::join(outcome)?;
            resolved.extend(ids);
            files.extend(written);
        }
        Ok((resolved, files))
    }

    /// All that is made from what is not in the pack, which becomes a part of it.
    fn adopt(&self, bases: Option<&Objects>) -> io::Result<(Vec<Object>, Placed)> {
        let Some(bases) = bases else { return Ok(Default::default()) };
        let (mut added, mut work, mut addition) = (Vec::new(), Work::new(self), None);
        for delta in self.deltas {
            let Base::Id(id) = delta.base else { continue };
            if delta.is_done.load(Ordering::Relaxed) {
                continue;
            }
            // What is nowhere may yet come of another.
            let Some((kind, content)) = bases.content(&id)? else { continue };
            let addition = match &mut addition {
                Some(addition) => addition,
                none => none.insert(self.pack.reopen(self.pack_receiver.hash)?),
            };
            added.push(addition.add(id, kind, &content)?);
            work.resolve_dependents(kind, content, self.claim_dependents(&delta.base))?;
        }
        Ok((added, work.done()))
    }

    /// What is made from a base.
    fn of(&self, base: &Base) -> &'a [Delta] {
        let start = self.deltas.partition_point(|delta| delta.base < *base);
        let length = self.deltas[start..].partition_point(|delta| delta.base == *base);
        &self.deltas[start..start + length]
    }

    /// What is made from a base and was not made yet; whoever gets it has to make it.
    fn claim_dependents(&self, base: &Base) -> Vec<&'a Delta> {
        self.of(base).iter().filter(|delta| !delta.is_done.swap(true, Ordering::Relaxed)).collect()
    }

    fn children(&self, offset: u64, id: ObjectId) -> Vec<&'a Delta> {
        let mut children = self.claim_dependents(&Base::Offset(offset));
        children.extend(self.claim_dependents(&Base::Id(id)));
        children
    }
}

/// One thread's share.
struct Work<'a> {
    resolver: &'a DeltaResolver<'a>,
    cursor: DirCursor<'a>,
    inflater: Inflater,
    /// What a delta says.
    buffer: Vec<u8>,
    /// Where objects were that are not needed any more: the allocator is slow where threads share it.
    spare: Vec<Vec<u8>>,
    ids: Vec<(usize, ObjectId)>,
}

impl<'a> Work<'a> {
    fn new(resolver: &'a DeltaResolver<'a>) -> Self {
        let cursor = DirCursor::new(resolver.blob_writer);
        let (inflater, buffer) = (Inflater::new(), Vec::new());
        Work { resolver, cursor, inflater, buffer, spare: Vec::new(), ids: Vec::new() }
    }

    fn done(self) -> Placed {
        (self.ids, self.cursor.files)
    }

    /// All that is made from an object of the pack.
    fn root(&mut self, root: &Whole) -> io::Result<()> {
        let DeltaResolver { pack_receiver, pack, objects, .. } = *self.resolver;
        let object = &objects[root.at];
        let children = self.resolver.children(object.offset, object.id);
        if children.is_empty() {
            return Ok(()); // a twin was before us
        }
        let content = if root.size > pack_receiver.resources.stream_threshold() {
            Content::spill(&pack_receiver.pack_dir, |put| {
                pieces(stream(&pack.file, root.data_offset, root.size), put)
            })?
        } else {
            let mut bytes = self.empty();
            bytes.reserve_exact(root.size as usize + OUTPUT_SLACK);
            self.inflater.whole(&pack.file, root.data_offset, root.size as usize, &mut bytes)?;
            Content::Held(bytes.into())
        };
        self.resolve_dependents(root.kind, content, children)
    }

    /// Depth first. A base is kept only while more is made from it; where many are, they go to disk.
    fn resolve_dependents(
        &mut self,
        kind: Kind,
        content: Content,
        children: Vec<&'a Delta>,
    ) -> io::Result<()> {
        let DeltaResolver { pack_receiver, objects, .. } = *self.resolver;
        let done = pack_receiver.progress.files();
        let mut open = vec![(content, children)];
        while let Some((base, mut children)) = open.pop() {
            let Some(child) = children.pop() else { continue };
            pack_receiver.interrupt.check()?;
            let held: u64 = open.iter().map(|(content, _)| content.held()).sum();
            let room = pack_receiver
                .resources
                .delta_cache_bytes()
                .saturating_sub(held)
                .min(pack_receiver.resources.stream_threshold());
            let (id, content) = self.make(kind, child, &base, room)?;
            if children.is_empty() {
                self.reuse(base);
            } else {
                open.push((base, children));
            }
            self.ids.push((child.at, id));
            gix::Count::inc(&done);
            let grandchildren = self.resolver.children(objects[child.at].offset, id);
            if grandchildren.is_empty() {
                self.reuse(content);
            } else {
                open.push((content, grandchildren));
            }
        }
        Ok(())
    }

    fn empty(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn reuse(&mut self, content: Content) {
        let most = self.resolver.pack_receiver.resources.stream_threshold() as usize + OUTPUT_SLACK;
        let is_kept = |bytes: &Vec<u8>| self.spare.len() < SPARE_BUFFERS && bytes.capacity() <= most;
        if let Some(mut bytes) = content.into_held().filter(is_kept) {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    fn make(
        &mut self,
        kind: Kind,
        child: &Delta,
        base: &Content,
        room: u64,
    ) -> io::Result<(ObjectId, Content)> {
        let DeltaResolver { pack_receiver, pack, .. } = self.resolver;
        if child.size > pack_receiver.resources.stream_threshold() {
            let stream = stream(&pack.file, child.data_offset, child.size);
            return self.apply(kind, stream, base, room);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.inflater.whole(&pack.file, child.data_offset, child.size as usize, &mut buffer)?;
        let made = self.apply(kind, &buffer[..], base, room);
        self.buffer = buffer;
        made
    }

    fn apply(
        &mut self,
        kind: Kind,
        delta: impl BufRead,
        base: &Content,
        room: u64,
    ) -> io::Result<(ObjectId, Content)> {
        let pack_receiver = self.resolver.pack_receiver;
        let delta = ObjectDelta::open(delta)?;
        refuse_huge(kind, delta.size, pack_receiver.resources)?;
        if delta.size > room {
            let mut hasher = hasher(pack_receiver.hash, kind, delta.size);
            let mut spill = Spill::create(&pack_receiver.pack_dir)?;
            delta.apply(base, &mut |piece| {
                pack_receiver.interrupt.check()?;
                hasher.update(piece);
                spill.add(piece)
            })?;
            let id = hasher.try_finalize().map_err(io::Error::other)?;
            return Ok((id, self.cursor.place_large(id, spill)?));
        }
        let mut bytes = self.empty();
        bytes.reserve_exact(delta.size as usize);
        delta.apply(base, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        let id = hash(pack_receiver.hash, kind, &bytes)?;
        if kind == Kind::Blob {
            self.cursor.place(id, &bytes)?;
        }
        Ok((id, Content::Held(bytes.into())))
    }
}
