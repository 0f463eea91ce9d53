//! An index entry and its file.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::{Flags, Mode, Stat};
use rustix::fs::FileType;

/// The permissions of the files of a tree that are not executable. Its `.git` file has them too, since both were
/// created under the same umask.
pub(crate) fn file_mode(dir: &Path) -> io::Result<u32> {
    Ok(fs_err::metadata(dir.join(".git"))?.permissions().mode() & 0o777)
}

/// Whether a file is unchanged: its type, permissions, size, mtime and inode are those of the entry. `file_mode`
/// are the permissions of files that are not executable.
pub(crate) fn is_same_file(found: &rustix::fs::Stat, entry: &gix::index::Entry, file_mode: u32) -> bool {
    let kind = match (entry.mode, FileType::from_raw_mode(found.st_mode)) {
        (Mode::SYMLINK, kind) => kind == FileType::Symlink,
        (_, kind) => kind == FileType::RegularFile && found.st_mode & 0o7777 == permissions(entry, file_mode),
    };
    let (found, known) = (index_stat(found), &entry.stat);
    kind && found.size == known.size && found.mtime == known.mtime && found.ino == known.ino
}

/// The permissions of an entry's file.
pub(crate) fn permissions(entry: &gix::index::Entry, file_mode: u32) -> u32 {
    if entry.mode == Mode::FILE_EXECUTABLE { executable(file_mode) } else { file_mode }
}

/// Whether the entry is a regular file, executable or not.
pub(crate) fn is_file(entry: &gix::index::Entry) -> bool {
    matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE)
}

/// Whether the file of an entry has to be written: `SKIP_WORKTREE` is not set. During a checkout that flag means
/// that the file is left out or already written; in an index on disk, that it is left out.
pub(crate) fn needs_writing(entry: &gix::index::Entry) -> bool {
    !entry.flags.contains(Flags::SKIP_WORKTREE)
}

/// Whether an earlier tree has the file of an entry, so that the stat is that of the file (`UPTODATE`).
pub(crate) fn has_file(entry: &gix::index::Entry) -> bool {
    entry.flags.contains(Flags::UPTODATE)
}

/// No earlier tree has the file of this entry.
pub(crate) fn set_no_file(entry: &mut gix::index::Entry) {
    (entry.flags, entry.stat) = (Flags::empty(), Stat::default());
}

/// The permissions of an executable file: everybody who may read may execute.
pub(crate) fn executable(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

/// A stat as in an index: the low 32 bits of each number.
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
        size: index_size(found.st_size as u64),
    }
}

/// The size of a file as in an index. As in Git, a multiple of 4 GiB does not become 0, which would make Git read the
/// file again.
fn index_size(size: u64) -> u32 {
    match size as u32 {
        0 if size > 0 => 1 << 31,
        low => low,
    }
}

/// A path of an index as a path of the system.
pub(crate) fn to_path(path: &BStr) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
}

/// The directory and the name of a path; the directory is empty for the root of the tree.
pub(crate) fn split_path(path: &BStr) -> (&BStr, &BStr) {
    match path.rfind_byte(b'/') {
        Some(at) => (path[..at].as_bstr(), path[at + 1..].as_bstr()),
        None => (BStr::new(""), path),
    }
}

/// The stat of a file as in an index. Symbolic links are not followed.
pub(crate) fn stat_of(path: &Path) -> io::Result<Stat> {
    Ok(index_stat(&rustix::fs::lstat(path)?))
}

/// The permissions of new files and directories. They depend on the umask and on the parent directory.
#[derive(Clone, Copy)]
pub(crate) struct Modes {
    pub(crate) file: u32,
    pub(crate) dir: u32,
}

impl Modes {
    pub(crate) fn of(&self, entry: &gix::index::Entry) -> u32 {
        permissions(entry, self.file)
    }

    /// Whether a file is that of its entry, with the permissions of a new file.
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
