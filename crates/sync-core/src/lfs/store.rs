//! The objects on disk, laid out as git-lfs has them: `objects/<oid[0..2]>/<oid[2..4]>/<oid>` and, while they arrive,
//! `incomplete/<oid>.part`.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fs_err::File;
use gix::hash::{Hasher, Kind};

use super::{LfsObject, Oid};
use crate::fs_ext::{entries, if_there, remove_if_there};
use crate::interrupt::Interrupt;

/// How many bytes are read or written at once.
const PIECE: usize = 64 << 10;

/// Read to the end in pieces, unless `take` answers false. The answer is whether it never did.
pub(crate) fn for_each_piece(
    mut reader: impl Read,
    interrupt: &Interrupt,
    mut take: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut piece = vec![0; PIECE];
    loop {
        interrupt.check()?;
        match reader.read(&mut piece)? {
            0 => return Ok(true),
            read if !take(&piece[..read])? => return Ok(false),
            _ => {}
        }
    }
}

/// The directory of objects of one repository.
#[derive(Clone, Debug)]
pub(crate) struct LfsStore {
    dir: PathBuf,
}

impl LfsStore {
    /// The store in the directory of a repository.
    pub(crate) fn of(git: &Path) -> Self {
        LfsStore { dir: git.join("lfs") }
    }

    /// The path of an object, whether it exists or not.
    pub(crate) fn path(&self, oid: Oid) -> PathBuf {
        let name = oid.to_string();
        self.dir.join("objects").join(&name[..2]).join(&name[2..4]).join(&name)
    }

    fn part(&self, oid: Oid) -> PathBuf {
        self.dir.join("incomplete").join(format!("{oid}.part"))
    }

    /// Create the directories.
    pub(crate) fn create(&self) -> io::Result<()> {
        [&self.dir, &self.dir.join("objects"), &self.dir.join("incomplete")].into_iter().try_for_each(own_dir)
    }

    /// Create the directory of an object.
    fn create_for(&self, oid: Oid) -> io::Result<()> {
        let path = self.path(oid);
        let inner = path.parent().unwrap_or(&path);
        [inner.parent().unwrap_or(inner), inner].into_iter().try_for_each(own_dir)
    }

    /// Whether the object's path leads through no symbolic link.
    fn leads_to(&self, oid: Oid) -> bool {
        let path = self.path(oid);
        let dirs = path.ancestors().skip(1).take(4);
        dirs.into_iter().all(|dir| fs_err::symlink_metadata(dir).is_ok_and(|found| found.is_dir()))
    }

    /// Whether the object is there with its content. `is_known` says whether its file was verified otherwise; if not,
    /// it is hashed. A file with other content is removed: others can alter it through a published tree.
    pub(crate) fn has(
        &self,
        object: &LfsObject,
        is_known: impl FnOnce(&rustix::fs::Stat) -> bool,
        interrupt: &Interrupt,
    ) -> io::Result<bool> {
        let path = self.path(object.oid);
        if !self.leads_to(object.oid) {
            return Ok(false);
        }
        let Some(file) = open(&path)? else { return Ok(false) };
        let found = rustix::fs::fstat(&file)?;
        let has_size = file.metadata()?.is_file() && file.metadata()?.len() == object.size;
        if has_size && (is_known(&found) || hash(file, interrupt)? == Some(object.oid)) {
            return Ok(true);
        }
        fs_err::remove_file(&path)?;
        Ok(false)
    }

    /// Remove the parts of all objects but those in `wanted`.
    pub(crate) fn keep_parts(&self, wanted: &HashSet<Oid>) -> io::Result<()> {
        for entry in entries(&self.dir.join("incomplete"))? {
            let entry = entry?;
            let name = entry.file_name();
            let oid = name.to_str().and_then(|name| name.strip_suffix(".part")).and_then(Oid::from_hex);
            if !oid.is_some_and(|oid| wanted.contains(&oid)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Remove the objects that no tree links to, but those in `copied`, which trees have copies of.
    pub(crate) fn prune(&self, copied: &HashSet<Oid>) -> io::Result<()> {
        for outer in dirs(&self.dir.join("objects"))? {
            for inner in dirs(&outer)? {
                let mut has_removed = false;
                for entry in entries(&inner)? {
                    let entry = entry?;
                    let oid = entry.file_name().to_str().and_then(Oid::from_hex);
                    let is_used =
                        oid.is_some_and(|oid| copied.contains(&oid)) || entry.metadata()?.nlink() > 1;
                    if !is_used {
                        fs_err::remove_file(entry.path())?;
                        has_removed = true;
                    }
                }
                if has_removed {
                    let _ = fs_err::remove_dir(&inner).and_then(|()| fs_err::remove_dir(&outer)); // they may have others
                }
            }
        }
        Ok(())
    }

    /// Begin or resume an object.
    pub(crate) fn begin(&self, object: &LfsObject, interrupt: &Interrupt) -> io::Result<Part> {
        let path = self.part(object.oid);
        if if_there(fs_err::symlink_metadata(&path))?.is_some_and(|found| !found.is_file()) {
            remove(&path)?;
        }
        let mut file = fs_err::OpenOptions::new();
        file.read(true).append(true).create(true);
        file.options_mut().custom_flags(NO_FOLLOW);
        let file = file.open(&path)?;
        let mut part = Part { path, store: self.clone(), file, object: *object, hasher: sha256(), length: 0 };
        part.read_again(interrupt)?;
        Ok(part)
    }
}

const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Open a file; `None` if there is none. What is no file is removed.
fn open(path: &Path) -> io::Result<Option<File>> {
    match if_there(fs_err::symlink_metadata(path))? {
        None => Ok(None),
        Some(found) if !found.is_file() => remove(path).map(|()| None),
        Some(_) => {
            let mut options = fs_err::OpenOptions::new();
            options.read(true).options_mut().custom_flags(NO_FOLLOW);
            options.open(path).map(Some)
        }
    }
}

/// The directories in a directory. Symbolic links are none.
fn dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in entries(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        }
    }
    Ok(dirs)
}

/// Remove whatever has this name.
fn remove(path: &Path) -> io::Result<()> {
    match fs_err::symlink_metadata(path)?.is_dir() {
        true => fs_err::remove_dir_all(path),
        false => fs_err::remove_file(path),
    }
}

/// Create a directory. A symbolic link in its place would lead elsewhere, and is removed.
fn own_dir(dir: impl AsRef<Path>) -> io::Result<()> {
    let dir = dir.as_ref();
    match if_there(fs_err::symlink_metadata(dir))? {
        Some(found) if found.is_dir() => return Ok(()),
        Some(_) => fs_err::remove_file(dir)?,
        None => {}
    }
    // Another thread may be as fast.
    fs_err::create_dir_all(dir)
}

pub(crate) fn sha256() -> Hasher {
    gix::hash::hasher(Kind::Sha256)
}

pub(crate) fn finish(hasher: Hasher) -> io::Result<Option<Oid>> {
    Ok(Oid::of_digest(&hasher.try_finalize().map_err(io::Error::other)?))
}

/// The id of a file's content.
fn hash(file: File, interrupt: &Interrupt) -> io::Result<Option<Oid>> {
    let mut hasher = sha256();
    for_each_piece(file, interrupt, |piece| {
        hasher.update(piece);
        Ok(true)
    })?;
    finish(hasher)
}

/// An object that is arriving. What has arrived stays for the next attempt if it is dropped.
pub(crate) struct Part {
    path: PathBuf,
    store: LfsStore,
    file: File,
    object: LfsObject,
    hasher: Hasher,
    length: u64,
}

impl Part {
    /// How many bytes are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are missing.
    pub(crate) fn rest(&self) -> u64 {
        self.object.size - self.length
    }

    /// Hash what an earlier attempt left.
    fn read_again(&mut self, interrupt: &Interrupt) -> io::Result<()> {
        let Part { file, object, hasher, length, .. } = self;
        let is_no_longer = for_each_piece(&*file, interrupt, |piece| {
            hasher.update(piece);
            *length += piece.len() as u64;
            Ok(*length <= object.size)
        })?;
        if is_no_longer { Ok(()) } else { self.restart() }
    }

    /// Begin from the start.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.hasher, self.length) = (sha256(), 0);
        Ok(())
    }

    /// Add the next piece of the content. False if it is longer than the object.
    pub(crate) fn add(&mut self, piece: &[u8]) -> io::Result<bool> {
        if piece.len() as u64 > self.rest() {
            return Ok(false);
        }
        self.file.write_all(piece)?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(true)
    }

    /// Give a complete object its name. False if the content is another one; then the part is removed.
    pub(crate) fn finish(self) -> io::Result<bool> {
        if self.rest() > 0 || finish(self.hasher)? != Some(self.object.oid) {
            fs_err::remove_file(&self.path)?;
            return Ok(false);
        }
        self.store.create_for(self.object.oid)?;
        fs_err::rename(&self.path, self.store.path(self.object.oid))?;
        Ok(true)
    }

    /// Remove it.
    pub(crate) fn discard(self) -> io::Result<()> {
        remove_if_there(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(content: &[u8]) -> LfsObject {
        let mut hasher = sha256();
        hasher.update(content);
        LfsObject { oid: finish(hasher).unwrap().unwrap(), size: content.len() as u64 }
    }

    #[test]
    fn an_object_is_resumed_and_gets_its_name_only_with_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let (store, interrupt) = (LfsStore::of(dir.path()), Interrupt::new());
        store.create().unwrap();
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let object = object(&content);
        let mut part = store.begin(&object, &interrupt).unwrap();
        assert!(part.add(&content[..100_000]).unwrap());
        drop(part);
        let mut part = store.begin(&object, &interrupt).unwrap();
        assert_eq!((part.length(), part.rest()), (100_000, 700_000));
        assert!(part.add(&content[100_000..]).unwrap());
        assert!(!part.add(b"x").unwrap(), "more than the object has");
        assert!(part.finish().unwrap());
        assert!(store.has(&object, |_| false, &interrupt).unwrap());

        // Somebody wrote to it through a published tree.
        fs_err::write(store.path(object.oid), &content[1..]).unwrap();
        assert!(!store.has(&object, |_| true, &interrupt).unwrap(), "its size differs");
        let mut other = content.clone();
        other[0] ^= 1;
        fs_err::write(store.path(object.oid), &other).unwrap();
        assert!(store.has(&object, |_| true, &interrupt).unwrap(), "it is vouched for");
        assert!(!store.has(&object, |_| false, &interrupt).unwrap());
        assert!(!store.path(object.oid).exists());

        let mut part = store.begin(&object, &interrupt).unwrap();
        assert!(part.add(&other).unwrap());
        assert!(!part.finish().unwrap(), "other content");
        assert_eq!(entries(&dir.path().join("lfs/incomplete")).unwrap().count(), 0);
    }

    #[test]
    fn what_no_tree_uses_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (store, interrupt) = (LfsStore::of(dir.path()), Interrupt::new());
        store.create().unwrap();
        let objects = [&b"a"[..], b"b", b"c"].map(object);
        for (object, content) in objects.iter().zip([b"a", b"b", b"c"]) {
            let mut part = store.begin(object, &interrupt).unwrap();
            assert!(part.add(content).unwrap() && part.finish().unwrap());
        }
        fs_err::hard_link(store.path(objects[0].oid), dir.path().join("tree-file")).unwrap();
        store.prune(&HashSet::from([objects[1].oid])).unwrap();
        assert_eq!(objects.map(|object| store.path(object.oid).exists()), [true, true, false]);
        store.begin(&objects[2], &interrupt).unwrap().add(b"c").unwrap();
        store.keep_parts(&HashSet::from([objects[2].oid])).unwrap();
        assert_eq!(store.begin(&objects[2], &interrupt).unwrap().length(), 1);
        store.keep_parts(&HashSet::new()).unwrap();
        assert_eq!(store.begin(&objects[2], &interrupt).unwrap().length(), 0);
    }
}
