//! The least that any correct client must do, as a program of its own, so that its CPU and memory can be measured. It
//! knows what it gets: files and directories of stock git, and no hostile server. It checks, limits and repairs
//! nothing, and cannot be interrupted or used again.
//!
//! A first sync asks for the commit and its pack, inflates and hashes every object once, creates every file, and writes
//! the pack, its index, and the index of the tree. A change looks at every file and lists every directory of the last
//! tree, and writes what changed.

use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::{Kind as ObjectKind, TreeRefIter};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, fstat, openat, statat};
use sirocco::Format;
use sirocco::inflate::Decoder;

use crate::floors::post;

/// The first argument of this program.
pub const FLOOR: &str = "--floor-client";

/// `PORT REPOSITORY DIR [BEFORE]`; with the commit that is there before, a change.
pub fn main(arguments: &[String]) {
    let [port, repository, dir, before @ ..] = arguments else { panic!("PORT REPOSITORY DIR [BEFORE]") };
    let remote = Remote { port: port.parse().unwrap(), repository };
    let dir = Path::new(dir);
    match before {
        [] => first_sync(&remote, dir),
        [before] => change(&remote, dir, before),
        _ => panic!("too many arguments"),
    }
}

struct Remote<'a> {
    port: u16,
    repository: &'a str,
}

impl Remote<'_> {
    fn head(&self) -> String {
        let mut answer = String::new();
        post(self.port, self.repository, "ls-refs", &["ref-prefix HEAD"])
            .read_to_string(&mut answer)
            .unwrap();
        answer[4..44].to_owned()
    }

    fn pack(&self, arguments: &[&str]) -> Pack {
        let arguments = [&["ofs-delta", "no-progress", "deepen 1"], arguments, &["done"]].concat();
        let mut source = post(self.port, self.repository, "fetch", &arguments);
        while !packet(&mut source).ends_with(b"packfile\n") {}
        Pack { source, chunk: Vec::new(), used: 0, start: 0, crc32: crc32fast::Hasher::new(), to_disk: None }
    }
}

/// The content of the next packet line.
fn packet(source: &mut impl Read) -> Vec<u8> {
    let length = length(source);
    rest_of_packet(source, length.saturating_sub(4))
}

fn length(source: &mut impl Read) -> usize {
    let mut length = [0; 4];
    source.read_exact(&mut length).unwrap();
    usize::from_str_radix(str::from_utf8(&length).unwrap(), 16).unwrap()
}

fn rest_of_packet(source: &mut impl Read, length: usize) -> Vec<u8> {
    let mut rest = Vec::with_capacity(length);
    source.take(length as u64).read_to_end(&mut rest).unwrap();
    rest
}

/// The bytes of the pack in the next packet line, if there are any: what the server says is in others.
fn packet_of_pack(source: &mut impl Read) -> Option<Vec<u8>> {
    let (length, mut band) = (length(source), [0]);
    source.read_exact(&mut band).unwrap();
    let rest = rest_of_packet(source, length - 5);
    (band == [1]).then_some(rest)
}

/// A pack that arrives.
struct Pack {
    source: BufReader<TcpStream>,
    chunk: Vec<u8>,
    used: usize,
    start: u64,
    crc32: crc32fast::Hasher,
    to_disk: Option<SyncSender<Vec<u8>>>,
}

impl Pack {
    fn offset(&self) -> u64 {
        self.start + self.used as u64
    }

    fn available(&mut self) -> &[u8] {
        if self.used == self.chunk.len() {
            let mut packets = std::iter::repeat_with(|| packet_of_pack(&mut self.source)).flatten();
            // An empty one says that the server is still there.
            let next = packets.find(|bytes| !bytes.is_empty()).unwrap();
            self.start += self.used as u64;
            self.used = 0;
            self.hand_over(next);
        }
        &self.chunk[self.used..]
    }

    /// Give what is read to the thread that stores it.
    fn hand_over(&mut self, next: Vec<u8>) {
        let last = std::mem::replace(&mut self.chunk, next);
        if let Some(to_disk) = &self.to_disk {
            to_disk.send(last).unwrap();
        }
    }

    fn advance(&mut self, amount: usize) {
        self.crc32.update(&self.chunk[self.used..self.used + amount]);
        self.used += amount;
    }

    fn byte(&mut self) -> u8 {
        let byte = self.available()[0];
        self.advance(1);
        byte
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// The kind and the size of the next entry.
    fn header(&mut self) -> (u8, usize) {
        self.crc32.reset();
        let mut byte = self.byte();
        let (kind, mut size, mut shift) = (byte >> 4 & 7, usize::from(byte & 15), 4);
        while byte & 0x80 != 0 {
            byte = self.byte();
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
        }
        (kind, size)
    }

    /// Inflate an object to a position of `out`, whose content behind it means nothing.
    fn inflate_at(&mut self, decoder: &mut Decoder, out: &mut Vec<u8>, start: usize, size: usize) {
        let end = start + size + 64;
        if out.len() < end {
            out.resize(end, 0);
        }
        decoder.reset();
        loop {
            self.available();
            let step = decoder.decompress(&self.chunk[self.used..], &mut out[start..end], false).unwrap();
            let (done, consumed) = (step.done, step.consumed);
            self.advance(consumed);
            if done {
                return;
            }
        }
    }

    fn inflate(&mut self, decoder: &mut Decoder, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.inflate_at(decoder, &mut out, 0, size);
        out.truncate(size);
        out
    }
}

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

/// By their number in packs, from 1 on.
const KINDS: [ObjectKind; 3] = [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob];

type Batch = (Vec<u8>, Vec<(usize, std::ops::Range<usize>)>);

fn hash(kind: ObjectKind, bytes: &[u8]) -> ObjectId {
    gix::objs::compute_hash(Kind::Sha1, kind, bytes).unwrap()
}

fn first_sync(remote: &Remote<'_>, dir: &Path) {
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
                let mut byte = pack.byte();
                let mut distance = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = pack.byte();
                    distance = (distance + 1) << 7 | u64::from(byte & 0x7f);
                }
                let delta = pack.inflate(&mut decoder, size);
                deltas.push(DeltaEntry { at, base: Base::Offset(offset - distance), delta });
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
    use sha1::Digest;
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

/// The first 62 bytes of an entry of the index, whose flags lack the length of the path.
fn entry(stat: &rustix::fs::Stat, id: ObjectId) -> [u8; 62] {
    let mut entry = [0; 62];
    let mode = if stat.st_mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
    let fields = [
        stat.st_ctime as u32,
        stat.st_ctime_nsec as u32,
        stat.st_mtime as u32,
        stat.st_mtime_nsec as u32,
        stat.st_dev as u32,
        stat.st_ino as u32,
        mode,
        stat.st_uid,
        stat.st_gid,
        stat.st_size as u32,
    ];
    for (to, field) in entry.chunks_exact_mut(4).zip(fields) {
        to.copy_from_slice(&field.to_be_bytes());
    }
    entry[40..60].copy_from_slice(id.as_slice());
    entry
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

/// An object that is stored whole.
fn inflate_at(pack: &fs::File, offset: u64) -> (ObjectKind, Vec<u8>) {
    let mut start = [0; 16];
    pack.read_at(&mut start, offset).unwrap();
    let (kind, mut size) = (start[0] >> 4 & 7, usize::from(start[0] & 15));
    let length = 1 + start.iter().position(|byte| byte & 0x80 == 0).unwrap();
    for (at, byte) in start[1..length].iter().enumerate() {
        size |= usize::from(byte & 0x7f) << (4 + 7 * at);
    }
    let mut out = vec![0; size + 64];
    let (mut decoder, mut at) = (Decoder::new(Format::Zlib), offset + length as u64);
    let mut input = vec![0; 64 * 1024];
    loop {
        let read = pack.read_at(&mut input, at).unwrap();
        let step = decoder.decompress(&input[..read], &mut out, false).unwrap();
        at += step.consumed as u64;
        if step.done {
            out.truncate(size);
            return (KINDS[usize::from(kind) - 1], out);
        }
    }
}

fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
    let mut rest = delta.iter().copied();
    let mut size = || {
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = rest.next().unwrap();
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return size;
            }
        }
    };
    let (_, result) = (size(), size());
    let mut out = Vec::with_capacity(result);
    while let Some(command) = rest.next() {
        if command & 0x80 == 0 {
            out.extend(rest.by_ref().take(command.into()));
            continue;
        }
        let mut number = |bits: std::ops::Range<u8>| {
            let given = bits.clone().filter(|bit| command & 1 << bit != 0);
            given
                .fold(0, |number, bit| number | usize::from(rest.next().unwrap()) << (8 * (bit - bits.start)))
        };
        let (from, length) = (number(0..4), number(4..7));
        out.extend_from_slice(&base[from..from + if length == 0 { 0x10000 } else { length }]);
    }
    out
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

fn write_with_checksum(path: &Path, mut bytes: Vec<u8>) {
    use sha1::Digest;
    let checksum = sha1::Sha1::digest(&bytes);
    bytes.extend(&checksum[..]);
    fs::write(path, bytes).unwrap();
}

/// Fetch what differs from `before`, while every file of the tree is looked at and every directory listed; then write
/// what changed, and the index.
fn change(remote: &Remote<'_>, dir: &Path, before: &str) {
    let tree = dir.join("tree");
    let mut index = fs::read(dir.join("index")).unwrap();
    index.truncate(index.len() - 20);
    let entries = entries_of(&index);
    let parts: Vec<&[(usize, &[u8])]> = entries.chunk_by(|a, b| parent(a.1) == parent(b.1)).collect();
    let next = AtomicUsize::new(0);
    let (head, objects) = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().unwrap().get();
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    look_at(&tree, part, &index);
                }
            });
        }
        let head = remote.head();
        let arguments = [
            "thin-pack".into(),
            format!("want {head}"),
            format!("shallow {before}"),
            format!("have {before}"),
        ];
        let pack = remote.pack(&arguments.each_ref().map(String::as_str));
        let objects = changed_objects(pack, dir);
        (head, objects)
    });
    for (id, content) in &objects {
        fs::write(dir.join(id.to_string()), content).unwrap();
    }
    let mut changed = Vec::new();
    let root = ObjectId::from_hex(&objects[&ObjectId::from_hex(head.as_bytes()).unwrap()][5..45]).unwrap();
    changed_files(&objects, root, Vec::new(), &mut changed);
    let positions: Vec<usize> = changed
        .iter()
        .map(|(path, _)| entries[entries.binary_search_by(|(_, known)| known.cmp(&&path[..])).unwrap()].0)
        .collect();
    for ((path, id), at) in changed.into_iter().zip(positions) {
        let path = tree.join(str::from_utf8(&path).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, &objects[&id]).unwrap();
        let stat = fstat(fs::File::open(&path).unwrap()).unwrap();
        index[at..at + 60].copy_from_slice(&entry(&stat, id)[..60]);
    }
    write_with_checksum(&dir.join("new-index"), index);
    fs::rename(dir.join("new-index"), dir.join("index")).unwrap();
    std::os::unix::fs::symlink("tree", dir.join("new-link")).unwrap();
    fs::rename(dir.join("new-link"), dir.join("link")).unwrap();
}

/// The offsets of the entries of an index, and their paths.
fn entries_of(index: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut entries, mut at) = (Vec::new(), 12);
    while at < index.len() {
        let length = usize::from(u16::from_be_bytes([index[at + 60], index[at + 61]]));
        entries.push((at, &index[at + 62..at + 62 + length]));
        at += (62 + length + 8) / 8 * 8;
    }
    entries
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}

/// Look at the files of a directory, and list it.
fn look_at(tree: &Path, files: &[(usize, &[u8])], index: &[u8]) {
    let path = tree.join(str::from_utf8(parent(files[0].1)).unwrap());
    let dir = openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for (at, path) in files {
        let found = statat(&dir, &path[parent(path).len() + 1..], AtFlags::SYMLINK_NOFOLLOW).unwrap();
        // The time it was last changed, its inode, mode and size.
        assert_eq!(entry(&found, ObjectId::null(Kind::Sha1))[8..40], index[at + 8..at + 40]);
    }
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut count = 0;
    while let Some(entry) = listing.next() {
        entry.unwrap();
        count += 1;
    }
    assert_eq!(count, files.len() + 2);
}

/// The objects of a small pack. Those of earlier changes are in files of their own.
fn changed_objects(mut pack: Pack, dir: &Path) -> HashMap<ObjectId, Vec<u8>> {
    let mut decoder = Decoder::new(Format::Zlib);
    let count = u32::from_be_bytes(pack.take(12)[8..].try_into().unwrap());
    let mut objects = HashMap::new();
    for _ in 0..count {
        let (kind, size) = pack.header();
        let base = (kind == 7).then(|| ObjectId::from_bytes_or_panic(&pack.take(20)));
        let content = pack.inflate(&mut decoder, size);
        let (kind, content) = match base {
            None => (KINDS[usize::from(kind) - 1], content),
            // Only trees are like their last ones here.
            Some(base) => (ObjectKind::Tree, apply(&known_tree(dir, base), &content)),
        };
        objects.insert(hash(kind, &content), content);
    }
    objects
}

fn known_tree(dir: &Path, id: ObjectId) -> Vec<u8> {
    if let Ok(content) = fs::read(dir.join(id.to_string())) {
        return content;
    }
    let index = fs::read(dir.join("pack.idx")).unwrap();
    let number = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let (first, count) = (8, number(8 + 255 * 4));
    let ids = &index[first + 256 * 4..][..count * 20];
    let at = ids.as_chunks::<20>().0.binary_search_by(|known| known[..].cmp(id.as_slice())).unwrap();
    let offsets = first + 256 * 4 + count * 24;
    inflate_at(&fs::File::open(dir.join("pack")).unwrap(), number(offsets + at * 4) as u64).1
}

/// The paths of the files below a tree that are new.
fn changed_files(
    objects: &HashMap<ObjectId, Vec<u8>>,
    tree: ObjectId,
    path: Vec<u8>,
    changed: &mut Vec<(Vec<u8>, ObjectId)>,
) {
    for entry in TreeRefIter::from_bytes(&objects[&tree], Kind::Sha1) {
        let entry = entry.unwrap();
        if objects.contains_key(entry.oid) {
            let slash = if path.is_empty() { &b""[..] } else { b"/" };
            let path = [&path, slash, entry.filename].concat();
            match entry.mode.is_tree() {
                true => changed_files(objects, entry.oid.to_owned(), path, changed),
                false => changed.push((path, entry.oid.to_owned())),
            }
        }
    }
}
