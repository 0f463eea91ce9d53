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
pub(super) fn lock(path: &Path, root: &Path) -> Result<RootLock> {
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
    Ok(RootLock(file))
}

/// The lock of a root.
#[derive(Debug)]
pub(super) struct RootLock(File);

impl Drop for RootLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread has just forked holds it, too, until it runs its
        // program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_free_at_once_though_a_forked_child_still_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owner");
        let first = lock(&path, dir.path()).unwrap();
        assert_eq!(lock(&path, dir.path()).unwrap_err().kind(), ErrorKind::Busy);
        let of_child = first.0.file().try_clone().unwrap();
        drop(first);
        assert!(lock(&path, dir.path()).is_ok());
        drop(of_child);
    }
}
