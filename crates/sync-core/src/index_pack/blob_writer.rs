//! Blobs become files.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard};

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::hash::Hasher;
use gix::objs::Kind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, linkat, openat, statat};

use super::plan::{DirId, Plan, PlannedPath};
use super::{PackReceiver, StreamTarget, hash};
use crate::fetched::StreamedFile;
use crate::objects::content::{Content, Spill};
use crate::worktree::entry::{executable, index_stat, to_path};

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
pub(super) type Placed = (Vec<(usize, ObjectId)>, Vec<StreamedFile>);

pub(super) struct BlobWriter<'a> {
    pack_receiver: &'a PackReceiver<'a>,
    /// Where files are wanted, if they are.
    checkout_dir: Option<CheckoutDir<'a>>,
}

struct CheckoutDir<'a> {
    tree: StreamTarget<'a>,
    root: OwnedFd,
    plan: Mutex<Plan>,
    /// Bytes of the files written so far.
    written: AtomicU64,
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(pack_receiver: &'a PackReceiver<'a>) -> io::Result<Self> {
        let room = pack_receiver.resources.pending_tree_bytes();
        let checkout_dir = pack_receiver.tree.map(|tree| CheckoutDir::open(tree, room)).transpose()?;
        Ok(BlobWriter { pack_receiver, checkout_dir })
    }

    /// A commit or tree has come.
    pub(super) fn add_object(&self, kind: Kind, id: ObjectId, body: &[u8]) -> io::Result<()> {
        self.checkout_dir.as_ref().map_or(Ok(()), |checkout_dir| {
            checkout_dir.plan()?.add_object(kind, id, body);
            Ok(())
        })
    }

    /// Do what comes until nothing more does.
    pub(super) fn run(&self, work: Receiver<Work>, used: &SyncSender<Vec<u8>>) -> io::Result<Placed> {
        let mut ids = Vec::new();
        let mut cursor = DirCursor::new(self);
        let mut large = None;
        for work in work {
            self.pack_receiver.interrupt.check()?;
            match work {
                Work::Batch { bytes, blobs } => {
                    for blob in blobs {
                        let content = &bytes[blob.start..blob.end];
                        let id = hash(self.pack_receiver.hash, Kind::Blob, content)?;
                        ids.push((blob.at, id));
                        cursor.place(id, content)?;
                    }
                    let _ = used.try_send(bytes);
                }
                Work::Begin { at, size } => {
                    large = Some((at, self.begin(size)?));
                }
                Work::Piece(piece) => {
                    if let Some((_, large)) = &mut large {
                        large.add(&piece)?;
                    }
                    let _ = used.try_send(piece);
                }
                Work::End => {
                    if let Some((at, large)) = large.take() {
                        ids.push((at, large.end(&mut cursor)?));
                    }
                }
            }
        }
        Ok((ids, cursor.files))
    }

    /// A large blob comes. It is written only where it may be a file of the tree.
    fn begin(&self, size: u64) -> io::Result<Large> {
        let may_be_file = self.checkout_dir.as_ref().is_some_and(|checkout_dir| {
            checkout_dir.tree.limits.check_blob(size, checkout_dir.tree.dir).is_ok()
        });
        let spill = may_be_file.then(|| Spill::create(&self.pack_receiver.pack_dir)).transpose()?;
        Ok(Large { size, spill, hasher: hasher(self.pack_receiver.hash, Kind::Blob, size) })
    }
}

/// For an object that comes in pieces.
pub(super) fn hasher(hash: gix::hash::Kind, kind: Kind, size: u64) -> Hasher {
    let mut hasher = gix::hash::hasher(hash);
    hasher.update(&gix::objs::encode::loose_header(kind, size));
    hasher
}

/// A large blob that is on its way.
struct Large {
    size: u64,
    spill: Option<Spill>,
    hasher: Hasher,
}

impl Large {
    fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.spill.as_mut().map_or(Ok(()), |spill| spill.add(piece))
    }

    fn end(self, cursor: &mut DirCursor<'_>) -> io::Result<ObjectId> {
        let id = self.hasher.try_finalize().map_err(io::Error::other)?;
        match self.spill {
            Some(spill) => _ = cursor.place_large(id, spill)?,
            None => cursor.refuse(id, self.size)?,
        }
        Ok(id)
    }
}

impl<'a> CheckoutDir<'a> {
    fn open(tree: StreamTarget<'a>, room: u64) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, tree.dir, flags, Mode::empty()).map_err(|err| {
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("open {}: {err}", tree.dir.display()))
        })?;
        let plan = Mutex::new(Plan::new(tree.commit, room));
        Ok(CheckoutDir { tree, root, plan, written: AtomicU64::new(0) })
    }

    /// Another file is to be written.
    fn admit(&self, dir: &BString, name: &BString, size: u64) -> io::Result<()> {
        let limits = self.tree.limits;
        limits.check_blob(size, to_path(dir.as_bstr()).join(to_path(name.as_bstr())))?;
        Ok(limits.check_tree(size + self.written.fetch_add(size, Ordering::Relaxed))?)
    }

    fn plan(&self) -> io::Result<MutexGuard<'_, Plan>> {
        self.plan.lock().map_err(|_| io::Error::other("a thread died"))
    }

    /// A file in a directory of the tree, made if need be.
    fn named(&self, dir: &BString, name: &BString) -> impl Fn(rustix::io::Errno) -> io::Error {
        move |err| {
            let path = self.tree.dir.join(to_path(dir.as_bstr())).join(to_path(name.as_bstr()));
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("write {}: {err}", path.display()))
        }
    }

    /// Nothing but directories was made so far, so a path leads nowhere else.
    fn open_dir(&self, path: &BString) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&self.root, to_path(path.as_bstr()), flags, Mode::empty());
        match open() {
            Err(rustix::io::Errno::NOENT) => {
                fs_err::create_dir_all(self.tree.dir.join(to_path(path.as_bstr())))?;
                open().map_err(io::Error::from)
            }
            opened => opened.map_err(io::Error::from),
        }
    }
}

/// One thread's cursor: the directory it works in, and what it wrote.
pub(super) struct DirCursor<'a> {
    blob_writer: &'a BlobWriter<'a>,
    open: Option<(DirId, BString, OwnedFd)>,
    pub(super) files: Vec<StreamedFile>,
}

impl<'a> DirCursor<'a> {
    pub(super) fn new(blob_writer: &'a BlobWriter<'a>) -> Self {
        DirCursor { blob_writer, open: None, files: Vec::new() }
    }

    /// Write a blob wherever it is wanted.
    pub(super) fn place(&mut self, id: ObjectId, content: &[u8]) -> io::Result<()> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return Ok(()) };
        let targets = checkout_dir.plan()?.take(id, Some(content));
        for target in targets {
            self.write(checkout_dir, id, &target, content)?;
        }
        Ok(())
    }

    /// A path that is taken, or below a file, is left to the checkout, which says with what it clashes.
    fn write(
        &mut self,
        checkout_dir: &CheckoutDir<'_>,
        id: ObjectId,
        target: &PlannedPath,
        content: &[u8],
    ) -> io::Result<()> {
        self.blob_writer.pack_receiver.interrupt.check()?;
        self.enter(checkout_dir, target.dir)?;
        let Some((_, path, dir)) = &self.open else { return Ok(()) };
        checkout_dir.admit(path, &target.name, content.len() as u64)?;
        let named = checkout_dir.named(path, &target.name);
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

    /// Give a large blob one of the names that are wanted; the others are left to the checkout.
    pub(super) fn place_large(&mut self, id: ObjectId, spill: Spill) -> io::Result<Content> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return spill.into_content() };
        let target = checkout_dir.plan()?.take(id, None).into_iter().next();
        let target = match target {
            Some(target) if self.link(checkout_dir, &target, &spill)? => Some(target),
            _ => None,
        };
        let content = spill.into_content()?;
        if let (Some(target), Some((_, _, dir))) = (target, &self.open) {
            // Only now: the last link that goes changes the stat, too.
            let found = statat(dir, to_path(target.name.as_bstr()), AtFlags::SYMLINK_NOFOLLOW)?;
            self.note(id, &target, index_stat(&found));
        }
        Ok(content)
    }

    /// Nothing of the tree may be a blob that is larger than a file may be.
    fn refuse(&mut self, id: ObjectId, size: u64) -> io::Result<()> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return Ok(()) };
        let targets = checkout_dir.plan()?.take(id, None);
        let Some(target) = targets.first() else { return Ok(()) };
        let dir = checkout_dir.plan()?.path(target.dir);
        checkout_dir.admit(&dir, &target.name, size)
    }

    fn link(
        &mut self,
        checkout_dir: &CheckoutDir<'_>,
        target: &PlannedPath,
        spill: &Spill,
    ) -> io::Result<bool> {
        self.enter(checkout_dir, target.dir)?;
        let Some((_, path, dir)) = &self.open else { return Ok(false) };
        checkout_dir.admit(path, &target.name, spill.size)?;
        if target.is_executable {
            let mode = spill.file.metadata()?.permissions().mode();
            spill.file.set_permissions(Permissions::from_mode(executable(mode)))?;
        }
        Ok(linkat(CWD, &spill.path, dir.as_fd(), to_path(target.name.as_bstr()), AtFlags::empty()).is_ok())
    }

    fn note(&mut self, id: ObjectId, target: &PlannedPath, stat: gix::index::entry::Stat) {
        let Some((_, dir, _)) = &self.open else { return };
        let mut path = dir.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&target.name);
        self.files.push(StreamedFile { path, id, is_executable: target.is_executable, stat });
    }

    /// Work in a directory from now on; in none where it clashes with a file.
    fn enter(&mut self, checkout_dir: &CheckoutDir<'_>, dir: DirId) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(known, ..)| *known == dir) {
            return Ok(());
        }
        let path = checkout_dir.plan()?.path(dir);
        let opened =
            if path.is_empty() { checkout_dir.root.try_clone() } else { checkout_dir.open_dir(&path) };
        self.open = match opened {
            Ok(opened) => Some((dir, path, opened)),
            Err(err) if is_clash(&err) => None,
            Err(err) => return Err(err),
        };
        Ok(())
    }
}

fn is_clash(err: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, NotADirectory};
    matches!(err.kind(), AlreadyExists | InvalidFilename | NotADirectory)
}
