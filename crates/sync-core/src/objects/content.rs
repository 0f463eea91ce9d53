//! An object that others are made from: held, or on disk where that would take too much memory.

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
    /// In a file without a name.
    Spilled {
        file: Arc<File>,
        size: u64,
    },
}

impl Content {
    /// Content of `size` bytes that `make` hands over piece by piece; held if it is not larger than `room`, else
    /// in a file in `dir`.
    pub(crate) fn make(
        size: u64,
        room: u64,
        dir: &Path,
        make: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<Content> {
        if size > room {
            return Content::spill(dir, make);
        }
        let mut held = Vec::with_capacity(size as usize);
        make(&mut |piece| {
            held.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Content::Held(Arc::new(held)))
    }

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

    /// How much memory it takes.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Content::Held(bytes) => bytes.capacity() as u64,
            Content::Spilled { .. } => 0,
        }
    }

    /// Its bytes, if they are held and nobody else's.
    pub(crate) fn into_held(self) -> Option<Vec<u8>> {
        match self {
            Content::Held(bytes) => Arc::into_inner(bytes),
            Content::Spilled { .. } => None,
        }
    }

    /// DirCursor over `length` bytes from `start` on.
    pub(crate) fn pieces(
        &self,
        start: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = start.checked_add(length).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| corrupt("a delta makes no sense"))?;
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

/// A large object on its way to disk, under a temporary name that goes with its owner.
pub(crate) struct Spill {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
    /// What is not written yet: pieces may be very small.
    held: Vec<u8>,
}

/// How much is written at once.
const AT_ONCE: usize = 64 * 1024;

impl Spill {
    /// Its name is one of those that are cleared when a store is opened.
    pub(crate) fn create(dir: &Path) -> io::Result<Spill> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("tmp_object_{}_{number}", std::process::id()));
        let file = fs_err::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Spill { path, file: Arc::new(file), size: 0, held: Vec::new() })
    }

    pub(crate) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.size += piece.len() as u64;
        if self.held.len() + piece.len() > AT_ONCE {
            (&*self.file).write_all(&self.held)?;
            self.held.clear();
        }
        if piece.len() >= AT_ONCE {
            return (&*self.file).write_all(piece);
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// It loses its name.
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
