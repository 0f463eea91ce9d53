//! Whether files can fit, before any of them is written.

use std::io;
use std::path::Path;

/// What files to be written take up at least.
#[derive(Default)]
pub(super) struct SpaceNeeded {
    bytes: u64,
    files: u64,
}

impl SpaceNeeded {
    /// A symbolic link may be stored beside its inode.
    pub(super) fn add(&mut self, bytes: u64, is_link: bool) {
        self.bytes += if is_link { 0 } else { bytes };
        self.files += 1;
    }
}

/// ext2 to ext4, XFS and tmpfs. Others may store files in less than their size.
const WITHOUT_COMPRESSION: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// An error where `needed` is more than the file system of `dir` has.
pub(super) fn check(dir: &Path, needed: &SpaceNeeded) -> io::Result<()> {
    let found = rustix::fs::statfs(dir)?;
    // The types differ between machines.
    let kind = u64::try_from(found.f_type).unwrap_or_default();
    let block = u64::try_from(found.f_bsize).unwrap_or_default();
    if !WITHOUT_COMPRESSION.contains(&kind) {
        return Ok(());
    }
    // A total of zero says that there is no limit.
    let free = found.f_bfree.saturating_mul(block);
    refuse(found.f_blocks > 0, needed.bytes, free, "bytes")?;
    refuse(found.f_files > 0, needed.files, found.f_ffree, "new files")
}

fn refuse(is_limited: bool, needed: u64, free: u64, what: &str) -> io::Result<()> {
    if !is_limited || needed <= free {
        return Ok(());
    }
    let text = format!("there is no room: {needed} {what} are needed, {free} are free");
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
