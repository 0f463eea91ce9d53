//! Objects from the store of a repository on this machine.

use std::io;
use std::path::Path;

use super::{LfsFetcher, Missing, step_of};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::WantedContent;
use crate::fs_ext::if_there;
use crate::lfs::store::{LfsStore, for_each_piece};

/// Copy objects from the repository at `path`, and return those that it lacks. They are hashed on the way, and never
/// linked: their files are another's.
pub(super) fn copy<'a>(
    fetcher: &LfsFetcher,
    path: &Path,
    wanted: &'a [WantedContent],
    store: &LfsStore,
) -> Result<Vec<Missing<'a>>> {
    let own = path.join(".git");
    let theirs = LfsStore::of(if own.is_dir() { &own } else { path });
    let mut missing = Vec::new();
    for wanted in wanted {
        let step = || step_of(wanted, &path.display().to_string());
        let from = theirs.path(wanted.object.oid);
        match if_there(fs_err::File::open(&from)).step(step)? {
            None => {
                missing.push(Missing { wanted, reason: format!("{} does not exist", from.display()) });
            }
            Some(file) => {
                if !copy_one(fetcher, file, wanted, store).step(step)? {
                    let text = format!("{} has other content", from.display());
                    return Err(Error::new(ErrorKind::Server, step(), text));
                }
            }
        }
    }
    Ok(missing)
}

/// False if the file has not the content that its name says.
fn copy_one(
    fetcher: &LfsFetcher,
    file: fs_err::File,
    wanted: &WantedContent,
    store: &LfsStore,
) -> io::Result<bool> {
    let mut part = store.begin(&wanted.object, &fetcher.interrupt)?;
    part.restart()?;
    let bytes = fetcher.progress.bytes();
    let is_no_longer = for_each_piece(file, &fetcher.interrupt, |piece| {
        let is_taken = part.add(piece)?;
        if is_taken {
            gix::Count::inc_by(&bytes, piece.len());
        }
        Ok(is_taken)
    })?;
    if !is_no_longer {
        part.discard()?;
        return Ok(false);
    }
    gix::Count::inc(&fetcher.progress.files());
    part.finish()
}
