//! Detects changes of the files that a session depends on: a kept session must not outlive the keys and `known_hosts`
//! that allowed it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::keys::certificate_file;
use super::options::{HostKeys, SshOptions};

/// Files and their state when the session started; `None` for a missing one, which may appear later.
pub(super) struct WatchedFiles(Vec<(PathBuf, Option<Stamp>)>);

#[derive(PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl WatchedFiles {
    /// Record the state of the files. Call this before reading them, so that no change is missed.
    pub(super) fn of(options: &SshOptions) -> WatchedFiles {
        let mut files = Vec::new();
        if let HostKeys::File(file) = &options.host_keys {
            files.push(file.clone());
        }
        for key in &options.keys {
            files.extend([key.clone(), certificate_file(key)]);
        }
        let stamped = files.into_iter().map(|file| {
            let stamp = stamp(&file);
            (file, stamp)
        });
        WatchedFiles(stamped.collect())
    }

    pub(super) fn are_unchanged(&self) -> bool {
        self.0.iter().all(|(file, seen)| stamp(file) == *seen)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let data = fs_err::metadata(file).ok()?;
    Some(Stamp { inode: data.ino(), size: data.len(), changed: (data.mtime(), data.mtime_nsec()) })
}
