//! A pack's index, version 2 (gitformat-pack(5)).

use std::io::{self, BufWriter, Write};
use std::path::Path;

use gix::ObjectId;

use super::Object;

/// Offsets from here on are kept in a table of their own.
const LARGE_OFFSET: u64 = 1 << 31;

/// Write the index of a pack; sorts the objects by id.
pub(super) fn write(path: &Path, objects: &mut [Object], pack_checksum: ObjectId) -> io::Result<()> {
    objects.sort_unstable_by(|a, b| a.id.cmp(&b.id).then(a.offset.cmp(&b.offset)));
    let mut out = Hashed {
        hasher: gix::hash::hasher(pack_checksum.kind()),
        file: BufWriter::with_capacity(64 * 1024, fs_err::File::create(path)?),
    };
    out.put(b"\xfftOc\0\0\0\x02")?;
    let mut upto = 0;
    for byte in 0..=255 {
        upto += objects[upto..].iter().take_while(|object| object.id.first_byte() == byte).count();
        out.put(&u32::try_from(upto).map_err(io::Error::other)?.to_be_bytes())?;
    }
    for object in objects.iter() {
        out.put(object.id.as_slice())?;
    }
    for object in objects.iter() {
        out.put(&object.crc32.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for object in objects.iter() {
        let offset = if object.offset < LARGE_OFFSET {
            object.offset as u32
        } else {
            large.push(object.offset);
            LARGE_OFFSET as u32 | (large.len() - 1) as u32
        };
        out.put(&offset.to_be_bytes())?;
    }
    for offset in large {
        out.put(&offset.to_be_bytes())?;
    }
    out.put(pack_checksum.as_slice())?;
    let checksum = out.hasher.try_finalize().map_err(io::Error::other)?;
    out.file.write_all(checksum.as_slice())?;
    out.file.flush()
}

/// A file and the checksum of what was written to it.
struct Hashed {
    hasher: gix::hash::Hasher,
    file: BufWriter<fs_err::File>,
}

impl Hashed {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}
