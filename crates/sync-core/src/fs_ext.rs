//! File operations that std lacks.

use std::io;
use std::path::{Path, PathBuf};

/// Remove the files and directories in `dir` whose names match.
pub(super) fn remove_matching(dir: &Path, is_leftover: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in entries(dir)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_leftover) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What was found; `None` if it does not exist.
pub(crate) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The entries of a directory; none if it does not exist.
pub(crate) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs_err::DirEntry>> + use<>> {
    Ok(if_there(fs_err::read_dir(dir))?.into_iter().flatten())
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    if_there(fs_err::remove_file(path)).map(|_| ())
}

pub(crate) fn remove_dir_if_there(path: &Path) -> io::Result<()> {
    if_there(fs_err::remove_dir_all(path)).map(|_| ())
}

/// A directory that is removed on drop.
pub(crate) struct TemporaryDir(pub(crate) PathBuf);

impl TemporaryDir {
    /// Create an empty directory in place of what an earlier process left there.
    pub(crate) fn create(path: PathBuf) -> io::Result<TemporaryDir> {
        remove_dir_if_there(&path)?;
        fs_err::create_dir(&path)?;
        Ok(TemporaryDir(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed with other leftovers.
        let _ = remove_dir_if_there(&self.0);
    }
}

/// Replace a file unless it has this content already.
pub(super) fn write_if_different(path: &Path, content: &str) -> io::Result<()> {
    match fs_err::read(path) {
        Ok(found) if found == content.as_bytes() => Ok(()),
        _ => replace_file(path, content),
    }
}

/// Replace a file atomically: a reader sees either the old content or the new.
pub(super) fn replace_file(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("lock");
    fs_err::write(&temporary, content).and_then(|()| fs_err::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs_err::remove_file(&temporary);
    })
}

/// Whether a path certainly does not exist; `false` if that cannot be found out.
pub(super) fn is_gone(path: &Path) -> bool {
    path.try_exists().is_ok_and(|there| !there)
}
