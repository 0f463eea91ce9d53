//! Reading and writing the index file of a tree (gitformat-index(5)).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err::File;
use gix::bstr::BStr;
use gix::hash::Kind as HashKind;
use gix::index::entry::Stat;
use gix::index::{Entry, State};

use super::entry::needs_writing;
use crate::objects::checksum::Hashed;

/// The size of the write buffer.
const BUFFER_SIZE: usize = 64 * 1024;

/// The flag for extended flags, and the extended flag for `SKIP_WORKTREE`.
const EXTENDED: u16 = 1 << 14;
const SKIP_WORKTREE: u16 = 1 << 14;

/// Read an index. Its checksum is not verified: that takes longer than reading, and a program that alters the index can
/// write a matching one. Entries are compared with the files and with the trees anyway.
pub(crate) fn read(path: PathBuf, hash: HashKind) -> gix::Result<State> {
    let file = gix::index::File::at(path, hash, true, Default::default())?;
    Ok(file.into_parts().0)
}

/// Write a new index. gix could do this, but writes each field on its own, which takes several times as long.
pub(crate) fn write(index: &State, path: &Path) -> io::Result<()> {
    let mut out = Hashed::new(File::create(path)?, index.object_hash());
    let version: u32 = if index.entries().iter().all(needs_writing) { 2 } else { 3 };
    let count = u32::try_from(index.entries().len()).map_err(io::Error::other)?;
    let mut buffer = [*b"DIRC", version.to_be_bytes(), count.to_be_bytes()].concat();
    for entry in index.entries() {
        append(entry, entry.path(index), &mut buffer);
        if buffer.len() >= BUFFER_SIZE {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    out.finish().map(|_| ())
}

/// Make an index newer than all of its files, so that Git need not read them again: it takes a file that is as new as
/// the index for one that may have been altered after. Most builds of Git compare whole seconds.
pub(crate) fn make_newer(path: &Path, index: &State) -> io::Result<()> {
    let Some(newest) = index.entries().iter().map(|entry| entry.stat.mtime.secs).max() else { return Ok(()) };
    let (file, least) =
        (File::open(path)?, SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(newest) + 1));
    if file.metadata()?.modified()? < least { file.set_modified(least) } else { Ok(()) }
}

fn append(entry: &Entry, path: &BStr, out: &mut Vec<u8>) {
    let start = out.len();
    let Stat { mtime, ctime, dev, ino, uid, gid, size } = entry.stat;
    let times = [ctime.secs, ctime.nsecs, mtime.secs, mtime.nsecs];
    let [a, b, c, d] = times.map(u32::to_be_bytes);
    let [e, f, g, h, i, j] = [dev, ino, entry.mode.bits(), uid, gid, size].map(u32::to_be_bytes);
    out.extend_from_slice([a, b, c, d, e, f, g, h, i, j].as_flattened());
    out.extend_from_slice(entry.id.as_bytes());
    let length = path.len().min(0xfff) as u16;
    if needs_writing(entry) {
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.extend_from_slice([length | EXTENDED, SKIP_WORKTREE].map(u16::to_be_bytes).as_flattened());
    }
    out.extend_from_slice(path);
    // Pad with 1 to 8 zeros to a multiple of 8.
    out.resize(start + (out.len() - start + 8) / 8 * 8, 0);
}

#[cfg(test)]
mod tests {
    use gix::ObjectId;
    use gix::hash::Kind;
    use gix::index::entry::{Flags, Mode, stat::Time};

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        for flags in [Flags::empty(), Flags::SKIP_WORKTREE] {
            let mut index = State::new(Kind::Sha1);
            for number in 1..4094_u32 {
                let time = |secs| Time { secs, nsecs: number };
                let (mtime, ctime, size) = (time(1), time(2), number);
                let stat = Stat { mtime, ctime, dev: 3, ino: 4, uid: 5, gid: 6, size };
                let mut name = "x".repeat(number as usize).into_bytes();
                name.insert(0, b'a' + (number % 20) as u8);
                let (id, flags) =
                    (ObjectId::null(Kind::Sha1), if number % 7 == 0 { flags } else { Flags::empty() });
                let mode =
                    [Mode::FILE, Mode::FILE_EXECUTABLE, Mode::SYMLINK, Mode::COMMIT][number as usize % 4];
                index.dangerously_push_entry(stat, id, flags, mode, BStr::new(&name));
            }
            index.sort_entries();
            write(&index, &path).unwrap();
            let read = gix::index::File::at(&path, Kind::Sha1, false, Default::default()).unwrap();
            read.verify_integrity().unwrap();
            let all = |index: &State| -> Vec<_> {
                let flags = |entry: &Entry| entry.flags & Flags::SKIP_WORKTREE;
                let entries = index.entries().iter();
                entries.map(|e| (e.path(index).to_owned(), e.id, e.mode, e.stat, flags(e))).collect()
            };
            assert!(all(&read) == all(&index));
        }
    }
}
