//! A pack in one pass: while it arrives it is stored, its objects are hashed, and the files of the wanted commit
//! are written. What this declines, the ordinary checkout writes afterwards.
//!
//! ```text
//! this thread      packets ─▶ entries ─▶ inflated objects ─▶ trees go into the plan
//! disk thread         └─▶ the pack file and its checksum │
//! placing thread                                         └─▶ blobs are hashed and become files
//! afterwards       deltas, on several threads; what they start from elsewhere; the pack's index
//! ```
//! A file is written only where a tree entry of the commit names exactly the bytes at cursor. Nothing here is
//! visible to anybody before the checkout gives the tree its name. No object is held that is large: it goes
//! through in pieces, and to disk where deltas start from it.

mod blob_writer;
mod deltas;
mod disk;
mod entries;
mod index;
mod plan;
#[cfg(test)]
pub(crate) mod tests;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use gix::ObjectId;
use gix::hash::Kind;

use crate::fetched::{StreamedFile, StreamedFiles};
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::objects::{Objects, corrupt};
use crate::progress::Progress;
use crate::resources::Resources;

use blob_writer::BlobWriter;
use entries::{AllRead, Entries};

/// A pack is to be taken in.
pub(crate) struct PackReceiver<'a> {
    /// Where the pack goes, and what is too large to hold meanwhile.
    pub(crate) pack_dir: PathBuf,
    pub(crate) hash: Kind,
    pub(crate) tree: Option<StreamTarget<'a>>,
    pub(crate) resources: Resources,
    pub(crate) progress: &'a Progress,
    pub(crate) interrupt: &'a Interrupt,
}

/// Whose files are written meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct StreamTarget<'a> {
    pub(crate) commit: ObjectId,
    /// It is there and empty.
    pub(crate) dir: &'a Path,
    pub(crate) limits: &'a Limits,
}

/// A pack that was taken in.
#[derive(Debug, Default)]
pub(crate) struct ReceivedPack {
    /// Where it is; nowhere if there was nothing in it.
    pub(crate) pack: Option<PathBuf>,
    pub(crate) early: StreamedFiles,
}

/// An object of the pack, by its place in it.
pub(super) struct Object {
    pub(super) offset: u64,
    /// Of the raw bytes of the entry.
    pub(super) crc32: u32,
    /// Null until it is known.
    pub(super) id: ObjectId,
}

impl PackReceiver<'_> {
    /// Store a pack, whose deltas may start from `bases`. After an error, which may be that of a limit, nothing is
    /// left of it, and what is in the directory of the tree is not to be used.
    pub(crate) fn take(&self, pack: &mut dyn BufRead, bases: Option<&Objects>) -> io::Result<ReceivedPack> {
        let file = disk::PackFile::create(&self.pack_dir)?;
        let blob_writer = BlobWriter::new(self)?;
        let (mut read, mut files) = self.read(pack, &file, &blob_writer)?;
        if read.objects.is_empty() {
            return Ok(ReceivedPack::default());
        }
        files.extend(deltas::resolve(self, &file, &mut read, &blob_writer, bases)?);
        let path = file.finish(&mut read.objects, read.trailer)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(ReceivedPack { pack: Some(path), early: StreamedFiles { files } })
    }

    /// All but the deltas.
    fn read(
        &self,
        pack: &mut dyn BufRead,
        file: &disk::PackFile,
        blob_writer: &BlobWriter<'_>,
    ) -> io::Result<(AllRead, Vec<StreamedFile>)> {
        let (to_disk, packets) = sync_channel(8);
        let (used_packets, from_disk) = sync_channel(16);
        let (to_placer, work) = sync_channel(8);
        let (used_buffers, from_placer) = sync_channel(16);
        let (read, stored, placed) = std::thread::scope(|scope| {
            let disk = scope.spawn(|| file.store(packets, &used_packets, self.hash));
            let placing = scope.spawn(|| blob_writer.run(work, &used_buffers));
            let mut entries = Entries::new(pack, self, to_disk, from_disk);
            let read = entries.read_all(blob_writer, to_placer, &from_placer);
            drop(entries); // ends the threads
            (read, join(disk.join()), join(placing.join()))
        });
        // What failed on disk made the reading fail, too.
        let checksum = stored?;
        let (mut ids, files) = placed?;
        let mut read = read?;
        for (at, id) in ids.drain(..) {
            read.objects[at].id = id;
        }
        if checksum == read.trailer { Ok((read, files)) } else { Err(corrupt("its checksum is wrong")) }
    }
}

fn join<T>(outcome: std::thread::Result<io::Result<T>>) -> io::Result<T> {
    outcome.unwrap_or_else(|_| Err(io::Error::other("a thread died")))
}

/// The id of an object.
fn hash(kind: Kind, object: gix::objs::Kind, bytes: &[u8]) -> io::Result<ObjectId> {
    gix::objs::compute_hash(kind, object, bytes).map_err(io::Error::other)
}
