//! One entry of an index and the file that it stands for.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gix::bstr::BStr;
use gix::index::entry::{Flags, Mode, Stat};
use rustix::fs::FileType;

/// The permissions of a tree's files that are not executable: those of its `.git` file, made under the same umask.
pub(crate) fn file_mode(dir: &Path) -> io::Result<u32> {
    Ok(fs_err::metadata(dir.join(".git"))?.permissions().mode() & 0o777)
}

/// Content is taken as unchanged when type, permissions, size, time and inode are. `file_mode` is that of a file that
/// is not executable.
pub(crate) fn is_same_file(found: &rustix::fs::Stat, entry: &gix::index::Entry, file_mode: u32) -> bool {
    let kind = match (entry.mode, FileType::from_raw_mode(found.st_mode)) {
        (Mode::SYMLINK, kind) => kind == FileType::Symlink,
        (_, kind) => kind == FileType::RegularFile && found.st_mode & 0o7777 == permissions(entry, file_mode),
    };
    let (found, known) = (index_stat(found), &entry.stat);
    kind && found.size == known.size && found.mtime == known.mtime && found.ino == known.ino
}

/// What a file of the tree is to have.
pub(crate) fn permissions(entry: &gix::index::Entry, file_mode: u32) -> u32 {
    if entry.mode == Mode::FILE_EXECUTABLE { executable(file_mode) } else { file_mode }
}

/// Whether an entry is not marked as left out, or as done.
pub(crate) fn needs_writing(entry: &gix::index::Entry) -> bool {
    !entry.flags.contains(Flags::SKIP_WORKTREE)
}

/// Whoever may read may execute.
pub(crate) fn executable(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

/// A stat as the index keeps it: the low 32 bits of each.
#[expect(clippy::unnecessary_cast, reason = "the types differ between machines")]
pub(crate) fn index_stat(found: &rustix::fs::Stat) -> Stat {
    let time = |secs, nsecs| gix::index::entry::stat::Time { secs, nsecs };
    Stat {
        mtime: time(found.st_mtime as u32, found.st_mtime_nsec as u32),
        ctime: time(found.st_ctime as u32, found.st_ctime_nsec as u32),
        dev: found.st_dev as u32,
        ino: found.st_ino as u32,
        uid: found.st_uid as u32,
        gid: found.st_gid as u32,
        size: found.st_size as u32,
    }
}

pub(crate) fn to_path(path: &BStr) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
}

/// The stat of a file just made, for the index.
pub(crate) fn stat_of(path: &Path) -> io::Result<Stat> {
    Ok(index_stat(&rustix::fs::lstat(path)?))
}

/// The permissions that the umask, and the directory, give to what is made now.
#[derive(Clone, Copy)]
pub(crate) struct Modes {
    pub(crate) file: u32,
    pub(crate) dir: u32,
}

impl Modes {
    pub(crate) fn of(&self, entry: &gix::index::Entry) -> u32 {
        permissions(entry, self.file)
    }

    /// Whether a file is as its entry says, and as one is that is written now.
    pub(crate) fn is_unaltered(&self, found: &rustix::fs::Stat, entry: &gix::index::Entry) -> bool {
        is_same_file(found, entry, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_to_execute_follows_permission_to_read() {
        for (file, exec) in [(0o644, 0o755), (0o664, 0o775), (0o600, 0o700), (0o640, 0o750)] {
            assert_eq!(executable(file), exec);
        }
    }
}
