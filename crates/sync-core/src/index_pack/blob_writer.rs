//! Writing blobs as files of the tree.

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
use crate::objects::pack_index::ObjectIndex;
use crate::worktree::entry::{executable, index_stat, to_path};

/// A message to the writer thread.
pub(super) enum WriterMessage {
    /// Small blobs, one after the other.
    Batch {
        bytes: Vec<u8>,
        blobs: Vec<Blob>,
    },
    /// The start of a large blob. Its pieces and an end follow.
    Begin {
        at: ObjectIndex,
        size: u64,
    },
    Piece(Vec<u8>),
    End,
}

/// A blob in a batch.
pub(super) struct Blob {
    pub(super) at: ObjectIndex,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The ids of objects, and the files that were written.
pub(super) type Written = (Vec<(ObjectIndex, ObjectId)>, Vec<StreamedFile>);

/// Hashes blobs, and writes those that are files of the tree.
pub(super) struct BlobWriter<'a> {
    pack_receiver: &'a PackReceiver<'a>,
    /// `None` if no files are written.
    checkout_dir: Option<CheckoutDir<'a>>,
}

/// The directory that files are written to.
struct CheckoutDir<'a> {
    tree: StreamTarget<'a>,
    root: OwnedFd,
    plan: Mutex<Plan>,
    /// The total size of the files so far, in bytes.
    written: AtomicU64,
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(pack_receiver: &'a PackReceiver<'a>) -> io::Result<Self> {
        let pending_tree_bytes = pack_receiver.resources.pending_tree_bytes();
        let checkout_dir =
            pack_receiver.tree.map(|tree| CheckoutDir::open(tree, pending_tree_bytes)).transpose()?;
        Ok(BlobWriter { pack_receiver, checkout_dir })
    }

    /// Add a commit or tree to the plan.
    pub(super) fn add_object(&self, kind: Kind, id: ObjectId, body: &[u8]) -> io::Result<()> {
        self.checkout_dir.as_ref().map_or(Ok(()), |checkout_dir| {
            checkout_dir.plan()?.add_object(kind, id, body);
            Ok(())
        })
    }

    /// The paths of the directories of sorted files.
    pub(super) fn dirs(&self, files: &[StreamedFile]) -> io::Result<Vec<BString>> {
        let Some(checkout_dir) = &self.checkout_dir else { return Ok(Vec::new()) };
        let plan = checkout_dir.plan()?;
        Ok(files.chunk_by(|a, b| a.dir == b.dir).map(|files| plan.path(files[0].dir)).collect())
    }

    /// Process messages until the sender is dropped. Buffers that are no longer needed go to `used`.
    pub(super) fn run(
        &self,
        messages: Receiver<WriterMessage>,
        used: &SyncSender<Vec<u8>>,
    ) -> io::Result<Written> {
        let mut ids = Vec::new();
        let mut cursor = DirCursor::new(self);
        let mut large = None;
        for message in messages {
            self.pack_receiver.interrupt.check()?;
            match message {
                WriterMessage::Batch { bytes, blobs } => {
                    for blob in blobs {
                        let content = &bytes[blob.start..blob.end];
                        let id = hash(self.pack_receiver.hash, Kind::Blob, content)?;
                        ids.push((blob.at, id));
                        cursor.write_blob(id, content)?;
                    }
                    let _ = used.try_send(bytes);
                }
                WriterMessage::Begin { at, size } => {
                    large = Some((at, self.begin(size)?));
                }
                WriterMessage::Piece(piece) => {
                    if let Some((_, large)) = &mut large {
                        large.add(&piece)?;
                    }
                    let _ = used.try_send(piece);
                }
                WriterMessage::End => {
                    if let Some((at, large)) = large.take() {
                        ids.push((at, large.end(&mut cursor)?));
                    }
                }
            }
        }
        Ok((ids, cursor.files))
    }

    /// Begin a large blob. It is stored only if it is small enough to be a file of the tree.
    fn begin(&self, size: u64) -> io::Result<Large> {
        let may_be_file = self.checkout_dir.as_ref().is_some_and(|checkout_dir| {
            checkout_dir.tree.limits.check_blob(size, checkout_dir.tree.dir).is_ok()
        });
        let spill = may_be_file.then(|| Spill::create(&self.pack_receiver.pack_dir)).transpose()?;
        Ok(Large { size, spill, hasher: hasher(self.pack_receiver.hash, Kind::Blob, size) })
    }
}

/// A hasher for the id of an object that arrives in pieces.
pub(super) fn hasher(hash: gix::hash::Kind, kind: Kind, size: u64) -> Hasher {
    let mut hasher = gix::hash::hasher(hash);
    hasher.update(&gix::objs::encode::loose_header(kind, size));
    hasher
}

/// A large blob that is arriving.
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
            Some(spill) => _ = cursor.link_large(id, spill)?,
            None => cursor.check_refused(id, self.size)?,
        }
        Ok(id)
    }
}

impl<'a> CheckoutDir<'a> {
    fn open(tree: StreamTarget<'a>, pending_tree_bytes: u64) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, tree.dir, flags, Mode::empty()).map_err(|err| {
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("open {}: {err}", tree.dir.display()))
        })?;
        let plan =
            Mutex::new(Plan::new(tree.commit, tree.limits.files, pending_tree_bytes, tree.leaves_pointers));
        Ok(CheckoutDir { tree, root, plan, written: AtomicU64::new(0) })
    }

    /// Check a file against the limits, and count it.
    fn admit(&self, dir: &BString, name: &BString, size: u64) -> io::Result<()> {
        let limits = self.tree.limits;
        limits.check_blob(size, to_path(dir.as_bstr()).join(to_path(name.as_bstr())))?;
        Ok(limits.check_tree(size + self.written.fetch_add(size, Ordering::Relaxed))?)
    }

    fn plan(&self) -> io::Result<MutexGuard<'_, Plan>> {
        self.plan.lock().map_err(|_| io::Error::other("a thread panicked"))
    }

    /// Turns an error into one that names a file.
    fn path_error(&self, dir: &BString, name: &BString) -> impl Fn(rustix::io::Errno) -> io::Error {
        move |err| {
            let path = self.tree.dir.join(to_path(dir.as_bstr())).join(to_path(name.as_bstr()));
            let err = io::Error::from(err);
            io::Error::new(err.kind(), format!("write {}: {err}", path.display()))
        }
    }

    /// Open a directory of the tree, and create it if it does not exist. No symbolic links exist yet, so the path
    /// cannot lead outside of the tree.
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

/// The state of one writing thread: its current directory, and the files it wrote.
pub(super) struct DirCursor<'a> {
    blob_writer: &'a BlobWriter<'a>,
    open: Option<(DirId, BString, OwnedFd)>,
    pub(super) files: Vec<StreamedFile>,
}

impl<'a> DirCursor<'a> {
    pub(super) fn new(blob_writer: &'a BlobWriter<'a>) -> Self {
        DirCursor { blob_writer, open: None, files: Vec::new() }
    }

    /// Write a blob to all of its paths.
    pub(super) fn write_blob(&mut self, id: ObjectId, content: &[u8]) -> io::Result<()> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return Ok(()) };
        let targets = checkout_dir.plan()?.take(id, Some(content));
        for target in targets {
            self.write(checkout_dir, &target, content)?;
        }
        Ok(())
    }

    /// Write one file. Skip a path that exists or is below a file: the checkout reports the clash.
    fn write(
        &mut self,
        checkout_dir: &CheckoutDir<'_>,
        target: &PlannedPath,
        content: &[u8],
    ) -> io::Result<()> {
        self.blob_writer.pack_receiver.interrupt.check()?;
        self.enter(checkout_dir, target.dir)?;
        let Some((_, path, dir)) = &self.open else { return Ok(()) };
        checkout_dir.admit(path, &target.name, content.len() as u64)?;
        let path_error = checkout_dir.path_error(path, &target.name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if target.is_executable { 0o777 } else { 0o666 });
        let mut file: std::fs::File = match openat(dir, to_path(target.name.as_bstr()), flags, mode) {
            Ok(file) => file.into(),
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NAMETOOLONG) => return Ok(()),
            Err(err) => return Err(path_error(err)),
        };
        file.write_all(content)
            .map_err(|err| rustix::io::Errno::from_io_error(&err).map_or(err, &path_error))?;
        let stat = index_stat(&fstat(&file).map_err(path_error)?);
        self.record(target, stat);
        Ok(())
    }

    /// Link a large blob to the first of its paths. The checkout writes the others.
    pub(super) fn link_large(&mut self, id: ObjectId, spill: Spill) -> io::Result<Content> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return spill.into_content() };
        let target = checkout_dir.plan()?.take(id, None).into_iter().next();
        let target = match target {
            Some(target) if self.link(checkout_dir, &target, &spill)? => Some(target),
            _ => None,
        };
        let content = spill.into_content()?;
        if let (Some(target), Some((_, _, dir))) = (target, &self.open) {
            // Stat the file only now: removing the temporary name changes its ctime.
            let found = statat(dir, to_path(target.name.as_bstr()), AtFlags::SYMLINK_NOFOLLOW)?;
            self.record(&target, index_stat(&found));
        }
        Ok(content)
    }

    /// Fail with the error of the limit if a blob that is too large for a file is a file of the tree.
    fn check_refused(&mut self, id: ObjectId, size: u64) -> io::Result<()> {
        let Some(checkout_dir) = &self.blob_writer.checkout_dir else { return Ok(()) };
        let targets = checkout_dir.plan()?.take(id, None);
        let Some(target) = targets.first() else { return Ok(()) };
        let dir = checkout_dir.plan()?.path(target.dir);
        checkout_dir.admit(&dir, &target.name, size)
    }

    /// Hard-link a temporary file into the tree. False if that is not possible.
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

    /// Record a file that was written.
    fn record(&mut self, target: &PlannedPath, stat: gix::index::entry::Stat) {
        self.files.push(StreamedFile { dir: target.dir, number: target.number, stat });
    }

    /// Make `dir` the current directory. There is none afterwards if a file is in the way.
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
