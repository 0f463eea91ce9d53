//! Resolving delta chains: an object is the result of deltas that are applied to a base.

use std::io::{self, BufRead};
use std::sync::Arc;

use fs_err::File;
use gix::objs::Kind;
use gix_pack::data::Entry;

use super::base_cache::BaseCache;
use super::content::Content;
use super::delta::Delta;
use super::inflate::{Inflater, pieces, stream};
use super::{Objects, PackLocation, corrupt};

/// The longest delta chain that git writes.
pub(super) const MAX_CHAIN_LENGTH: usize = 4095;

/// An entry of a pack.
pub(super) struct Stored {
    pub(super) file: Arc<File>,
    pub(super) location: PackLocation,
    pub(super) entry: Entry,
}

impl Stored {
    fn stream(&self) -> impl BufRead {
        stream(&self.file, self.entry.data_offset, self.entry.decompressed_size)
    }
}

/// A delta chain.
pub(super) struct Chain {
    pub(super) kind: Kind,
    root: Root,
    /// The last delta first: the one whose result is the object.
    deltas: Vec<Stored>,
}

/// The object that the first delta is applied to.
enum Root {
    Stored(Stored),
    Cached(Arc<Vec<u8>>),
}

impl Objects {
    /// Read the chain of an object, back to an object that is stored whole or is in the cache.
    pub(super) fn chain(&self, mut location: PackLocation) -> io::Result<Chain> {
        let mut deltas = Vec::new();
        loop {
            if let Some((kind, bytes)) = self.scratch.borrow_mut().bases.get(location) {
                return Ok(Chain { kind, root: Root::Cached(bytes), deltas });
            }
            let stored = self.stored(location)?;
            match self.base(&stored)? {
                Some(base) if deltas.len() < MAX_CHAIN_LENGTH => location = base,
                Some(_) => return Err(corrupt("a delta chain is too long")),
                None => {
                    let kind = stored.entry.header.as_kind().ok_or_else(|| corrupt("a delta has no base"))?;
                    return Ok(Chain { kind, root: Root::Stored(stored), deltas });
                }
            }
            deltas.push(stored);
        }
    }

    /// Pass the result of a chain to `take`, piece by piece.
    pub(super) fn stream_chain(
        &self,
        chain: &Chain,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match (chain.deltas.split_first(), &chain.root) {
            (Some((last, before)), root) => {
                let base = self.resolve(root, before, chain.kind)?;
                self.with_delta(last, |delta| delta.apply(&base, take))
            }
            (None, Root::Cached(bytes)) => take(bytes),
            (None, Root::Stored(stored)) => self.with_bytes(stored, take),
        }
    }

    /// The result of a chain.
    pub(super) fn resolve_chain(&self, chain: &Chain) -> io::Result<Content> {
        self.resolve(&chain.root, &chain.deltas, chain.kind)
    }

    /// Apply `deltas` to `root`. All intermediate results that are small enough go to the cache.
    fn resolve(&self, root: &Root, deltas: &[Stored], kind: Kind) -> io::Result<Content> {
        let (large, dir) = (self.resources.stream_threshold(), &self.spill_dir);
        let mut content = match root {
            Root::Cached(bytes) => Content::Held(bytes.clone()),
            Root::Stored(stored) => {
                let size = stored.entry.decompressed_size;
                let content = Content::make(size, large, dir, |put| self.with_bytes(stored, put))?;
                self.cache(stored.location, kind, &content);
                content
            }
        };
        for stored in deltas.iter().rev() {
            let base = content;
            content = self.with_delta(stored, |delta| {
                Content::make(delta.size, large, dir, |put| delta.apply(&base, put))
            })?;
            self.cache(stored.location, kind, &content);
        }
        Ok(content)
    }

    /// Pass the content of an entry to `take`; small content as one piece.
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

    fn cache(&self, location: PackLocation, kind: Kind, content: &Content) {
        if let Content::Held(bytes) = content {
            let limit = self.resources.delta_cache_bytes();
            self.scratch.borrow_mut().bases.add(location, kind, bytes, limit);
        }
    }
}

/// State that is reused from one object to the next.
pub(super) struct Scratch {
    pub(super) inflater: Inflater,
    buffer: Vec<u8>,
    /// The pack that was read last. Only one is open: there may be more packs than a process may have open files.
    pub(super) open: Option<(usize, Arc<File>)>,
    bases: BaseCache,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { inflater: Inflater::new(), buffer: Vec::new(), open: None, bases: BaseCache::default() }
    }
}
