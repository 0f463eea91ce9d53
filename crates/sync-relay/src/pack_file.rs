//! A pack on its way to an engine.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use fs_err::{File, OpenOptions};
use ring::digest::{Context, SHA256};
use sync_core::{CommitId, Depth, Error, Interrupt, RelayPack, Store};

/// A pack in a temporary file, which is removed when this is dropped.
pub(crate) struct PackFile {
    path: PathBuf,
    file: File,
    pack: RelayPack,
}

impl PackFile {
    /// Pack a commit of the store; with `since`, only what that one lacks.
    pub(crate) fn make(
        store: &Store,
        commit: CommitId,
        since: Option<CommitId>,
        depth: Depth,
        interrupt: &Interrupt,
    ) -> Result<PackFile, Error> {
        let path = store.relay_file().with_file_name("tmp-relay.pack");
        let step = || format!("pack {commit} for the relay");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|err| Error::io(step(), &err))?;
        let pack = RelayPack { bytes: 0, sha256: [0; 32], shallow: Vec::new() };
        let mut made = PackFile { path, file, pack };
        let mut out = Hashing { inner: &mut made.file, digest: Context::new(&SHA256), bytes: 0 };
        let mut buffered = BufWriter::with_capacity(64 * 1024, &mut out);
        let shallow = store.export(commit, since, depth, &mut buffered, interrupt)?;
        buffered.flush().map_err(|err| Error::io(step(), &err))?;
        drop(buffered);
        made.pack.bytes = out.bytes;
        made.pack.sha256.copy_from_slice(out.digest.finish().as_ref());
        made.pack.shallow = shallow;
        Ok(made)
    }

    pub(crate) fn pack(&self) -> RelayPack {
        self.pack.clone()
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The whole pack, if it is no larger.
    pub(crate) fn content_up_to(&mut self, most: u64) -> io::Result<Option<Vec<u8>>> {
        if self.pack.bytes > most {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(self.pack.bytes as usize);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut content)?;
        Ok(Some(content))
    }
}

impl Drop for PackFile {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

struct Hashing<'a> {
    inner: &'a mut File,
    digest: Context,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.digest.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
