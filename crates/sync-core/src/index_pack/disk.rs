//! The pack file: written while the pack arrives, read again for deltas, completed if it is thin, named at the end.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::Kind as ObjectKind;

use super::entries::Packet;
use crate::objects::checksum::Checksum;
use crate::objects::content::Content;
use crate::objects::corrupt;
use crate::objects::deflate::{Deflater, EntryWriter, header_of};
use crate::objects::pack_index::{self, PackedObject};

/// A pack under a temporary name. The file is removed on drop unless it is finished.
pub(crate) struct PackFile {
    path: PathBuf,
    pub(crate) file: File,
}

impl PackFile {
    pub(crate) fn create(directory: &Path) -> io::Result<PackFile> {
        let path = directory.join(format!("tmp_pack_{}", std::process::id()));
        let mut options = fs_err::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(PackFile { path, file })
    }

    /// Write the packets to the file. Returns the checksum of the pack. Buffers that are no longer needed go to
    /// `used`.
    pub(super) fn store(
        &self,
        packets: Receiver<Packet>,
        used: &SyncSender<Vec<u8>>,
        kind: Kind,
    ) -> io::Result<ObjectId> {
        let mut checksum = Checksum::new(kind);
        for packet in packets {
            match packet {
                Packet::Bytes(bytes) => {
                    checksum.update(&bytes);
                    (&self.file).write_all(&bytes)?;
                    let _ = used.try_send(bytes);
                }
                Packet::Trailer(bytes) => (&self.file).write_all(&bytes)?,
            }
        }
        checksum.finish()
    }

    /// Cut the checksum off, and append objects.
    pub(super) fn reopen(&self, kind: Kind) -> io::Result<Addition<'_>> {
        let end = self.file.metadata()?.len().checked_sub(kind.len_in_bytes() as u64);
        let end = end.ok_or_else(|| corrupt("it ends too early"))?;
        self.file.set_len(end)?;
        (&self.file).seek(SeekFrom::Start(end))?;
        Ok(Addition { end: EntryWriter::new(&self.file, end), deflater: Deflater::new() })
    }

    /// Write the header and the checksum for `count` objects. Call it after the last addition.
    pub(super) fn close(&self, count: usize, kind: Kind) -> io::Result<ObjectId> {
        let count = u32::try_from(count).map_err(io::Error::other)?;
        self.file.write_all_at(&gix_pack::data::header::encode(gix_pack::data::Version::V2, count), 0)?;
        let mut checksum = Checksum::new(kind);
        let mut buffer = vec![0; 64 * 1024];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => checksum.update(&buffer[..read]),
            }
        }
        let checksum = checksum.finish()?;
        file.write_all(checksum.as_slice())?;
        Ok(checksum)
    }

    /// Write the index and give both files their names. The index gets its name last: a pack without an index does
    /// not count. Returns the path of the pack.
    pub(crate) fn finish(&self, objects: &mut [PackedObject], checksum: ObjectId) -> io::Result<PathBuf> {
        let name = self.path.with_file_name(format!("pack-{checksum}"));
        let (pack, index) = (name.with_extension("pack"), name.with_extension("idx"));
        let temporary_index = self.path.with_extension("idx");
        let written = pack_index::write(&temporary_index, objects, checksum).and_then(|()| {
            for path in [&self.path, &temporary_index] {
                fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
            }
            fs_err::rename(&self.path, &pack)?;
            fs_err::rename(&temporary_index, index)
        });
        written.inspect_err(|_| {
            let _ = fs_err::remove_file(&temporary_index).and(fs_err::remove_file(&pack));
        })?;
        Ok(pack)
    }
}

impl Drop for PackFile {
    fn drop(&mut self) {
        // A finished pack has another name, so this removes nothing then.
        let _ = fs_err::remove_file(&self.path);
    }
}

/// Appends objects to a pack.
pub(super) struct Addition<'a> {
    end: EntryWriter<&'a File>,
    deflater: Deflater,
}

impl Addition<'_> {
    /// Append an object as a whole.
    pub(super) fn add(
        &mut self,
        id: ObjectId,
        kind: ObjectKind,
        content: &Content,
    ) -> io::Result<PackedObject> {
        let Addition { end, deflater } = self;
        end.begin();
        header_of(kind).write_to(content.len(), &mut *end)?;
        content.pieces(0, content.len(), &mut |piece| deflater.add(piece, end))?;
        deflater.finish(end)?;
        Ok(end.entry(id))
    }
}
