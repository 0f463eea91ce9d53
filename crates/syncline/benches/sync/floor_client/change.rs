//! A change.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::{Kind as ObjectKind, TreeRefIter};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, fstat, openat, statat};
use sirocco::Format;
use sirocco::inflate::Decoder;

use super::pack::{Pack, Remote, apply, distance, inflate_at};
use super::{KINDS, entry, hash, write_with_checksum};

/// Fetch what differs from `before`, while every file of the tree is looked at and every directory listed; then write
/// what changed, and the index.
pub(super) fn change(remote: &Remote<'_>, dir: &Path, before: &str) {
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
    let mut objects: HashMap<ObjectId, Vec<u8>> = HashMap::new();
    let mut places = HashMap::new();
    for _ in 0..count {
        let at = pack.offset();
        let (kind, size) = pack.header();
        let base = match kind {
            6 => Some(places[&(at - distance(|| pack.byte()))]),
            7 => Some((ObjectKind::Tree, ObjectId::from_bytes_or_panic(&pack.take(20)))),
            _ => None,
        };
        let content = pack.inflate(&mut decoder, size);
        let (kind, content) = match base {
            None => (KINDS[usize::from(kind) - 1], content),
            // Of what is not in this pack, only trees are like their last ones here.
            Some((kind, id)) => match objects.get(&id) {
                Some(base) => (kind, apply(base, &content)),
                None => (kind, apply(&known_tree(dir, id), &content)),
            },
        };
        let id = hash(kind, &content);
        places.insert(at, (kind, id));
        objects.insert(id, content);
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
