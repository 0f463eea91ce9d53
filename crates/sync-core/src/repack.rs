//! Copying objects of a repository into one new pack.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use gix::ObjectId;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::index_pack::PackReceiver;
use crate::index_pack::disk::PackFile;
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::objects::write_pack::{sort_as_stored, write_pack};
use crate::progress::{Progress, Stage};

/// Write one pack with objects that are in the packs of the store. What is packed is copied as it is, and checked only
/// against the checksums in the index. Returns the path of the pack, `None` if `ids` is empty.
pub(crate) fn repack(
    objects: &Objects,
    mut ids: Vec<ObjectId>,
    pack_dir: &Path,
    (progress, interrupt): (&Progress, &Interrupt),
) -> io::Result<Option<PathBuf>> {
    if ids.is_empty() {
        return Ok(None);
    }
    progress.set_total(ids.len());
    let done = progress.files();
    sort_as_stored(objects, &mut ids);
    let file = PackFile::create(pack_dir)?;
    let mut written = write_pack(
        objects,
        &ids,
        |_| false,
        &file.file,
        || {
            gix::Count::inc(&done);
            interrupt.check()
        },
    )?;
    file.finish(&mut written.objects, written.checksum).map(Some)
}

/// Copy objects of the repository at `from` into one pack. Each is hashed. Returns the path of the pack, `None` if `ids`
/// is empty.
pub(crate) fn copy_objects(
    objects: &Objects,
    ids: &[ObjectId],
    pack_receiver: &PackReceiver<'_>,
    from: &Path,
) -> Result<Option<PathBuf>> {
    let to = pack_receiver.pack_dir.display();
    let step = || format!("copy {} objects from {} to {to}", ids.len(), from.display());
    let (reader, writer) = io::pipe().step(step)?;
    let (objects, interrupt) = (objects.clone(), pack_receiver.interrupt);
    std::thread::scope(|scope| {
        let producer =
            scope.spawn(move || write_pack(&objects, ids, |_| false, writer, || interrupt.check()));
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        pack_receiver.progress.enter(Stage::Receiving);
        let received = pack_receiver.take(&mut reader, None);
        drop(reader); // a producer that still writes gets a broken pipe
        let produced = producer
            .join()
            .map_err(|_| Error::new(ErrorKind::Other, step(), "the packing thread panicked"))?;
        // The producer's error is the cause; the receiver then only saw a truncated pack.
        match (produced, received) {
            (Err(err), Err(received)) if err.kind() == io::ErrorKind::BrokenPipe => {
                Err(Error::io(step(), &received))
            }
            (Err(err), _) => Err(Error::io(step(), &err)),
            (Ok(_), received) => received.map(|taken| taken.pack).step(step),
        }
    })
}
