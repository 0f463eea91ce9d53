//! The content of an object, in memory or, if it is large, in a temporary file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::corrupt;

/// The bytes of an object.
pub(crate) enum Content {
    Held(Arc<Vec<u8>>),
    /// In an unlinked file.
    Spilled {
        file: Arc<File>,
        size: u64,
    },
}

impl Content {
    /// Collect the `size` bytes that `make` passes on piece by piece: in memory if `size` is at most `limit`,
    /// otherwise in a file in `dir`.
    pub(crate) fn make(
        size: u64,
        limit: u64,
        dir: &Path,
        make: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<Content> {
        if size > limit {
            return Content::spill(dir, make);
        }
        let mut held = Vec::with_capacity(size as usize);
        make(&mut |piece| {
            held.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Content::Held(Arc::new(held)))
    }

    /// Collect what `make` passes on in a file in `dir`.
    pub(crate) fn spill(
        dir: &Path,
        make: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<Content> {
        let mut spill = Spill::create(dir)?;
        make(&mut |piece| spill.add(piece))?;
        spill.into_content()
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Content::Held(bytes) => bytes.len() as u64,
            Content::Spilled { size, .. } => *size,
        }
    }

    /// The memory that the content takes, in bytes.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Content::Held(bytes) => bytes.capacity() as u64,
            Content::Spilled { .. } => 0,
        }
    }

    /// The bytes, if they are in memory and not shared.
    pub(crate) fn into_held(self) -> Option<Vec<u8>> {
        match self {
            Content::Held(bytes) => Arc::into_inner(bytes),
            Content::Spilled { .. } => None,
        }
    }

    /// Pass `length` bytes from `start` on to `take`, piece by piece.
    pub(crate) fn pieces(
        &self,
        start: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = start.checked_add(length).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| corrupt("a delta copies from beyond the end of its base"))?;
        match self {
            Content::Held(bytes) => take(&bytes[start as usize..end as usize]),
            Content::Spilled { file, .. } => {
                let (mut buffer, mut at) = ([0; 16 * 1024], start);
                while at < end {
                    let wanted = buffer.len().min((end - at) as usize);
                    file.read_exact_at(&mut buffer[..wanted], at)?;
                    take(&buffer[..wanted])?;
                    at += wanted as u64;
                }
                Ok(())
            }
        }
    }
}

/// A large object that is being written to a temporary file. The file is removed on drop.
pub(crate) struct Spill {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
    /// The write buffer: pieces may be very small.
    held: Vec<u8>,
}

/// The size of the write buffer.
const BUFFER_SIZE: usize = 64 * 1024;

impl Spill {
    /// Create a file in `dir`. If the process is killed, opening the store removes the file.
    pub(crate) fn create(dir: &Path) -> io::Result<Spill> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("tmp_object_{}_{number}", std::process::id()));
        let file = fs_err::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Spill { path, file: Arc::new(file), size: 0, held: Vec::new() })
    }

    pub(crate) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.size += piece.len() as u64;
        if self.held.len() + piece.len() > BUFFER_SIZE {
            (&*self.file).write_all(&self.held)?;
            self.held.clear();
        }
        if piece.len() >= BUFFER_SIZE {
            return (&*self.file).write_all(piece);
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// Flush the buffer and unlink the file.
    pub(crate) fn into_content(self) -> io::Result<Content> {
        (&*self.file).write_all(&self.held)?;
        Ok(Content::Spilled { file: self.file.clone(), size: self.size })
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}
