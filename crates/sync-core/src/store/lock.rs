//! One owner at a time: the lock on `syncline-owner`.

use std::io::{Read, Seek, Write};
use std::path::Path;

use fs_err::{File, OpenOptions};

use crate::error::{Context, Error};

/// Why a [`Store`] could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns the root; the text says which.
    Busy(String),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for OpenError {
    fn from(err: Error) -> Self {
        OpenError::Failed(err)
    }
}

pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let step = || format!("lock {}", path.display());
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).step(step)?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).step(step)?;
            return Err(OpenError::Busy(owner.trim_end().to_owned()));
        }
        Err(err) => return Err(OpenError::Failed(Error::io(step(), &err))),
    }
    let host = rustix::system::uname();
    let owner = format!("pid {} on {}\n", std::process::id(), host.nodename().to_string_lossy());
    // A note for others. The lock is held without it, too: the disk may be full.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes()));
    Ok(file)
}
