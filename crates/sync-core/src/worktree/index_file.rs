//! The index of a tree on disk (gitformat-index(5)).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use gix::bstr::BStr;
use gix::hash::Kind as HashKind;
use gix::index::entry::Stat;
use gix::index::{Entry, State};

use super::entry::needs_writing;
use crate::objects::deflate::Hashed;

/// How much is written at once.
const AT_ONCE: usize = 64 * 1024;

/// Of the flags, the bit that says that there are more, and of those the one of `SKIP_WORKTREE`.
const MORE: u16 = 1 << 14;
const LEFT_OUT: u16 = 1 << 14;

/// Its checksum, which takes longer than the rest, is not looked at: whoever alters it can make one. What entries say
/// is compared with the files, and with the trees.
pub(crate) fn read(path: PathBuf, hash: HashKind) -> gix::Result<State> {
    let file = gix::index::File::at(path, hash, true, Default::default())?;
    Ok(file.into_parts().0)
}

/// Write an index that nobody knows of yet. gix writes the fields of each entry one by one, which takes several
/// times as long.
pub(crate) fn write(index: &State, path: &Path) -> io::Result<()> {
    let mut out = Hashed { inner: File::create(path)?, hasher: gix::hash::hasher(index.object_hash()) };
    let version: u32 = if index.entries().iter().all(needs_writing) { 2 } else { 3 };
    let count = u32::try_from(index.entries().len()).map_err(io::Error::other)?;
    let mut buffer = [*b"DIRC", version.to_be_bytes(), count.to_be_bytes()].concat();
    for entry in index.entries() {
        append(entry, entry.path(index), &mut buffer);
        if buffer.len() >= AT_ONCE {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    let Hashed { mut inner, hasher } = out;
    inner.write_all(hasher.try_finalize().map_err(io::Error::other)?.as_slice())
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
        out.extend_from_slice([length | MORE, LEFT_OUT].map(u16::to_be_bytes).as_flattened());
    }
    out.extend_from_slice(path);
    // At least one zero ends the path.
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
