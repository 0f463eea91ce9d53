//! Blobs become files.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard};

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::hash::{Hasher, Kind};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, linkat, openat, statat};

use super::plan::{DirId, Plan, Target};
use super::{EarlyFile, hash};
use crate::checkout::{executable, index_stat, to_path};
use crate::{Interrupt, Limits};

/// What the placing thread gets.
pub(super) enum Work {
    Batch {
        bytes: Vec<u8>,
        blobs: Vec<Blob>,
    },
    /// A large blob, followed by its pieces and an end.
    Begin {
        at: usize,
        size: u64,
    },
    Piece(Vec<u8>),
    End,
}

/// A blob in a batch, and its place among the objects.
pub(super) struct Blob {
    pub(super) at: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The ids of objects by their places, and the files that were written.
pub(super) type Placed = (Vec<(usize, ObjectId)>, Vec<EarlyFile>);

pub(super) struct Placer<'a> {
    tree_dir: &'a Path,
    root: OwnedFd,
    plan: &'a Mutex<Plan>,
    kind: Kind,
    limits: &'a Limits,
    /// Bytes of the files written so far.
    written: AtomicU64,
    pub(super) interrupt: &'a Interrupt,
}

impl<'a> Placer<'a> {
    pub(super) fn new(
        tree_dir: &'a Path,
        plan: &'a Mutex<Plan>,
        kind: Kind,
        limits: &'a Limits,
        interrupt: &'a Interrupt,
    ) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, tree_dir, flags, Mode::empty()).map_err(|err| {
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("open {}: {err}", tree_dir.display()))
        })?;
        Ok(Placer { tree_dir, root, plan, kind, limits, written: AtomicU64::new(0), interrupt })
    }

    /// Do what comes until nothing more does.
    pub(super) fn run(&self, work: Receiver<Work>, used: &SyncSender<Vec<u8>>) -> io::Result<Placed> {
        let mut ids = Vec::new();
        let mut hand = Hand::new(self);
        let mut large = None;
        for work in work {
            self.interrupt.check()?;
            match work {
                Work::Batch { bytes, blobs } => {
                    for blob in blobs {
                        let content = &bytes[blob.start..blob.end];
                        let id = hash(self.kind, gix::objs::Kind::Blob, content)?;
                        ids.push((blob.at, id));
                        hand.place(id, content)?;
                    }
                    let _ = used.try_send(bytes);
                }
                Work::Begin { at, size } => large = Some((at, Large::begin(self, size)?)),
                Work::Piece(piece) => {
                    if let Some((_, large)) = &mut large {
                        large.add(&piece)?;
                    }
                    let _ = used.try_send(piece);
                }
                Work::End => {
                    if let Some((at, large)) = large.take() {
                        ids.push((at, large.end(&mut hand)?));
                    }
                }
            }
        }
        Ok((ids, hand.files))
    }

    fn plan(&self) -> io::Result<MutexGuard<'a, Plan>> {
        self.plan.lock().map_err(|_| io::Error::other("a thread died"))
    }

    /// Another file is to be written.
    fn admit(&self, dir: &BString, name: &BString, size: u64) -> io::Result<()> {
        self.limits.check_blob(size, to_path(dir.as_bstr()).join(to_path(name.as_bstr())))?;
        Ok(self.limits.check_tree(size + self.written.fetch_add(size, Ordering::Relaxed))?)
    }

    /// A file in a directory of the tree, made if need be.
    fn named<'e>(
        &self,
        dir: &'e BString,
        name: &'e BString,
    ) -> impl Fn(rustix::io::Errno) -> io::Error + use<'a, 'e, '_> {
        move |err| {
            let path = self.tree_dir.join(to_path(dir.as_bstr())).join(to_path(name.as_bstr()));
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("write {}: {err}", path.display()))
        }
    }
}

/// One thread's hand: the directory it works in, and what it wrote.
pub(super) struct Hand<'a> {
    placer: &'a Placer<'a>,
    open: Option<(DirId, BString, OwnedFd)>,
    pub(super) files: Vec<EarlyFile>,
}

impl<'a> Hand<'a> {
    pub(super) fn new(placer: &'a Placer<'a>) -> Self {
        Hand { placer, open: None, files: Vec::new() }
    }

    /// Write a blob wherever it is wanted.
    pub(super) fn place(&mut self, id: ObjectId, content: &[u8]) -> io::Result<()> {
        let targets = self.placer.plan()?.take(id, Some(content));
        for target in targets {
            self.write(id, &target, content)?;
        }
        Ok(())
    }

    /// A path that is taken, or below a file, is left to the checkout, which says with what it clashes.
    fn write(&mut self, id: ObjectId, target: &Target, content: &[u8]) -> io::Result<()> {
        self.placer.interrupt.check()?;
        self.enter(target.dir)?;
        let Some((_, path, dir)) = &self.open else { return Ok(()) };
        self.placer.admit(path, &target.name, content.len() as u64)?;
        let named = self.placer.named(path, &target.name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if target.is_executable { 0o777 } else { 0o666 });
        let mut file: std::fs::File = match openat(dir, to_path(target.name.as_bstr()), flags, mode) {
            Ok(file) => file.into(),
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NAMETOOLONG) => return Ok(()),
            Err(err) => return Err(named(err)),
        };
        file.write_all(content).map_err(|err| rustix::io::Errno::from_io_error(&err).map_or(err, &named))?;
        let stat = index_stat(&fstat(&file).map_err(named)?);
        self.note(id, target, stat);
        Ok(())
    }

    fn note(&mut self, id: ObjectId, target: &Target, stat: gix::index::entry::Stat) {
        let Some((_, dir, _)) = &self.open else { return };
        let mut path = dir.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&target.name);
        self.files.push(EarlyFile { path, id, is_executable: target.is_executable, stat });
    }

    /// Work in a directory from now on; in none where it clashes with a file.
    fn enter(&mut self, dir: DirId) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(known, ..)| *known == dir) {
            return Ok(());
        }
        let path = self.placer.plan()?.path(dir);
        let opened = if path.is_empty() { self.placer.root.try_clone() } else { self.open_dir(&path) };
        self.open = match opened {
            Ok(opened) => Some((dir, path, opened)),
            Err(err) if is_clash(&err) => None,
            Err(err) => return Err(err),
        };
        Ok(())
    }

    /// Nothing but directories was made so far, so a path leads nowhere else.
    fn open_dir(&self, path: &BString) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&self.placer.root, to_path(path.as_bstr()), flags, Mode::empty());
        match open() {
            Err(rustix::io::Errno::NOENT) => {
                fs_err::create_dir_all(self.placer.tree_dir.join(to_path(path.as_bstr())))?;
                open().map_err(io::Error::from)
            }
            opened => opened.map_err(io::Error::from),
        }
    }
}

fn is_clash(err: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, NotADirectory};
    matches!(err.kind(), AlreadyExists | InvalidFilename | NotADirectory)
}

/// A blob that goes to disk before anybody knows its name.
struct Large {
    path: PathBuf,
    size: u64,
    /// None where it is larger than a file may be: then nothing of the tree may have its name.
    file: Option<fs_err::File>,
    hasher: Hasher,
}

impl Large {
    fn begin(placer: &Placer<'_>, size: u64) -> io::Result<Large> {
        // Where nothing of the tree can be; the file that belongs there is written last of all.
        let path = placer.tree_dir.join(".git");
        let may_be = placer.limits.check_blob(size, &path).is_ok();
        let file = may_be.then(|| fs_err::File::create(&path)).transpose()?;
        let mut hasher = gix::hash::hasher(placer.kind);
        hasher.update(&gix::objs::encode::loose_header(gix::objs::Kind::Blob, size));
        Ok(Large { path, size, file, hasher })
    }

    fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(piece))
    }

    /// Give it its name, or leave it to the checkout.
    fn end(self, hand: &mut Hand<'_>) -> io::Result<ObjectId> {
        let id = self.hasher.clone().try_finalize().map_err(io::Error::other)?;
        let target = hand.placer.plan()?.take(id, None).into_iter().next();
        let target = match target {
            Some(target) if self.link(&target, hand)? => Some(target),
            _ => None,
        };
        if self.file.is_some() {
            fs_err::remove_file(&self.path)?;
        }
        if let (Some(target), Some((_, _, dir))) = (target, &hand.open) {
            // Only now: the last link that goes changes the stat, too.
            let found = statat(dir, to_path(target.name.as_bstr()), AtFlags::SYMLINK_NOFOLLOW)?;
            hand.note(id, &target, index_stat(&found));
        }
        Ok(id)
    }

    fn link(&self, target: &Target, hand: &mut Hand<'_>) -> io::Result<bool> {
        hand.enter(target.dir)?;
        let Some((_, path, dir)) = &hand.open else { return Ok(false) };
        hand.placer.admit(path, &target.name, self.size)?;
        if let Some(file) = self.file.as_ref().filter(|_| target.is_executable) {
            let mode = file.metadata()?.permissions().mode();
            file.set_permissions(Permissions::from_mode(executable(mode)))?;
        }
        Ok(linkat(CWD, &self.path, dir.as_fd(), to_path(target.name.as_bstr()), AtFlags::empty()).is_ok())
    }
}
