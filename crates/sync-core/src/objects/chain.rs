//! How an object is made from what a pack has of it.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::Arc;

use fs_err::File;
use gix::objs::Kind;
use gix_pack::data::Entry;

use super::content::Content;
use super::delta::Delta;
use super::inflate::{Inflater, pieces, stream};
use super::{Objects, corrupt};

/// git makes no longer chains of deltas.
pub(super) const LONGEST: usize = 4095;

/// How many objects that others were made from are kept for the next.
const KEPT: usize = 64;

/// A place in a pack, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PackLocation {
    pub(super) pack: usize,
    pub(super) offset: u64,
}

/// An entry of a pack.
pub(super) struct Stored {
    pub(super) file: Arc<File>,
    pub(super) place: PackLocation,
    pub(super) entry: Entry,
}

impl Stored {
    fn stream(&self) -> impl BufRead {
        stream(&self.file, self.entry.data_offset, self.entry.decompressed_size)
    }
}

/// What an object is made from: where that begins, and the deltas from there on, the last of them first.
pub(super) struct Chain {
    pub(super) kind: Kind,
    root: Root,
    deltas: Vec<Stored>,
}

enum Root {
    Stored(Stored),
    Kept(Arc<Vec<u8>>),
}

impl Objects {
    pub(super) fn chain(&self, mut place: PackLocation) -> io::Result<Chain> {
        let mut deltas = Vec::new();
        loop {
            if let Some((kind, bytes)) = self.scratch.borrow().kept(place) {
                return Ok(Chain { kind, root: Root::Kept(bytes), deltas });
            }
            let stored = self.stored(place)?;
            match self.base(&stored)? {
                Some(base) if deltas.len() < LONGEST => place = base,
                Some(_) => return Err(corrupt("a chain of deltas has no end")),
                None => {
                    let kind = stored.entry.header.as_kind().ok_or_else(|| corrupt("a delta has no base"))?;
                    return Ok(Chain { kind, root: Root::Stored(stored), deltas });
                }
            }
            deltas.push(stored);
        }
    }

    /// DirCursor over what comes of a chain.
    pub(super) fn make(
        &self,
        chain: &Chain,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match (chain.deltas.split_first(), &chain.root) {
            (Some((last, before)), root) => {
                let base = self.made(root, before, chain.kind)?;
                self.with_delta(last, |delta| delta.apply(&base, take))
            }
            (None, Root::Kept(bytes)) => take(bytes),
            (None, Root::Stored(stored)) => self.with_bytes(stored, take),
        }
    }

    /// What comes of a chain.
    pub(super) fn content_of(&self, chain: &Chain) -> io::Result<Content> {
        self.made(&chain.root, &chain.deltas, chain.kind)
    }

    /// Whatever is made on the way is kept for the next if it is small.
    fn made(&self, root: &Root, deltas: &[Stored], kind: Kind) -> io::Result<Content> {
        let (large, dir) = (self.resources.stream_threshold(), &self.spill_dir);
        let mut content = match root {
            Root::Kept(bytes) => Content::Held(bytes.clone()),
            Root::Stored(stored) => {
                let size = stored.entry.decompressed_size;
                let content = Content::make(size, large, dir, |put| self.with_bytes(stored, put))?;
                self.keep(stored.place, kind, &content);
                content
            }
        };
        for stored in deltas.iter().rev() {
            let base = content;
            content = self.with_delta(stored, |delta| {
                Content::make(delta.size, large, dir, |put| delta.apply(&base, put))
            })?;
            self.keep(stored.place, kind, &content);
        }
        Ok(content)
    }

    /// DirCursor over what an entry holds, in one piece unless it is large.
    fn with_bytes(&self, stored: &Stored, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if stored.entry.decompressed_size > self.resources.stream_threshold() {
            return pieces(stored.stream(), take);
        }
        let mut buffer = std::mem::take(&mut self.scratch.borrow_mut().buffer);
        self.inflate(stored, &mut buffer)?;
        let taken = take(&buffer);
        self.scratch.borrow_mut().buffer = buffer;
        taken
    }

    fn inflate(&self, stored: &Stored, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (entry, inflater) = (&stored.entry, &mut self.scratch.borrow_mut().inflater);
        inflater.whole(&stored.file, entry.data_offset, entry.decompressed_size as usize, buffer)
    }

    fn with_delta<T>(
        &self,
        stored: &Stored,
        apply: impl FnOnce(Delta<&mut dyn BufRead>) -> io::Result<T>,
    ) -> io::Result<T> {
        if stored.entry.decompressed_size > self.resources.stream_threshold() {
            return apply(Delta::open(&mut stored.stream() as &mut dyn BufRead)?);
        }
        let mut bytes = Vec::new();
        self.inflate(stored, &mut bytes)?;
        apply(Delta::open(&mut &bytes[..] as &mut dyn BufRead)?)
    }

    fn keep(&self, place: PackLocation, kind: Kind, content: &Content) {
        if let Content::Held(bytes) = content {
            self.scratch.borrow_mut().keep(place, kind, bytes, self.resources.delta_cache_bytes());
        }
    }
}

/// What stays from one object to the next.
pub(super) struct Scratch {
    pub(super) inflater: Inflater,
    buffer: Vec<u8>,
    /// The pack read last: there may be more than a process may have open.
    pub(super) open: Option<(usize, Arc<File>)>,
    /// The newest first.
    kept: VecDeque<(PackLocation, Kind, Arc<Vec<u8>>)>,
    bytes_kept: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        let kept = VecDeque::with_capacity(KEPT);
        Scratch { inflater: Inflater::new(), buffer: Vec::new(), open: None, kept, bytes_kept: 0 }
    }
}

impl Scratch {
    fn kept(&self, wanted: PackLocation) -> Option<(Kind, Arc<Vec<u8>>)> {
        let found = self.kept.iter().find(|(place, ..)| *place == wanted);
        found.map(|(_, kind, bytes)| (*kind, bytes.clone()))
    }

    fn keep(&mut self, place: PackLocation, kind: Kind, bytes: &Arc<Vec<u8>>, most: u64) {
        self.bytes_kept += bytes.len() as u64;
        self.kept.push_front((place, kind, bytes.clone()));
        while self.kept.len() > KEPT || self.bytes_kept > most {
            let Some((_, _, oldest)) = self.kept.pop_back() else { break };
            self.bytes_kept -= oldest.len() as u64;
        }
    }
}
