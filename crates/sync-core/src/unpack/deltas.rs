//! Objects that are given by their difference from others, after all of the pack has come.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::ObjectId;
use gix::hashtable::HashMap as IdMap;
use gix::objs::Kind;

use super::disk::{Inflater, PackFile};
use super::entries::{AllRead, Base, Delta, Whole};
use super::place::{Hand, Placed, Placer};
use super::{EarlyFile, LARGEST, corrupt, hash};
use crate::objects::threads;
use crate::progress::{Progress, Stage};

/// Put all deltas together, giving the objects their ids; the files that came of them.
pub(super) fn resolve(
    pack: &PackFile,
    read: &mut AllRead,
    placer: &Placer<'_>,
    progress: &Progress,
) -> io::Result<Vec<EarlyFile>> {
    if read.deltas.is_empty() {
        return Ok(Vec::new());
    }
    progress.enter(Stage::Resolving);
    progress.set_total(read.deltas.len());
    let family = Family::of(read);
    let roots: Vec<&Whole> = read.whole.iter().filter(|whole| family.has_children(whole.at)).collect();
    let next = AtomicUsize::new(0);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let work = || family.resolve(pack, placer, &roots, &next, progress);
        let started: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
        started.into_iter().map(|thread| thread.join()).collect()
    });
    let mut files = Vec::new();
    let mut resolved = Vec::new();
    for outcome in outcomes {
        let (ids, written): Placed = super::join(outcome)?;
        resolved.extend(ids);
        files.extend(written);
    }
    drop(family);
    for (at, id) in resolved {
        read.objects[at].id = id;
    }
    if read.deltas.iter().any(|delta| read.objects[delta.at].id.is_null()) {
        return Err(corrupt("a delta has no base"));
    }
    Ok(files)
}

/// Who is made from whom.
struct Family<'a> {
    read: &'a AllRead,
    by_offset: HashMap<u64, Vec<&'a Delta>>,
    by_id: IdMap<ObjectId, Vec<&'a Delta>>,
}

impl<'a> Family<'a> {
    fn of(read: &'a AllRead) -> Self {
        let (mut by_offset, mut by_id) = (HashMap::<_, Vec<_>>::new(), IdMap::<_, Vec<_>>::default());
        for delta in &read.deltas {
            match delta.base {
                Base::Offset(offset) => by_offset.entry(offset).or_default().push(delta),
                Base::Id(id) => by_id.entry(id).or_default().push(delta),
            }
        }
        Family { read, by_offset, by_id }
    }

    fn has_children(&self, at: usize) -> bool {
        let object = &self.read.objects[at];
        self.by_offset.contains_key(&object.offset) || self.by_id.contains_key(&object.id)
    }

    /// One thread's share: whatever root is next, and all that is made from it.
    fn resolve(
        &self,
        pack: &PackFile,
        placer: &Placer<'_>,
        roots: &[&Whole],
        next: &AtomicUsize,
        progress: &Progress,
    ) -> io::Result<Placed> {
        let (mut ids, mut hand, mut inflater) = (Vec::new(), Hand::new(placer), Inflater::new());
        let done = progress.files();
        while let Some(root) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let object = &self.read.objects[root.at];
            let bytes = pack.inflate(&mut inflater, root.data_offset, root.size)?;
            // Depth first. A base is held only while more is made from it, so that a chain holds two objects.
            let mut open = vec![(bytes, self.children(object.offset, object.id))];
            while let Some((base, mut children)) = open.pop() {
                let Some(child) = children.pop() else { continue };
                let bytes = self.make(child, &base, pack, &mut inflater)?;
                if !children.is_empty() {
                    open.push((base, children));
                }
                placer.interrupt.check()?;
                let id = hash(object.id.kind(), root.kind, &bytes)?;
                if root.kind == Kind::Blob {
                    hand.place(id, &bytes)?;
                }
                ids.push((child.at, id));
                gix::Count::step(&done);
                let grandchildren = self.children(self.read.objects[child.at].offset, id);
                if !grandchildren.is_empty() {
                    open.push((bytes, grandchildren));
                }
            }
        }
        Ok((ids, hand.files))
    }

    /// What is made from an object and was not made yet; whoever gets it has to make it.
    fn children(&self, offset: u64, id: ObjectId) -> Vec<&'a Delta> {
        let by_offset = self.by_offset.get(&offset).into_iter().flatten();
        let all = by_offset.chain(self.by_id.get(&id).into_iter().flatten()).copied();
        all.filter(|delta| !delta.is_done.swap(true, Ordering::Relaxed)).collect()
    }

    fn make(
        &self,
        child: &Delta,
        base: &[u8],
        pack: &PackFile,
        inflater: &mut Inflater,
    ) -> io::Result<Vec<u8>> {
        apply(base, &pack.inflate(inflater, child.data_offset, child.size)?)
    }
}

/// Put an object together (gitformat-pack(5), "Deltified representation").
pub(crate) fn apply(base: &[u8], delta: &[u8]) -> io::Result<Vec<u8>> {
    let mut rest = delta;
    if length(&mut rest)? != base.len() as u64 {
        return Err(corrupt("a delta is for another base"));
    }
    let size = length(&mut rest)?;
    if size > LARGEST {
        return Err(corrupt(format!("an object of {size} bytes is too large")));
    }
    // A header may lie: room is made as it is needed.
    let mut out = Vec::with_capacity((size as usize).min(base.len() + delta.len()));
    while let Some((&command, after)) = rest.split_first() {
        rest = after;
        let piece = if command & 0x80 == 0 {
            let (piece, after) = rest.split_at_checked(command.into()).unwrap_or_default();
            rest = after;
            piece
        } else {
            let start = operand(&mut rest, command, 4)?;
            let length = match operand(&mut rest, command >> 4, 3)? {
                0 => 0x10000,
                length => length,
            };
            base.get(start..start + length).unwrap_or_default()
        };
        if piece.is_empty() || (out.len() + piece.len()) as u64 > size {
            return Err(corrupt("a delta makes no sense"));
        }
        out.extend_from_slice(piece);
    }
    if out.len() as u64 == size { Ok(out) } else { Err(corrupt("a delta ends too early")) }
}

/// A number of seven bits a byte, the lowest first.
fn length(rest: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or_else(|| corrupt("a delta ends too early"))?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(corrupt("a delta makes no sense"))
}

/// A number of which only the bytes are there whose bits are set.
fn operand(rest: &mut &[u8], bits: u8, bytes: u32) -> io::Result<usize> {
    let mut number = 0;
    for at in (0..bytes).filter(|at| bits & 1 << at != 0) {
        let (&byte, after) = rest.split_first().ok_or_else(|| corrupt("a delta ends too early"))?;
        *rest = after;
        number |= usize::from(byte) << (8 * at);
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_copy_and_insert() {
        let base = b"hello world";
        // Copy 6 from 0, insert "there".
        let delta = [&[11, 11, 0x90, 6, 5][..], b"there"].concat();
        assert_eq!(apply(base, &delta).unwrap(), b"hello there");
        let long = [0xff, 0xff, 3, 1, 0x91, 0xff, 1];
        assert_eq!(apply(&[7; 0xffff], &long).unwrap(), [7]);
    }

    #[test]
    fn nonsense_is_refused() {
        for delta in [
            &[][..],
            &[5],
            &[10, 1, 1, b'x'],     // another base
            &[11, 1, 0x90, 2],     // longer than it says
            &[11, 2, 1, b'x'],     // shorter than it says
            &[11, 2, 3, b'x'],     // the insert ends too early
            &[11, 2, 0],           // reserved
            &[11, 2, 0x91, 10, 2], // beyond the base
            &[11, 2, 0x91],        // no operand
            &[11, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        ] {
            assert!(apply(b"hello world", delta).is_err(), "{delta:?}");
        }
    }
}
