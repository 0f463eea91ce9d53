//! A second copy of the files of a tree, in a directory that other programs may write to. No symbolic link is followed
//! on either side.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, linkat, mkdirat, openat, readlinkat, renameat,
    statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use sync_core::{Interrupt, relative_path};

use super::{CopyOptions, temporary_name};

/// Paths inside a tree. Those of directories end in a slash, so that a directory sorts before its content.
pub type Paths = BTreeSet<Vec<u8>>;

/// All paths of a tree.
pub fn list(tree: &Path) -> io::Result<Paths> {
    let mut top = Top::open(tree)?;
    let (mut paths, mut waiting) = (Paths::new(), vec![PathBuf::new()]);
    while let Some(path) = waiting.pop() {
        for entry in Dir::read_from(top.dir(&path)?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let inside = path.join(name);
            let mut bytes = inside.as_os_str().as_bytes().to_vec();
            if entry.file_type() == FileType::Directory {
                bytes.push(b'/');
                waiting.push(inside);
            }
            paths.insert(bytes);
        }
    }
    Ok(paths)
}

/// A path of [`Paths`] without its slash, and whether it is that of a directory.
pub fn plain(path: &[u8]) -> (&Path, bool) {
    let name = path.strip_suffix(b"/").unwrap_or(path);
    (Path::new(OsStr::from_bytes(name)), name.len() < path.len())
}

/// A tree, and the directory that gets its files.
pub struct Replica<'a> {
    from: Top,
    to: Top,
    options: CopyOptions,
    /// The temporary name of a file before it is renamed. It is random.
    temporary: String,
    interrupt: &'a Interrupt,
}

/// What is at a path in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// The same as in the tree.
    Same,
    OtherFile,
    OtherDirectory,
}

impl<'a> Replica<'a> {
    pub fn new(
        tree: &Path,
        dir: &Path,
        options: CopyOptions,
        interrupt: &'a Interrupt,
    ) -> io::Result<Replica<'a>> {
        let (from, to) = (Top::open(tree)?, Top::open(dir)?);
        Ok(Replica { from, to, options, temporary: temporary_name(), interrupt })
    }

    /// The temporary name of files in the directory.
    pub fn temporary(&self) -> &str {
        &self.temporary
    }

    /// Remove the files with this temporary name that a killed process left beside one of `paths`.
    pub fn clear(&mut self, temporary: &str, paths: &Paths) -> io::Result<()> {
        let parents: BTreeSet<&Path> = paths.iter().map(|path| split(plain(path).0).0).collect();
        for parent in parents {
            let Ok(dir) = self.to.dir(parent) else { continue };
            match unlinkat(dir, temporary, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(err) => return Err(self.to.name(&parent.join(temporary), err)),
            }
        }
        Ok(())
    }

    /// Compare a path of the directory with the tree.
    pub fn look(&mut self, path: &[u8]) -> io::Result<Found> {
        self.interrupt.check()?;
        let (path, is_dir) = plain(path);
        let (parent, name) = split(path);
        let Ok(dir) = self.to.dir(parent) else { return Ok(Found::Nothing) };
        let found = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(err) => return Err(self.to.name(path, err)),
        };
        Ok(match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory if is_dir => Found::Same,
            FileType::Directory => Found::OtherDirectory,
            _ if !is_dir && self.is_same(path, &found)? => Found::Same,
            _ => Found::OtherFile,
        })
    }

    /// Whether all of these paths are the same in the directory and in the tree.
    pub fn has_all(&mut self, paths: &Paths) -> io::Result<bool> {
        for path in paths {
            if self.look(path)? != Found::Same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_same(&mut self, path: &Path, found: &Stat) -> io::Result<bool> {
        let (parent, name) = split(path);
        if name == ".git" {
            let text = self.pointer(path)?;
            return Ok(self.to.read(path).is_ok_and(|there| there == text.as_bytes()));
        }
        let (from, to) = (self.from.dir(parent)?, self.to.dir(parent)?);
        let wanted = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(wanted.st_mode) == FileType::Symlink {
            return Ok(readlinkat(to, name, Vec::new())
                .is_ok_and(|there| readlinkat(from, name, Vec::new()).is_ok_and(|wanted| wanted == there)));
        }
        let is_linked = (wanted.st_dev, wanted.st_ino) == (found.st_dev, found.st_ino);
        let look = |stat: &Stat| (stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        Ok(is_linked || (!self.options.shares_files && look(&wanted) == look(found)))
    }

    /// Copy a path of the tree to the directory. No directory may be in the way of a file, nor a file in the way of a
    /// directory.
    pub fn put(&mut self, path: &[u8]) -> io::Result<()> {
        self.interrupt.check()?;
        let (path, is_dir) = plain(path);
        let (parent, name) = split(path);
        if is_dir {
            return match mkdirat(self.to.dir(parent)?, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(err) => Err(self.to.name(path, err)),
            };
        }
        let made = self.make(path).and_then(|()| {
            let dir = self.to.dir(parent)?;
            Ok(renameat(dir, &self.temporary, dir, name)?)
        });
        made.map_err(|err| {
            if err.kind() != io::ErrorKind::AlreadyExists
                && let Ok(dir) = self.to.dir(parent)
            {
                let _ = unlinkat(dir, &self.temporary, AtFlags::empty());
            }
            self.to.name(path, err)
        })
    }

    /// Create the file under its temporary name.
    fn make(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path);
        if name == ".git" {
            let text = self.pointer(path)?;
            let file = create(self.to.dir(parent)?, &self.temporary, 0o666)?;
            io::Write::write_all(&mut &file, text.as_bytes())?;
            return self.finish(&file);
        }
        let (from, to) = (self.from.dir(parent)?, self.to.dir(parent)?);
        // It may have too many links, or linking may not be allowed.
        if self.options.shares_files && linkat(from, name, to, &self.temporary, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let wanted = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(wanted.st_mode) == FileType::Symlink {
            return Ok(symlinkat(readlinkat(from, name, Vec::new())?, to, &self.temporary)?);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = File::from(openat(from, name, flags, Mode::empty())?);
        let copy = create(to, &self.temporary, wanted.st_mode & 0o777)?;
        if rustix::fs::ioctl_ficlone(&copy, &source).is_err() {
            io::copy(&mut &source, &mut &copy)?;
        }
        fchmod(&copy, Mode::from_raw_mode(wanted.st_mode & 0o777))?;
        copy.set_times(FileTimes::new().set_modified(source.metadata()?.modified()?))?;
        self.finish(&copy)
    }

    fn finish(&self, file: &File) -> io::Result<()> {
        if self.options.is_durable { file.sync_all() } else { Ok(()) }
    }

    /// The text of a `.git` file in the directory that names the same target as that of the tree.
    fn pointer(&mut self, path: &Path) -> io::Result<String> {
        let text = self.from.read(path)?;
        let target = text.strip_prefix(b"gitdir: ").unwrap_or(&text).trim_ascii_end();
        let parent = split(path).0;
        let admin = fs_err::canonicalize(self.from.path.join(parent).join(OsStr::from_bytes(target)))?;
        Ok(format!("gitdir: {}\n", relative_path(&self.to.path.join(parent), &admin).display()))
    }

    /// Remove a file of the directory, or an empty directory.
    pub fn remove(&mut self, path: &[u8]) -> io::Result<()> {
        let (path, is_dir) = plain(path);
        let (parent, name) = split(path);
        let Ok(dir) = self.to.dir(parent) else { return Ok(()) };
        match unlinkat(dir, name, if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() }) {
            // It is gone, is something else by now, or holds files of other programs.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::ISDIR) => {
                self.to.last = None;
                Ok(())
            }
            Err(err) => Err(self.to.name(path, err)),
        }
    }
}

fn create(dir: &OwnedFd, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::from_raw_mode(mode))?.into())
}

fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}

/// An open directory, and the subdirectory that was used last.
struct Top {
    path: PathBuf,
    fd: OwnedFd,
    last: Option<(PathBuf, OwnedFd)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Top {
    fn open(path: &Path) -> io::Result<Top> {
        let path = fs_err::canonicalize(path)?;
        let fd = openat(CWD, &path, DIRECTORY, Mode::empty())?;
        Ok(Top { path, fd, last: None })
    }

    /// Open a subdirectory without following links.
    fn dir(&mut self, path: &Path) -> io::Result<&OwnedFd> {
        if path.as_os_str().is_empty() {
            return Ok(&self.fd);
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let mut dir = self.fd.try_clone()?;
            for part in path.components() {
                dir = openat(&dir, part.as_os_str(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
                    .map_err(|err| self.name(path, err))?;
            }
            self.last = Some((path.to_owned(), dir));
        }
        Ok(self.last.as_ref().map_or(&self.fd, |(_, dir)| dir))
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let (parent, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(self.dir(parent)?, name, flags, Mode::empty())?;
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::from(file), 64 * 1024), &mut text)?;
        Ok(text)
    }

    fn name(&self, path: &Path, err: impl Into<io::Error>) -> io::Error {
        let err = err.into();
        io::Error::new(err.kind(), format!("{}: {err}", self.path.join(path).display()))
    }
}
