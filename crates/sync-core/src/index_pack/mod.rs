//! Receive a pack in one pass: store it, hash its objects, and write the files of the wanted commit while it
//! arrives. The checkout writes the files that are skipped here.
//!
//! ```text
//! this thread      packets ─▶ entries ─▶ inflated objects ─▶ trees go into the plan
//! disk thread         └─▶ the pack file and its checksum │
//! writer thread                                          └─▶ blobs are hashed and written as files
//! afterwards       resolve deltas, on several threads; add bases of a thin pack; write the index
//! ```
//! A file is written only if a tree entry of the commit names exactly this content. The tree has a temporary name
//! until the checkout publishes it. Large objects are never held in memory: they pass through in pieces, and those
//! that are delta bases go to temporary files.

mod batches;
mod blob_writer;
mod deltas;
pub(crate) mod disk;
mod entries;
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

/// Receives packs.
pub(crate) struct PackReceiver<'a> {
    /// The directory for the pack and for temporary files.
    pub(crate) pack_dir: PathBuf,
    pub(crate) hash: Kind,
    /// The tree whose files are written while the pack arrives, if any.
    pub(crate) tree: Option<StreamTarget<'a>>,
    pub(crate) resources: Resources,
    pub(crate) progress: &'a Progress,
    pub(crate) interrupt: &'a Interrupt,
}

/// A tree whose files are written while its pack arrives.
#[derive(Clone, Copy)]
pub(crate) struct StreamTarget<'a> {
    pub(crate) commit: ObjectId,
    /// The directory of the tree. It exists and is empty.
    pub(crate) dir: &'a Path,
    pub(crate) limits: &'a Limits,
    /// Whether pointers of Git LFS are left to the checkout, which puts their content in their place.
    pub(crate) leaves_pointers: bool,
}

/// A pack that was received.
#[derive(Debug, Default)]
pub(crate) struct ReceivedPack {
    /// The path of the pack; `None` if it had no objects, and was not stored.
    pub(crate) pack: Option<PathBuf>,
    pub(crate) early: StreamedFiles,
}

impl PackReceiver<'_> {
    /// Read and store a pack. Its deltas may have their bases in `bases` (a thin pack). After an error no file of
    /// the pack is left; discard the directory of the tree then.
    pub(crate) fn take(&self, pack: &mut dyn BufRead, bases: Option<&Objects>) -> io::Result<ReceivedPack> {
        let file = disk::PackFile::create(&self.pack_dir)?;
        let blob_writer = BlobWriter::new(self)?;
        let (mut read, mut files) = self.read(pack, &file, &blob_writer)?;
        if read.objects.is_empty() {
            return Ok(ReceivedPack::default());
        }
        files.extend(deltas::resolve(self, &file, &mut read, &blob_writer, bases)?);
        let path = file.finish(&mut read.objects, read.trailer)?;
        files.sort_unstable();
        let dirs = blob_writer.dirs(&files)?;
        Ok(ReceivedPack { pack: Some(path), early: StreamedFiles { dirs, files } })
    }

    /// Read and store the pack. Only its deltas are not resolved.
    fn read(
        &self,
        pack: &mut dyn BufRead,
        file: &disk::PackFile,
        blob_writer: &BlobWriter<'_>,
    ) -> io::Result<(AllRead, Vec<StreamedFile>)> {
        let (to_disk, packets) = sync_channel(8);
        let (used_packets, from_disk) = sync_channel(16);
        let (to_writer, work) = sync_channel(8);
        let (used_buffers, from_writer) = sync_channel(16);
        let (read, stored, written) = std::thread::scope(|scope| {
            let disk = scope.spawn(|| file.store(packets, &used_packets, self.hash));
            let writer = scope.spawn(|| blob_writer.run(work, &used_buffers));
            let mut entries = Entries::new(pack, self, to_disk, from_disk);
            let read = entries.read_all(blob_writer, to_writer, &from_writer);
            drop(entries); // ends the threads
            (read, join(disk.join()), join(writer.join()))
        });
        // An error of another thread makes the reader fail too, so look at the other threads first.
        let checksum = stored?;
        let (ids, files) = written?;
        let mut read = read?;
        read.set_ids(ids);
        if checksum == read.trailer { Ok((read, files)) } else { Err(corrupt("its checksum is wrong")) }
    }
}

fn join<T>(outcome: std::thread::Result<io::Result<T>>) -> io::Result<T> {
    outcome.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

/// Compute the id of an object.
fn hash(kind: Kind, object: gix::objs::Kind, bytes: &[u8]) -> io::Result<ObjectId> {
    gix::objs::compute_hash(kind, object, bytes).map_err(io::Error::other)
}
