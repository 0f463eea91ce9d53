//! Whether the files that a session was made by are still what they were: no key stays in use because a session
//! outlived what said so.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::keys::certificate_file;
use super::options::{HostKeys, SshOptions};

/// What was there. An absent file may come to be there, too.
pub(super) struct Files(Vec<(PathBuf, Option<Stamp>)>);

#[derive(PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Files {
    /// To be asked for before they are read, so that no change is missed.
    pub(super) fn of(options: &SshOptions) -> Files {
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
        Files(stamped.collect())
    }

    pub(super) fn are_unchanged(&self) -> bool {
        self.0.iter().all(|(file, seen)| stamp(file) == *seen)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let data = fs_err::metadata(file).ok()?;
    Some(Stamp { inode: data.ino(), size: data.len(), changed: (data.mtime(), data.mtime_nsec()) })
}
