//! Check the free space before files are written.

use std::io;
use std::path::Path;

/// The least space that files need.
#[derive(Default)]
pub(super) struct SpaceNeeded {
    bytes: u64,
    files: u64,
}

impl SpaceNeeded {
    /// Add a file. A symbolic link needs no bytes: its target may be stored in the inode.
    pub(super) fn add(&mut self, bytes: u64, is_link: bool) {
        self.bytes = self.bytes.saturating_add(if is_link { 0 } else { bytes });
        self.files += 1;
    }

    /// Add objects of Git LFS, which have so many bytes.
    pub(super) fn add_objects(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The magic numbers of ext2 to ext4, XFS and tmpfs. Other file systems may compress or share data, so a file may
/// need less than its size.
const WITHOUT_COMPRESSION: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// Fail if `needed` is more than is free on the file system of `dir`.
pub(super) fn check(dir: &Path, needed: &SpaceNeeded) -> io::Result<()> {
    let found = rustix::fs::statfs(dir)?;
    // The types differ between machines.
    let kind = u64::try_from(found.f_type).unwrap_or_default();
    let block = u64::try_from(found.f_bsize).unwrap_or_default();
    if !WITHOUT_COMPRESSION.contains(&kind) {
        return Ok(());
    }
    // A total of zero means that there is no limit.
    let free = found.f_bfree.saturating_mul(block);
    refuse(found.f_blocks > 0, needed.bytes, free, "bytes")?;
    refuse(found.f_files > 0, needed.files, found.f_ffree, "new files")
}

fn refuse(is_limited: bool, needed: u64, free: u64, unit: &str) -> io::Result<()> {
    if !is_limited || needed <= free {
        return Ok(());
    }
    let text = format!("not enough free space: {needed} {unit} are needed, {free} are free");
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_may_be_used_up_and_no_more() {
        for (is_limited, needed, free, fits) in
            [(true, 5, 5, true), (true, 6, 5, false), (false, 6, 0, true), (true, 0, 0, true)]
        {
            assert_eq!(refuse(is_limited, needed, free, "bytes").is_ok(), fits);
        }
    }
}
