//! A directory that feeders write and followers read: a volume, or what a web server shows.

use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::{File, OpenOptions};
use rustix::fs::{FlockOperation, flock};
use sync_core::{Interrupt, read_bounded};

use super::files::{PACKS, TIP, digest_of, pack_file, pack_of};
use super::{Engine, LARGEST_TIP, PackName, Record, Revision, Swap, too_short};
use crate::RelayName;
use crate::pause::pause;

/// What names of incomplete files begin with.
const TEMPORARY: &str = ".tmp-";

/// The file that is locked while a tip is written.
const LOCK: &str = ".lock";

/// How often a lock that somebody has is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The files of one name.
pub(super) struct Directory {
    root: PathBuf,
    own: PathBuf,
}

impl Directory {
    pub(super) fn new(root: &Path, name: &RelayName) -> Directory {
        Directory { root: root.to_owned(), own: root.join(name.as_str()) }
    }

    fn packs_dir(&self) -> PathBuf {
        self.own.join(PACKS)
    }

    fn pack_path(&self, name: &PackName) -> PathBuf {
        self.packs_dir().join(pack_file(name))
    }

    fn read_tip(&self) -> io::Result<Option<Record>> {
        match read_bounded(&self.own.join(TIP), LARGEST_TIP as u64) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(|bytes| Some(Record { revision: revision_of(&bytes), bytes })),
        }
    }

    /// The lock for writing the tip, which is released on drop.
    fn lock(&self, interrupt: &Interrupt) -> io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.own.join(LOCK))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => pause(LOCK_INTERVAL, interrupt)?,
                locked => return locked.map(|()| file).map_err(|err| lock_error(&self.own.join(LOCK), err)),
            }
        }
    }
}

impl Engine for Directory {
    fn prepare(&mut self, _: &Interrupt) -> io::Result<()> {
        create_directory(&self.root)?;
        create_directory(&self.own)?;
        create_directory(&self.packs_dir())
    }

    fn tip(&mut self, _: &Interrupt) -> io::Result<Option<Record>> {
        let tip = self.read_tip()?;
        if tip.is_none() && !self.root.is_dir() {
            let text = format!("there is no directory {}; is the volume mounted?", self.root.display());
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        }
        Ok(tip)
    }

    fn pack<'a>(&'a mut self, name: &PackName, _: &'a Interrupt) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(Box::new(File::open(self.pack_path(name))?))
    }

    fn swap(&mut self, tip: &[u8], expected: Option<&Revision>, interrupt: &Interrupt) -> io::Result<Swap> {
        self.prepare(interrupt)?;
        let _lock = self.lock(interrupt)?;
        remove_leftovers(&self.own)?;
        let stored = self.read_tip()?;
        if stored.as_ref().map(|record| &record.revision) == expected {
            write_file(&self.own, TIP, &mut &tip[..], tip.len() as u64, interrupt)?;
        } else if stored.is_none_or(|record| record.bytes != tip) {
            return Ok(Swap::Lost);
        }
        Ok(Swap::Done(revision_of(tip)))
    }

    fn put_pack(
        &mut self,
        name: &PackName,
        length: u64,
        pack: &mut File,
        interrupt: &Interrupt,
    ) -> io::Result<()> {
        self.prepare(interrupt)?;
        remove_leftovers(&self.packs_dir())?;
        if self.pack_path(name).try_exists()? {
            return Ok(());
        }
        pack.rewind()?;
        write_file(&self.packs_dir(), &pack_file(name), pack, length, interrupt)
    }

    fn packs(&mut self, _: &Interrupt) -> io::Result<Vec<PackName>> {
        let entries = match fs_err::read_dir(self.packs_dir()) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut packs = Vec::new();
        for entry in entries {
            if let Some(name) = entry?.file_name().to_str().and_then(pack_of) {
                packs.push(name);
            }
        }
        Ok(packs)
    }

    fn remove_pack(&mut self, name: &PackName, _: &Interrupt) -> io::Result<()> {
        match fs_err::remove_file(self.pack_path(name)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn is_connected(&self) -> bool {
        self.root.is_dir()
    }
}

fn revision_of(bytes: &[u8]) -> Revision {
    Revision(digest_of(bytes))
}

fn lock_error(path: &Path, err: rustix::io::Errno) -> io::Error {
    let err = io::Error::from(err);
    io::Error::new(err.kind(), format!("failed to lock {}: {err}", path.display()))
}

/// A directory that anybody may read, whatever the process's mask is.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(path)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Write a file of this length so that readers see all of it or nothing, also after a crash of the machine.
fn write_file(
    dir: &Path,
    name: &str,
    content: &mut dyn Read,
    length: u64,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let path = dir.join(format!("{TEMPORARY}{:016x}", fastrand::u64(..)));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    // Somebody writes it, so it is no leftover.
    let locked = flock(&file, FlockOperation::LockExclusive).map_err(|err| lock_error(&path, err));
    let written = locked.and_then(|()| copy(content, &mut file, length, interrupt)).and_then(|()| {
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs_err::rename(&path, dir.join(name))?;
        File::open(dir)?.sync_all()
    });
    if written.is_err() {
        let _ = fs_err::remove_file(&path); // else the next write removes it
    }
    written
}

fn copy(from: &mut dyn Read, to: &mut File, length: u64, interrupt: &Interrupt) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        interrupt.check()?;
        let copied = io::copy(&mut from.take(left.min(1 << 20)), to)?;
        if copied == 0 {
            return Err(too_short());
        }
        left -= copied;
    }
    Ok(())
}

/// Remove incomplete files that nobody writes any more: their locks are gone.
fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            continue;
        }
        let is_left = File::open(entry.path())
            .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
        if is_left {
            let _ = fs_err::remove_file(entry.path()); // another feeder may be quicker
        }
    }
    Ok(())
}
