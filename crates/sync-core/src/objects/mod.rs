//! Reading objects from packs without mapping the packs into memory; finding the objects that a commit needs
//! ([`mod@closure`]); writing objects as a pack ([`mod@write_pack`]).
//!
//! gix maps a whole pack and holds a whole object: a large blob would be in memory twice, and a walk over all trees
//! would load most of a pack. gix still reads the small loose objects.

pub(crate) mod ancestry;
mod base_cache;
mod chain;
pub(crate) mod checksum;
pub(crate) mod closure;
pub(crate) mod content;
pub(crate) mod deflate;
pub(crate) mod delta;
mod headers;
pub(crate) mod inflate;
mod loose;
pub(crate) mod pack_index;
pub(crate) mod packs;
#[cfg(test)]
mod tests;
pub(crate) mod write_pack;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::{Data, Exists, Find, FindExt, Kind};
use gix_pack::data::Entry;
use gix_pack::data::entry::Header;

use crate::error::Error;
use crate::limits::Excess;
use crate::objects::inflate::pieces;
use crate::resources::Resources;

use chain::{Scratch, Stored};
use content::Content;
use delta::Delta;

/// The upper bound for the result of a delta and for a blob that needs content conversion, in bytes (2 GiB).
pub(crate) const MAX_BUFFERED_OBJECT: u64 = 1 << 31;

/// Refuse an object that is too large for its kind. Commits, trees and tags are held in memory as a whole, so their
/// limit is lower than that of blobs.
pub(crate) fn refuse_huge(kind: Kind, size: u64, resources: Resources) -> io::Result<()> {
    let limit = if kind == Kind::Blob { MAX_BUFFERED_OBJECT } else { resources.max_tree_object() };
    if size <= limit { Ok(()) } else { Err(Excess::of_object(kind, size, limit).into()) }
}

/// The error for damaged data, in a pack or in a loose object.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the pack is damaged: {what}"))
}

/// Whether an error means that the data is damaged, rather than that it cannot be read.
pub(crate) fn is_damage(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The longest header of an entry, in bytes: a size, and an offset or an id.
const MAX_HEADER: usize = 64;

/// The header of the entry at `offset` in a pack.
pub(crate) fn entry_at(pack: &File, offset: u64, hash: HashKind) -> io::Result<Entry> {
    let mut header = [0; MAX_HEADER];
    let read = pack.read_at(&mut header, offset)?;
    Entry::from_bytes(&header[..read], offset, hash).map_err(corrupt)
}

/// A reader of objects for one thread. Clone it for another thread.
pub(crate) struct Objects {
    dir: PathBuf,
    packs: Arc<[Pack]>,
    /// Reads the objects that are in no pack.
    odb: gix::OdbHandle,
    pub(crate) hash: HashKind,
    /// The directory for temporary files with large delta bases.
    spill_dir: PathBuf,
    pub(crate) resources: Resources,
    scratch: RefCell<Scratch>,
}

/// A pack and its index. The pack itself is opened on demand.
pub(crate) struct Pack {
    path: PathBuf,
    index: gix_pack::index::File<gix_pack::MMap>,
}

/// The location of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PackLocation {
    /// The position of the pack in [`Objects`].
    pack: usize,
    offset: u64,
}

impl Objects {
    /// A reader of the objects that are in `repo` now. Temporary files go to `spill_dir`.
    pub(crate) fn of(repo: &gix::Repository, spill_dir: &Path, resources: Resources) -> gix::Result<Objects> {
        let dir = repo.common_dir().join("objects/pack");
        Self::of_packs(&packs::packs(&dir).map_err(gix::Error::from_error)?, repo, spill_dir, resources)
    }

    /// A reader of some packs, and of the loose objects in `repo`.
    pub(crate) fn of_packs(
        packs: &BTreeSet<PathBuf>,
        repo: &gix::Repository,
        spill_dir: &Path,
        resources: Resources,
    ) -> gix::Result<Objects> {
        let dir = repo.common_dir().join("objects");
        let open = |path: &PathBuf| {
            let index = gix_pack::index::File::at(path.with_extension("idx"), repo.object_hash())?;
            Ok(Pack { path: path.clone(), index })
        };
        let mut packs = packs.iter().map(open).collect::<gix::Result<Vec<_>>>()?;
        // The largest pack first, since most objects are in it. The order is total, so that a lookup always finds an
        // object in the same pack: write_pack relies on it.
        packs.sort_by(|a, b| b.index.num_objects().cmp(&a.index.num_objects()).then(a.path.cmp(&b.path)));
        let mut odb = repo.objects.clone();
        odb.refresh_never();
        Ok(Objects {
            dir,
            packs: packs.into(),
            odb,
            hash: repo.object_hash(),
            spill_dir: spill_dir.to_owned(),
            resources,
            scratch: RefCell::default(),
        })
    }

    /// The objects in the packs, each once.
    pub(crate) fn packed(&self) -> Vec<ObjectId> {
        let mut ids: Vec<_> =
            self.packs.iter().flat_map(|pack| pack.index.iter().map(|entry| entry.oid)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// A pack that does not end with the checksum that its index names. git refuses such a pack.
    pub(crate) fn incomplete_pack(&self) -> io::Result<Option<&Path>> {
        for Pack { path, index } in &*self.packs {
            let (file, expected) = (File::open(path)?, index.pack_checksum());
            let mut end = vec![0; expected.as_slice().len()];
            let at = file.metadata()?.len().saturating_sub(end.len() as u64);
            let read = file.read_at(&mut end, at)?;
            if end[..read] != *expected.as_slice() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Pass an object to `take`, piece by piece.
    pub(crate) fn pieces(
        &self,
        id: &gix::oid,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> gix::Result<()> {
        let result = match self.locate(id) {
            Some(location) => self.chain(location).and_then(|chain| self.stream_chain(&chain, take)),
            None => match self.loose(id).map_err(gix::Error::from_error)? {
                Some(loose) => loose.bytes().and_then(|bytes| pieces(bytes, take)),
                None => take(self.find(id, &mut Vec::new())?.data),
            },
        };
        result.map_err(gix::Error::from_error)
    }

    /// An object as a delta base; `None` if it does not exist.
    pub(crate) fn content(&self, id: &gix::oid) -> io::Result<Option<(Kind, Content)>> {
        if let Some(location) = self.locate(id) {
            let chain = self.chain(location)?;
            return Ok(Some((chain.kind, self.resolve_chain(&chain)?)));
        }
        if let Some(loose) = self.loose(id)? {
            let content = Content::spill(&self.spill_dir, |put| pieces(loose.bytes()?, put))?;
            return Ok(Some((loose.kind, content)));
        }
        let mut buffer = Vec::new();
        let found = self.find_unpacked(id, &mut buffer).map_err(|err| {
            let kind =
                err.downcast_any_ref::<io::Error>().map_or(io::ErrorKind::InvalidData, io::Error::kind);
            io::Error::new(kind, Error::gix("", &err).cause())
        })?;
        Ok(found.map(|data| data.kind).map(|kind| (kind, Content::Held(Arc::new(buffer)))))
    }

    /// An object that is in no pack. The empty tree always exists, as in git.
    fn find_unpacked<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        if id == ObjectId::empty_tree(self.hash) {
            return Ok(Some(Data::new(&[], Kind::Tree, self.hash)));
        }
        self.odb.try_find(id, buffer)
    }

    /// The size of an object. That of a delta's result is at the start of the delta.
    fn size(&self, stored: &Stored) -> io::Result<u64> {
        if !stored.entry.header.is_delta() {
            return Ok(stored.entry.decompressed_size);
        }
        let mut start = [0; 32];
        let inflater = &mut self.scratch.borrow_mut().inflater;
        let length = inflater.start(&stored.file, stored.entry.data_offset, &mut start)?;
        Ok(Delta::open(&start[..length])?.size)
    }

    /// Whether the object exists.
    pub(crate) fn exists(&self, id: &gix::oid) -> bool {
        self.locate(id).is_some() || *id == *ObjectId::empty_tree(self.hash) || self.odb.exists(id)
    }

    fn locate(&self, id: &gix::oid) -> Option<PackLocation> {
        let mut packs = self.packs.iter().enumerate();
        packs.find_map(|(pack, Pack { index, .. })| {
            Some(PackLocation { pack, offset: index.pack_offset_at_index(index.lookup(id)?) })
        })
    }

    fn file(&self, pack: usize) -> io::Result<Arc<File>> {
        let open = &mut self.scratch.borrow_mut().open;
        match open {
            Some((at, file)) if *at == pack => Ok(file.clone()),
            _ => {
                let file = Arc::new(File::open(&self.packs[pack].path)?);
                *open = Some((pack, file.clone()));
                Ok(file)
            }
        }
    }

    fn stored(&self, location: PackLocation) -> io::Result<Stored> {
        let file = self.file(location.pack)?;
        let entry = entry_at(&file, location.offset, self.hash)?;
        Ok(Stored { file, location, entry })
    }

    /// The location of a delta's base; `None` if the entry is not a delta.
    fn base(&self, delta: &Stored) -> io::Result<Option<PackLocation>> {
        let PackLocation { pack, offset } = delta.location;
        let base = match delta.entry.header {
            Header::OfsDelta { base_distance } => Header::verified_base_pack_offset(offset, base_distance)
                .map(|offset| PackLocation { pack, offset }),
            Header::RefDelta { base_id } => self.locate(&base_id),
            _ => return Ok(None),
        };
        base.map(Some).ok_or_else(|| corrupt("a delta has no base"))
    }
}

impl Clone for Objects {
    fn clone(&self) -> Self {
        Objects {
            dir: self.dir.clone(),
            packs: self.packs.clone(),
            odb: self.odb.clone(),
            spill_dir: self.spill_dir.clone(),
            scratch: RefCell::default(),
            ..*self
        }
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        buffer.clear();
        let Some(location) = self.locate(id) else { return self.find_unpacked(id, buffer) };
        let chain = self.chain(location).map_err(gix::Error::from_error)?;
        let result = self.stream_chain(&chain, &mut |piece| {
            refuse_huge(chain.kind, (buffer.len() + piece.len()) as u64, self.resources)?;
            buffer.extend_from_slice(piece);
            Ok(())
        });
        result.map_err(gix::Error::from_error)?;
        Ok(Some(Data::new(buffer, chain.kind, self.hash)))
    }
}
