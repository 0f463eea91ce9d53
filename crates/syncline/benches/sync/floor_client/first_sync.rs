//! A first sync.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::{Kind as ObjectKind, TreeRefIter};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use sha1::Digest;
use sirocco::Format;
use sirocco::inflate::Decoder;

use super::pack::{Pack, Remote, apply, distance, inflate_at};
use super::{entry, hash, write_with_checksum};

/// An object of the pack.
struct Object {
    offset: u64,
    crc32: u32,
    id: ObjectId,
}

struct DeltaEntry {
    at: usize,
    base: Base,
    delta: Vec<u8>,
}

enum Base {
    Offset(u64),
    Id(ObjectId),
}

/// A file of the commit.
#[derive(Clone)]
struct Target {
    dir: usize,
    name: Vec<u8>,
    is_executable: bool,
}

/// Where everything goes, as far as the trees have come.
#[derive(Default)]
struct Plan {
    dirs: Vec<PathBuf>,
    trees: HashMap<ObjectId, Vec<PathBuf>>,
    early_trees: HashMap<ObjectId, Vec<u8>>,
    blobs: HashMap<ObjectId, Vec<Target>>,
}

impl Plan {
    fn expect(&mut self, id: ObjectId, path: PathBuf) {
        match self.early_trees.remove(&id) {
            Some(body) => self.add_dir(path, &body),
            None => self.trees.entry(id).or_default().push(path),
        }
    }

    fn add_tree(&mut self, id: ObjectId, body: Vec<u8>) {
        match self.trees.remove(&id) {
            Some(paths) => paths.into_iter().for_each(|path| self.add_dir(path, &body)),
            None => _ = self.early_trees.insert(id, body),
        }
    }

    fn add_dir(&mut self, path: PathBuf, body: &[u8]) {
        fs::create_dir_all(&path).unwrap();
        let dir = self.dirs.len();
        self.dirs.push(path.clone());
        for entry in TreeRefIter::from_bytes(body, Kind::Sha1) {
            let entry = entry.unwrap();
            if entry.mode.is_tree() {
                self.expect(entry.oid.to_owned(), path.join(str::from_utf8(entry.filename).unwrap()));
            } else {
                let target =
                    Target { dir, name: entry.filename.to_vec(), is_executable: entry.mode.is_executable() };
                self.blobs.entry(entry.oid.to_owned()).or_default().push(target);
            }
        }
    }
}
type Batch = (Vec<u8>, Vec<(usize, std::ops::Range<usize>)>);
pub(super) fn first_sync(remote: &Remote<'_>, dir: &Path) {
    let head = remote.head();
    fs::create_dir_all(dir.join("tree")).unwrap();
    let pack_file = fs::File::create_new(dir.join("pack")).unwrap();
    let mut pack = remote.pack(&[&format!("want {head}")]);
    let (to_disk, packets) = sync_channel(8);
    let (to_writer, batches) = sync_channel(8);
    let (used, unused) = sync_channel(16);
    pack.to_disk = Some(to_disk);
    let plan = Mutex::new(Plan::default());
    let (mut objects, deltas, mut entries) = std::thread::scope(|scope| {
        scope.spawn(|| store(&pack_file, packets));
        let writer = scope.spawn(|| write_files(&plan, batches, &used));
        let (mut objects, deltas) = read(pack, &plan, &dir.join("tree"), to_writer, &unused);
        let (ids, entries) = writer.join().unwrap();
        ids.into_iter().for_each(|(at, id)| objects[at].id = id);
        (objects, deltas, entries)
    });
    let pack_file = fs::File::open(dir.join("pack")).unwrap();
    resolve(&pack_file, &mut objects, deltas, &plan, &mut entries);
    write_pack_index(&dir.join("pack.idx"), &mut objects, &pack_file);
    write_tree_index(&dir.join("index"), &dir.join("tree"), entries);
    std::os::unix::fs::symlink("tree", dir.join("link")).unwrap();
}

fn read(
    mut pack: Pack,
    plan: &Mutex<Plan>,
    root: &Path,
    to_writer: SyncSender<Batch>,
    unused: &Receiver<Vec<u8>>,
) -> (Vec<Object>, Vec<DeltaEntry>) {
    const BATCH: usize = 256 * 1024;
    let count = u32::from_be_bytes(pack.take(12)[8..].try_into().unwrap()) as usize;
    let (mut objects, mut deltas) = (Vec::with_capacity(count), Vec::new());
    let (mut bytes, mut used, mut blobs) = (Vec::new(), 0, Vec::new());
    let mut decoder = Decoder::new(Format::Zlib);
    for at in 0..count {
        let offset = pack.offset();
        let mut id = ObjectId::null(Kind::Sha1);
        let (kind, size) = pack.header();
        match kind {
            3 => {
                pack.inflate_at(&mut decoder, &mut bytes, used, size);
                blobs.push((at, used..used + size));
                used += size;
                if used >= BATCH {
                    used = 0;
                    let next = unused.try_recv().unwrap_or_default();
                    to_writer
                        .send((std::mem::replace(&mut bytes, next), std::mem::take(&mut blobs)))
                        .unwrap();
                }
            }
            1 | 2 => {
                let body = pack.inflate(&mut decoder, size);
                id = hash(if kind == 1 { ObjectKind::Commit } else { ObjectKind::Tree }, &body);
                let mut plan = plan.lock().unwrap();
                if kind == 1 {
                    plan.expect(ObjectId::from_hex(&body[5..45]).unwrap(), root.to_owned());
                } else {
                    plan.add_tree(id, body);
                }
            }
            6 => {
                let base = Base::Offset(offset - distance(|| pack.byte()));
                let delta = pack.inflate(&mut decoder, size);
                deltas.push(DeltaEntry { at, base, delta });
            }
            7 => {
                let base = Base::Id(ObjectId::from_bytes_or_panic(&pack.take(20)));
                let delta = pack.inflate(&mut decoder, size);
                deltas.push(DeltaEntry { at, base, delta });
            }
            _ => panic!("an entry of kind {kind}"),
        }
        objects.push(Object { offset, crc32: pack.crc32.clone().finalize(), id });
    }
    to_writer.send((bytes, blobs)).unwrap();
    pack.take(20);
    pack.hand_over(Vec::new());
    (objects, deltas)
}

/// Write the pack to disk, and compute its checksum.
fn store(mut file: &fs::File, packets: Receiver<Vec<u8>>) {
    let (mut hasher, mut last) = (sha1::Sha1::new(), Vec::new());
    for packet in packets {
        file.write_all(&packet).unwrap();
        // The last 20 bytes of all may be the checksum itself.
        last.extend_from_slice(&packet[packet.len().saturating_sub(20)..]);
        let old = last.len().saturating_sub(20);
        hasher.update(&last[..old]);
        last.drain(..old);
        hasher.update(&packet[..packet.len().saturating_sub(20)]);
    }
    assert_eq!(hasher.finalize()[..], last[..], "the checksum of the pack");
}

/// A path and its entry in the index.
type Entry = (Vec<u8>, [u8; 62]);

/// Hash the blobs, and write their files.
fn write_files(
    plan: &Mutex<Plan>,
    batches: Receiver<Batch>,
    used: &SyncSender<Vec<u8>>,
) -> (Vec<(usize, ObjectId)>, Vec<Entry>) {
    let (mut ids, mut entries, mut open) = (Vec::new(), Vec::new(), None);
    let mut early = HashMap::new();
    for (bytes, blobs) in batches {
        for (at, range) in blobs {
            let id = hash(ObjectKind::Blob, &bytes[range.clone()]);
            ids.push((at, id));
            if !write_blob(plan, id, &bytes[range.clone()], &mut open, &mut entries) {
                early.insert(id, bytes[range].to_vec());
            }
        }
        let _ = used.try_send(bytes);
    }
    for (id, content) in early {
        write_blob(plan, id, &content, &mut open, &mut entries);
    }
    (ids, entries)
}

/// Write a blob to all of its paths. False if none is known yet.
fn write_blob(
    plan: &Mutex<Plan>,
    id: ObjectId,
    content: &[u8],
    open: &mut Option<(usize, PathBuf, OwnedFd)>,
    entries: &mut Vec<Entry>,
) -> bool {
    let Some(targets) = plan.lock().unwrap().blobs.remove(&id) else { return false };
    for target in targets {
        if open.as_ref().is_none_or(|(dir, ..)| *dir != target.dir) {
            let path = plan.lock().unwrap().dirs[target.dir].clone();
            let fd = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
            *open = Some((target.dir, path, fd));
        }
        let (_, path, dir) = open.as_ref().unwrap();
        let mode = Mode::from_raw_mode(if target.is_executable { 0o777 } else { 0o666 });
        let file =
            openat(dir, &target.name[..], OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode).unwrap();
        let mut file = fs::File::from(file);
        file.write_all(content).unwrap();
        let mut whole = path.as_os_str().as_encoded_bytes().to_vec();
        whole.push(b'/');
        whole.extend_from_slice(&target.name);
        entries.push((whole, entry(&fstat(&file).unwrap(), id)));
    }
    true
}
/// Resolve the deltas, and write the files that they are.
fn resolve(
    pack: &fs::File,
    objects: &mut [Object],
    deltas: Vec<DeltaEntry>,
    plan: &Mutex<Plan>,
    entries: &mut Vec<Entry>,
) {
    let (mut waiting, mut open) = (deltas, None);
    let mut resolved: HashMap<u64, (ObjectKind, Vec<u8>)> = HashMap::new();
    while !waiting.is_empty() {
        let mut later = Vec::new();
        for entry in std::mem::take(&mut waiting) {
            let base = match entry.base {
                Base::Offset(offset) => {
                    objects.binary_search_by_key(&offset, |object| object.offset).unwrap()
                }
                Base::Id(id) => match objects.iter().position(|object| object.id == id) {
                    Some(at) => at,
                    None => {
                        later.push(entry);
                        continue;
                    }
                },
            };
            if objects[base].id.is_null() {
                later.push(entry);
                continue;
            }
            let offset = objects[base].offset;
            let (kind, content) = resolved.entry(offset).or_insert_with(|| inflate_at(pack, offset));
            let (kind, content) = (*kind, apply(content, &entry.delta));
            let id = hash(kind, &content);
            objects[entry.at].id = id;
            match kind {
                ObjectKind::Tree => plan.lock().unwrap().add_tree(id, content.clone()),
                _ => _ = write_blob(plan, id, &content, &mut open, entries),
            }
            resolved.insert(objects[entry.at].offset, (kind, content));
        }
        waiting = later;
    }
}
/// Write the index of the pack.
fn write_pack_index(path: &Path, objects: &mut [Object], pack: &fs::File) {
    let mut trailer = [0; 20];
    pack.read_exact_at(&mut trailer, pack.metadata().unwrap().len() - 20).unwrap();
    objects.sort_unstable_by_key(|object| object.id);
    let mut index = b"\xfftOc\0\0\0\x02".to_vec();
    for byte in 0..=255 {
        let upto = objects.partition_point(|object| object.id.first_byte() <= byte) as u32;
        index.extend(upto.to_be_bytes());
    }
    objects.iter().for_each(|object| index.extend(object.id.as_slice()));
    objects.iter().for_each(|object| index.extend(object.crc32.to_be_bytes()));
    objects.iter().for_each(|object| index.extend(u32::try_from(object.offset).unwrap().to_be_bytes()));
    index.extend(trailer);
    write_with_checksum(path, index);
}

/// Write the index of the tree.
fn write_tree_index(path: &Path, root: &Path, mut entries: Vec<Entry>) {
    let cut = root.as_os_str().len() + 1;
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut index = b"DIRC\0\0\0\x02".to_vec();
    index.extend((entries.len() as u32).to_be_bytes());
    for (path, entry) in entries {
        let (name, start) = (&path[cut..], index.len());
        index.extend_from_slice(&entry);
        index[start + 60..].copy_from_slice(&(name.len().min(0xfff) as u16).to_be_bytes());
        index.extend_from_slice(name);
        index.resize(start + (62 + name.len() + 8) / 8 * 8, 0);
    }
    write_with_checksum(path, index);
}
