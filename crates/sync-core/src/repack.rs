//! Copying objects of a repository into one new pack.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use gix::ObjectId;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::index_pack::PackReceiver;
use crate::objects::Objects;
use crate::objects::write_pack::write_pack;
use crate::progress::Stage;

/// Copy objects of the repository at `from` into one pack. Returns the path of the pack, `None` if `ids` is empty.
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
        let producer = scope.spawn(move || write_pack(&objects, ids, |_| false, writer, interrupt));
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
            (Ok(()), received) => received.map(|taken| taken.pack).step(step),
        }
    })
}
