//! A pack in one pass: while it arrives it is stored, its objects are hashed, and the files of the wanted commit
//! are written. What this declines, the ordinary checkout writes afterwards.
//!
//! ```text
//! this thread      packets ─▶ entries ─▶ inflated objects ─▶ trees go into the plan
//! disk thread         └─▶ the pack file and its checksum │
//! placing thread                                         └─▶ blobs are hashed and become files
//! afterwards       deltas, on several threads; the pack's index
//! ```
//! A file is written only where a tree entry of the commit names exactly the bytes at hand. Nothing here is
//! visible to anybody before the checkout gives the tree its name.

pub(crate) mod deltas;
mod disk;
mod entries;
mod index;
mod place;
mod plan;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use gix::ObjectId;
use gix::bstr::BString;
use gix::hash::Kind;
use gix::index::entry::Stat;

use crate::Interrupt;
use crate::progress::Progress;

use entries::Entries;
use place::Placer;
use plan::Plan;

/// Larger blobs go through in pieces.
const LARGE: u64 = 1 << 20;

/// The largest object that is held in memory: a tree, a delta, or what deltas start from or make.
const LARGEST: u64 = 1 << 31;

/// What was made on the way.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// Sorted by path.
    pub(crate) files: Vec<EarlyFile>,
    /// Trees of the commit, as many as are worth keeping: reading them from the pack again would bring most of it
    /// into memory.
    pub(crate) trees: Vec<Vec<u8>>,
}

/// A file that was written.
#[derive(Debug)]
pub(crate) struct EarlyFile {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
    pub(crate) is_executable: bool,
    pub(crate) stat: Stat,
}

/// An object of the pack, by its place in it.
pub(super) struct Object {
    pub(super) offset: u64,
    /// Of the raw bytes of the entry.
    pub(super) crc32: u32,
    /// Null until it is known.
    pub(super) id: ObjectId,
}

/// Store a pack that needs no objects from elsewhere in `pack_dir`, and write files of `commit` below `tree_dir`,
/// which is there and empty. After an error nothing is left of the pack; what is in `tree_dir` is not to be used.
pub(crate) fn unpack(
    pack: &mut dyn BufRead,
    commit: ObjectId,
    pack_dir: &Path,
    tree_dir: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> io::Result<Early> {
    let kind = commit.kind();
    let file = disk::PackFile::create(pack_dir)?;
    let plan = Mutex::new(Plan::new(commit));
    let placer = Placer::new(tree_dir, &plan, kind, interrupt)?;
    let (to_disk, packets) = sync_channel(8);
    let (used_packets, from_disk) = sync_channel(16);
    let (to_placer, work) = sync_channel(8);
    let (used_buffers, from_placer) = sync_channel(16);
    let (read, stored, placed) = std::thread::scope(|scope| {
        let disk = scope.spawn(|| file.store(packets, &used_packets, kind));
        let placing = scope.spawn(|| placer.run(work, &used_buffers));
        let mut entries = Entries::new(pack, kind, to_disk, from_disk);
        let read = entries.read_all(&plan, to_placer, &from_placer, progress, interrupt);
        drop(entries); // ends the threads
        (read, join(disk.join()), join(placing.join()))
    });
    // What failed on disk made the reading fail, too.
    let checksum = stored?;
    let (mut ids, mut files) = placed?;
    let mut read = read?;
    for (at, id) in ids.drain(..) {
        read.objects[at].id = id;
    }
    if checksum != read.trailer {
        return Err(corrupt("its checksum is wrong"));
    }
    if read.objects.is_empty() {
        return Ok(Early::default());
    }
    files.extend(deltas::resolve(&file, &mut read, &placer, progress)?);
    file.finish(&mut read.objects, read.trailer)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    drop(placer);
    let trees = plan.into_inner().map_err(|_| io::Error::other("a thread died"))?.into_trees();
    Ok(Early { files, trees })
}

fn join<T>(outcome: std::thread::Result<io::Result<T>>) -> io::Result<T> {
    outcome.unwrap_or_else(|_| Err(io::Error::other("a thread died")))
}

fn corrupt(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the pack is damaged: {what}"))
}

/// The id of an object.
fn hash(kind: Kind, object: gix::objs::Kind, bytes: &[u8]) -> io::Result<ObjectId> {
    gix::objs::compute_hash(kind, object, bytes).map_err(io::Error::other)
}
