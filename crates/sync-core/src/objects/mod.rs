//! The objects of a repository, read from its packs without mapping or holding more than is asked for, which of
//! them a commit needs ([`mod@closure`]), and how they become a pack ([`mod@copy`]).
//!
//! gix maps a pack as a whole and holds an object as a whole: a large blob would be in memory twice, and a walk
//! over all trees would bring most of a pack in. What is in no pack is left to gix.

mod chain;
pub(crate) mod closure;
pub(crate) mod content;
pub(crate) mod deflate;
pub(crate) mod delta;
mod headers;
pub(crate) mod inflate;
mod loose;
pub(crate) mod packs;
#[cfg(test)]
mod tests;
pub(crate) mod write_pack;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::{Data, Find, FindExt, Kind};
use gix_pack::data::Entry;
use gix_pack::data::entry::Header;

use crate::error::Error;
use crate::limits::Excess;
use crate::objects::inflate::pieces;
use crate::resources::Resources;

use chain::{PackLocation, Scratch, Stored};
use content::Content;
use delta::Delta;

/// The largest object that is made from another, or changed as a whole.
pub(crate) const MAX_BUFFERED_OBJECT: u64 = 1 << 31;

/// An error for an object that is larger than may be held of its kind: all but blobs are held to be read.
pub(crate) fn refuse_huge(kind: Kind, size: u64, resources: Resources) -> io::Result<()> {
    let most = if kind == Kind::Blob { MAX_BUFFERED_OBJECT } else { resources.max_tree_object() };
    if size <= most { Ok(()) } else { Err(Excess::of_object(kind, size, most).into()) }
}

pub(crate) fn corrupt(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the pack is damaged: {what}"))
}

/// Whether an error is about what was read.
pub(crate) fn is_damage(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Access to objects, for one thread; a clone is for another.
pub(crate) struct Objects {
    dir: PathBuf,
    packs: Arc<[Pack]>,
    /// What is in no pack.
    others: gix::OdbHandle,
    pub(crate) hash: HashKind,
    /// Where large objects go that others are made from.
    spill_dir: PathBuf,
    pub(crate) resources: Resources,
    scratch: RefCell<Scratch>,
}

pub(crate) struct Pack {
    path: PathBuf,
    index: gix_pack::index::File<gix_pack::MMap>,
}

impl Objects {
    /// The objects of a repository as they are now. Temporary files go to `spill_dir`.
    pub(crate) fn of(repo: &gix::Repository, spill_dir: &Path, resources: Resources) -> gix::Result<Objects> {
        let (dir, mut packs) = (repo.common_dir().join("objects"), Vec::new());
        for path in packs::packs(&dir.join("pack")).map_err(gix::Error::from_error)? {
            let index = gix_pack::index::File::at(path.with_extension("idx"), repo.object_hash())?;
            packs.push(Pack { path, index });
        }
        // Most objects are in the first; and each is always found in the same.
        packs.sort_by(|a, b| b.index.num_objects().cmp(&a.index.num_objects()).then(a.path.cmp(&b.path)));
        let mut others = repo.objects.clone();
        others.refresh_never();
        Ok(Objects {
            dir,
            packs: packs.into(),
            others,
            hash: repo.object_hash(),
            spill_dir: spill_dir.to_owned(),
            resources,
            scratch: RefCell::default(),
        })
    }

    /// A pack that does not end as its index says: git reads no such pack.
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

    /// DirCursor over an object piece by piece.
    pub(crate) fn pieces(
        &self,
        id: &gix::oid,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> gix::Result<()> {
        let handed = match self.locate(id) {
            Some(place) => self.chain(place).and_then(|chain| self.make(&chain, take)),
            None => match self.loose(id).map_err(gix::Error::from_error)? {
                Some(loose) => loose.bytes().and_then(|bytes| pieces(bytes, take)),
                None => take(self.find(id, &mut Vec::new())?.data),
            },
        };
        handed.map_err(gix::Error::from_error)
    }

    /// An object to make others from.
    pub(crate) fn content(&self, id: &gix::oid) -> io::Result<Option<(Kind, Content)>> {
        if let Some(place) = self.locate(id) {
            let chain = self.chain(place)?;
            return Ok(Some((chain.kind, self.content_of(&chain)?)));
        }
        if let Some(loose) = self.loose(id)? {
            let content = Content::spill(&self.spill_dir, |put| pieces(loose.bytes()?, put))?;
            return Ok(Some((loose.kind, content)));
        }
        let mut held = Vec::new();
        let found = self.other(id, &mut held).map_err(|err| {
            let kind =
                err.downcast_any_ref::<io::Error>().map_or(io::ErrorKind::InvalidData, io::Error::kind);
            io::Error::new(kind, Error::gix("", &err).cause())
        })?;
        Ok(found.map(|data| data.kind).map(|kind| (kind, Content::Held(Arc::new(held)))))
    }

    /// An object that is in no pack; git knows of the empty tree without having it.
    fn other<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        if id == ObjectId::empty_tree(self.hash) {
            return Ok(Some(Data::new(&[], Kind::Tree, self.hash)));
        }
        self.others.try_find(id, buffer)
    }

    fn size(&self, stored: &Stored) -> io::Result<u64> {
        if !stored.entry.header.is_delta() {
            return Ok(stored.entry.decompressed_size);
        }
        let mut start = [0; 32];
        let inflater = &mut self.scratch.borrow_mut().inflater;
        let length = inflater.start(&stored.file, stored.entry.data_offset, &mut start)?;
        Ok(Delta::open(&start[..length])?.size)
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

    fn stored(&self, place: PackLocation) -> io::Result<Stored> {
        let file = self.file(place.pack)?;
        let mut header = [0; 64];
        let read = file.read_at(&mut header, place.offset)?;
        let entry = Entry::from_bytes(&header[..read], place.offset, self.hash).map_err(corrupt)?;
        Ok(Stored { file, place, entry })
    }

    /// Where the base of a delta is.
    fn base(&self, delta: &Stored) -> io::Result<Option<PackLocation>> {
        let PackLocation { pack, offset } = delta.place;
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
            others: self.others.clone(),
            spill_dir: self.spill_dir.clone(),
            scratch: RefCell::default(),
            ..*self
        }
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        buffer.clear();
        let Some(place) = self.locate(id) else { return self.other(id, buffer) };
        let chain = self.chain(place).map_err(gix::Error::from_error)?;
        let made = self.make(&chain, &mut |piece| {
            refuse_huge(chain.kind, (buffer.len() + piece.len()) as u64, self.resources)?;
            buffer.extend_from_slice(piece);
            Ok(())
        });
        made.map_err(gix::Error::from_error)?;
        Ok(Some(Data::new(buffer, chain.kind, self.hash)))
    }
}
