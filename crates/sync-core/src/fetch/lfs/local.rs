//! Objects from the store of a repository on this machine.

use std::io::{self, Read};
use std::path::Path;

use super::{Arrived, LfsFetcher, Missing, step_of};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::WantedContent;
use crate::fs_ext::if_there;
use crate::lfs::store::{LfsStore, PIECE};

/// Copy objects from the repository at `path`. They are hashed on the way, and never linked: their files are another's.
pub(super) fn copy<'a>(
    fetcher: &LfsFetcher,
    path: &Path,
    wanted: &'a [WantedContent],
    store: &LfsStore,
) -> Result<Arrived<'a>> {
    let own = path.join(".git");
    let theirs = LfsStore::of(if own.is_dir() { &own } else { path });
    let mut arrived = Arrived::default();
    for wanted in wanted {
        let step = || step_of(wanted, &path.display().to_string());
        let from = theirs.path(wanted.object.oid);
        match if_there(fs_err::File::open(&from)).step(step)? {
            None => {
                arrived.missing.push(Missing { wanted, reason: format!("{} does not exist", from.display()) })
            }
            Some(file) => {
                if !copy_one(fetcher, file, wanted, store).step(step)? {
                    let text = format!("{} has other content", from.display());
                    return Err(Error::new(ErrorKind::Server, step(), text));
                }
                arrived.bytes += wanted.object.size;
            }
        }
    }
    Ok(arrived)
}

/// False if the file has not the content that its name says.
fn copy_one(
    fetcher: &LfsFetcher,
    mut file: fs_err::File,
    wanted: &WantedContent,
    store: &LfsStore,
) -> io::Result<bool> {
    let mut part = store.begin(&wanted.object, &fetcher.interrupt)?;
    part.restart()?;
    let (mut piece, bytes) = (vec![0; PIECE], fetcher.progress.bytes());
    loop {
        fetcher.interrupt.check()?;
        match file.read(&mut piece)? {
            0 => break,
            read if !part.add(&piece[..read])? => {
                part.discard()?;
                return Ok(false);
            }
            read => gix::Count::inc_by(&bytes, read),
        }
    }
    gix::Count::inc(&fetcher.progress.files());
    part.finish()
}
