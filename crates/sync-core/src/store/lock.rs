//! The owner lock: one process at a time works on a root.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use fs_err::{File, OpenOptions};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Error, ErrorKind, Result};

/// Lock the file at `path` for the owner of `root`. The lock is released when the file is dropped.
///
/// # Errors
///
/// [`ErrorKind::Busy`] while another process owns it; the text names the process.
pub(super) fn lock(path: &Path, root: &Path) -> Result<File> {
    let step = || format!("lock {}", path.display());
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).step(step)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).step(step)?;
            let text = format!("in use by another syncline ({})", owner.trim_end());
            return Err(Error::new(ErrorKind::Busy, format!("open {}", root.display()), text));
        }
        locked => locked.map_err(io::Error::from).step(step)?,
    }
    let host = rustix::system::uname();
    let owner = format!("pid {} on {}\n", std::process::id(), host.nodename().to_string_lossy());
    // The text only informs others. Writing it may fail, for example on a full disk; the lock is held anyway.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes()));
    Ok(file)
}
