//! Writing the index of a pack, version 2 (gitformat-pack(5)).

use std::io::{self, BufWriter, Write};
use std::path::Path;

use gix::ObjectId;

use super::checksum::Hashed;

/// The number of an object in its pack, in the order of their entries.
pub(crate) type ObjectIndex = u32;

/// An object of a pack.
pub(crate) struct PackedObject {
    /// The offset of its entry in the pack.
    pub(crate) offset: u64,
    /// The checksum of the raw bytes of the entry.
    pub(crate) crc32: u32,
    /// Null until the object is hashed.
    pub(crate) id: ObjectId,
}

/// Larger offsets are in a second table (those with the highest of 32 bits set).
const LARGE_OFFSET: u64 = 1 << 31;

/// Write the index of a pack. Sorts `objects` by id.
pub(crate) fn write(path: &Path, objects: &mut [PackedObject], pack_checksum: ObjectId) -> io::Result<()> {
    objects.sort_unstable_by(|a, b| a.id.cmp(&b.id).then(a.offset.cmp(&b.offset)));
    let out = Hashed::new(fs_err::File::create(path)?, pack_checksum.kind());
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    out.write_all(b"\xfftOc\0\0\0\x02")?;
    let mut upto = 0;
    for byte in 0..=255 {
        upto += objects[upto..].iter().take_while(|object| object.id.first_byte() == byte).count();
        out.write_all(&u32::try_from(upto).map_err(io::Error::other)?.to_be_bytes())?;
    }
    for object in objects.iter() {
        out.write_all(object.id.as_slice())?;
    }
    for object in objects.iter() {
        out.write_all(&object.crc32.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for object in objects.iter() {
        let offset = if object.offset < LARGE_OFFSET {
            object.offset as u32
        } else {
            large.push(object.offset);
            LARGE_OFFSET as u32 | (large.len() - 1) as u32
        };
        out.write_all(&offset.to_be_bytes())?;
    }
    for offset in large {
        out.write_all(&offset.to_be_bytes())?;
    }
    out.write_all(pack_checksum.as_slice())?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(|_| ())
}
