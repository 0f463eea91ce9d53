//! The pack file: written as it comes, read again for deltas, named when all is well.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use gix::ObjectId;
use gix::hash::Kind;
use sirocco::Format;
use sirocco::inflate::Decoder;

use super::entries::Packet;
use super::{LARGEST, Object, corrupt, index};

/// A pack that has no name yet; it goes with its owner unless it is given one.
pub(super) struct PackFile {
    path: PathBuf,
    file: File,
}

impl PackFile {
    pub(super) fn create(directory: &Path) -> io::Result<PackFile> {
        let path = directory.join(format!("tmp_pack_{}", std::process::id()));
        let mut options = fs_err::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(PackFile { path, file })
    }

    /// Write what comes; its checksum.
    pub(super) fn store(
        &self,
        packets: Receiver<Packet>,
        used: &SyncSender<Vec<u8>>,
        kind: Kind,
    ) -> io::Result<ObjectId> {
        let mut hasher = gix::hash::hasher(kind);
        for packet in packets {
            match packet {
                Packet::Bytes(bytes) => {
                    hasher.update(&bytes);
                    (&self.file).write_all(&bytes)?;
                    let _ = used.try_send(bytes);
                }
                Packet::Trailer(bytes) => (&self.file).write_all(&bytes)?,
            }
        }
        hasher.try_finalize().map_err(io::Error::other)
    }

    /// Inflate the stream at an offset, of exactly `size` bytes.
    pub(super) fn inflate(&self, reader: &mut Inflater, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > LARGEST {
            return Err(corrupt(format!("an object of {size} bytes is too large for a delta")));
        }
        let mut out = vec![0; size as usize + 64];
        let (mut at, mut written) = (offset, 0);
        reader.decoder.reset();
        loop {
            let read = self.file.read_at(&mut reader.buffer, at)?;
            let step = reader.decoder.decompress(&reader.buffer[..read], &mut out, read == 0);
            let step = step.map_err(corrupt)?;
            at += step.consumed as u64;
            written += step.output.len();
            if step.done && written as u64 == size {
                out.truncate(written);
                return Ok(out);
            }
            if step.done || step.full || read == 0 {
                return Err(corrupt("an object is not as long as it says"));
            }
        }
    }

    /// Write the index beside the pack and give both their names, the index's last: it makes the pack known.
    pub(super) fn finish(&self, objects: &mut [Object], checksum: ObjectId) -> io::Result<()> {
        let name = self.path.with_file_name(format!("pack-{checksum}"));
        let (pack, index) = (name.with_extension("pack"), name.with_extension("idx"));
        let half_made = self.path.with_extension("idx");
        let written = index::write(&half_made, objects, checksum).and_then(|()| {
            for path in [&self.path, &half_made] {
                fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
            }
            fs_err::rename(&self.path, &pack)?;
            fs_err::rename(&half_made, index)
        });
        written.inspect_err(|_| {
            let _ = fs_err::remove_file(&half_made).and(fs_err::remove_file(&pack));
        })
    }
}

impl Drop for PackFile {
    fn drop(&mut self) {
        // Of one that has a name by now, there is nothing to remove.
        let _ = fs_err::remove_file(&self.path);
    }
}

/// What one thread needs to inflate objects of a file.
pub(super) struct Inflater {
    decoder: Box<Decoder>,
    buffer: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Inflater { decoder: Box::new(Decoder::new(Format::Zlib)), buffer: vec![0; 16 * 1024] }
    }
}
