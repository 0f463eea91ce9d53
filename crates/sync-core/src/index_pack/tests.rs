//! Packs that git would never write.

use std::io::Write;

use gix::objs::Kind as ObjectKind;

use super::*;

/// A pack under construction; deflated without compressing.
#[derive(Default)]
pub(crate) struct Pack {
    entries: Vec<u8>,
    count: u32,
    /// Whether sizes have a byte more than they need, as git would never write them, but reads.
    pub(crate) has_long_headers: bool,
}

const REF_DELTA: u8 = 7;

/// The largest object that is held in memory.
const LARGE: usize = 1 << 20;

impl Pack {
    /// Add an object, and return its id.
    pub(crate) fn add(&mut self, kind: ObjectKind, body: &[u8]) -> ObjectId {
        let number = match kind {
            ObjectKind::Commit => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
            ObjectKind::Tag => 4,
        };
        self.header(number, body.len());
        self.deflate(body);
        gix::objs::compute_hash(Kind::Sha1, kind, body).unwrap()
    }

    pub(crate) fn delta(&mut self, base: ObjectId, delta: &[u8]) {
        self.header(REF_DELTA, delta.len());
        self.entries.extend(base.as_slice());
        self.deflate(delta);
    }

    /// The header of a delta.
    pub(crate) fn delta_header(base: usize, made: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for mut rest in [base, made] {
            while rest > 0x7f {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes
    }

    /// A copy command of a delta.
    pub(crate) fn copy(start: usize, length: usize) -> Vec<u8> {
        let (start, length) = (start as u32, length as u32);
        [&[0xff][..], &start.to_le_bytes(), &length.to_le_bytes()[..3]].concat()
    }

    fn header(&mut self, number: u8, size: usize) {
        self.count += 1;
        let mut rest = size >> 4;
        let mut byte = number << 4 | (size & 15) as u8;
        while rest > 0 {
            self.entries.push(byte | 0x80);
            byte = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        match self.has_long_headers {
            true => self.entries.extend([byte | 0x80, 0]),
            false => self.entries.push(byte),
        }
    }

    /// A zlib stream of stored blocks (RFC 1950, RFC 1951).
    fn deflate(&mut self, body: &[u8]) {
        self.entries.extend([0x78, 1]);
        let mut blocks = body.chunks(0xffff).peekable();
        if body.is_empty() {
            self.entries.extend([1, 0, 0, 0xff, 0xff]);
        }
        while let Some(block) = blocks.next() {
            let length = block.len() as u16;
            self.entries.push(u8::from(blocks.peek().is_none()));
            self.entries.extend(length.to_le_bytes());
            self.entries.extend((!length).to_le_bytes());
            self.entries.extend(block);
        }
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in body {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        self.entries.extend((b << 16 | a).to_be_bytes());
    }

    fn tree(&mut self, entries: &[(&str, &str, ObjectId)]) -> ObjectId {
        let mut body = Vec::new();
        for (mode, name, id) in entries {
            write!(body, "{mode} {name}\0").unwrap();
            body.extend(id.as_slice());
        }
        self.add(ObjectKind::Tree, &body)
    }

    fn commit(&mut self, tree: ObjectId) -> ObjectId {
        let body = format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        self.add(ObjectKind::Commit, body.as_bytes())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&b"PACK\0\0\0\x02"[..], &self.count.to_be_bytes(), &self.entries].concat();
        let mut hasher = gix::hash::hasher(Kind::Sha1);
        hasher.update(&bytes);
        bytes.extend(hasher.try_finalize().unwrap().as_slice());
        bytes
    }
}

fn pack_receiver<'a>(
    packs: &Path,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    tree: Option<StreamTarget<'a>>,
) -> PackReceiver<'a> {
    let resources = Resources { threads: 2, memory: None };
    PackReceiver { pack_dir: packs.to_owned(), hash: Kind::Sha1, tree, resources, progress, interrupt }
}

/// Receive it in a new directory. Returns the paths of the files, or the error. No temporary file of a pack is left
/// in either case.
fn unpacked(bytes: &[u8], commit: ObjectId) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let (packs, tree) = (dir.path().join("packs"), dir.path().join("tree"));
    fs_err::create_dir(&packs).unwrap();
    fs_err::create_dir(&tree).unwrap();
    let mut source = io::BufReader::with_capacity(1000, bytes);
    let (limits, progress, interrupt) = (Limits::default(), Progress::new(), Interrupt::new());
    let early = StreamTarget { commit, dir: &tree, limits: &limits, leaves_pointers: false };
    let outcome = pack_receiver(&packs, &progress, &interrupt, Some(early)).take(&mut source, None);
    let left: Vec<_> = fs_err::read_dir(&packs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), if outcome.is_ok() { 2 } else { 0 }, "{left:?}");
    let made = outcome.map_err(|err| err.to_string())?;
    let mut files = Vec::new();
    list(&tree, &tree, &mut files);
    files.sort();
    assert_eq!(made.early.files.len(), files.len(), "{files:?}");
    assert_eq!(made.early.by_directory().count(), made.early.dirs.len());
    Ok(files)
}

fn list(dir: &Path, root: &Path, files: &mut Vec<String>) {
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, root, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

#[test]
fn a_plain_pack_becomes_files() {
    let mut pack = Pack::default();
    let large = vec![7; LARGE + 1];
    let blob = pack.add(ObjectKind::Blob, b"early, so it is left");
    let other = pack.add(ObjectKind::Blob, &large);
    let below = pack.tree(&[("100644", "x", blob)]);
    let root = pack.tree(&[("40000", "d", below), ("100755", "large", other), ("100644", "late", blob)]);
    let commit = pack.commit(root);
    assert!(unpacked(&pack.bytes(), commit).is_ok(), "blobs before their trees may be left to the checkout");

    let mut ordered = Pack::default();
    ordered.commit(root);
    ordered.tree(&[("40000", "d", below), ("100755", "large", other), ("100644", "late", blob)]);
    ordered.tree(&[("100644", "x", blob)]);
    ordered.add(ObjectKind::Blob, &large);
    ordered.delta(other, &[&[0x81, 0x80, 0x40, 20, 20][..], b"early, so it is left"].concat());
    assert_eq!(unpacked(&ordered.bytes(), commit).unwrap(), ["d/x", "large", "late"]);
}

#[test]
fn deltas_in_circles_end() {
    let mut pack = Pack::default();
    let blob = pack.add(ObjectKind::Blob, b"same");
    let copy_all = [4, 4, 0x90, 4];
    for _ in 0..40 {
        pack.delta(blob, &copy_all);
    }
    let tree = pack.tree(&[]);
    let commit = pack.commit(tree);
    assert_eq!(unpacked(&pack.bytes(), commit).unwrap(), [""; 0]);

    pack.delta(commit_id(), &copy_all);
    assert_eq!(unpacked(&pack.bytes(), commit).unwrap_err(), "the pack is damaged: a delta has no base");
}

fn commit_id() -> ObjectId {
    ObjectId::from_hex(b"0123456789012345678901234567890123456789").unwrap()
}

#[test]
fn endless_nesting_and_multiplying_trees_end() {
    let mut pack = Pack::default();
    let mut tree = pack.tree(&[]);
    for _ in 0..30_000 {
        tree = pack.tree(&[("40000", "d", tree)]);
    }
    let commit = pack.commit(tree);
    assert_eq!(unpacked(&pack.bytes(), commit).unwrap(), [""; 0]);

    let mut pack = Pack::default();
    let blob = pack.add(ObjectKind::Blob, b"x");
    let names: Vec<String> = (0..100).map(|at| format!("n{at:03}")).collect();
    let mut tree = pack.tree(&[("100644", "file", blob)]);
    for _ in 0..6 {
        let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), tree)).collect();
        tree = pack.tree(&entries);
    }
    let commit = pack.commit(tree);
    assert!(unpacked(&pack.bytes(), commit).is_ok());
}

#[test]
fn names_that_lead_elsewhere_or_clash_are_left() {
    let mut pack = Pack::default();
    let (file, other) = (b"content", b"other");
    let hash = |bytes: &[u8]| gix::objs::compute_hash(Kind::Sha1, ObjectKind::Blob, bytes).unwrap();
    let (blob, below) = (hash(file), hash(other));
    let tree_id = |entries: &[_]| Pack::default().tree(entries);
    let dir = [("100644", "y", below)];
    let mut entries = vec![("100644", "a", blob), ("40000", "a", tree_id(&dir)), ("100644", "b", blob)];
    for name in ["..", ".git", ".GIT", "x/y", "", "git~1"] {
        entries.push(("100644", name, blob));
    }
    entries.push(("120000", "link", blob));
    let root = tree_id(&entries);
    let commit = pack.commit(root);
    pack.tree(&entries);
    pack.tree(&dir);
    pack.add(ObjectKind::Blob, file);
    pack.add(ObjectKind::Blob, other);
    assert_eq!(unpacked(&pack.bytes(), commit).unwrap(), ["a", "b"]);
}

#[test]
fn lies_and_damage_are_refused_with_the_reason() {
    let mut pack = Pack::default();
    let blob = pack.add(ObjectKind::Blob, &[3; 5000]);
    let tree = pack.tree(&[("100644", "x", blob)]);
    let commit = pack.commit(tree);
    let good = pack.bytes();
    assert!(unpacked(&good, commit).is_ok());
    for end in [0, 5, 12, 100, 2000, good.len() - 25, good.len() - 1] {
        assert!(unpacked(&good[..end], commit).is_err(), "cut after {end}");
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(unpacked(&flipped, commit).unwrap_err(), "the pack is damaged: its checksum is wrong");
    for size in [4999, 5001, 1 << 20, (1 << 20) + 1, 1 << 40] {
        let mut lying = Pack::default();
        lying.header(3, size);
        lying.deflate(&[3; 5000]);
        let fault = unpacked(&lying.bytes(), commit).unwrap_err();
        assert!(fault.contains("does not have the size in its header"), "{size}: {fault}");
    }
    for (kind, size) in [(2, 1 << 40), (REF_DELTA, 1 << 40)] {
        let mut lying = Pack::default();
        lying.header(kind, size);
        lying.entries.extend([0; 40]);
        assert!(unpacked(&lying.bytes(), commit).unwrap_err().contains("too large"));
    }
}

#[test]
fn a_delta_that_git_finds_too_short_is_refused() {
    for delta in [&[1, 0][..], &[0x81, 0, 0]] {
        let mut pack = Pack::default();
        let blob = pack.add(ObjectKind::Blob, b"x");
        pack.delta(blob, delta);
        let fault = unpacked(&pack.bytes(), commit_id()).unwrap_err();
        assert_eq!(fault, format!("the pack is damaged: a delta of {} bytes is too short", delta.len()));
    }
    let mut pack = Pack::default();
    let blob = pack.add(ObjectKind::Blob, b"x");
    pack.delta(blob, &[0x81, 0, 0x80, 0]);
    assert!(unpacked(&pack.bytes(), commit_id()).is_ok());
}

#[test]
fn only_files_may_be_huge() {
    let huge = (128 << 20) + 1;
    for (kind, name) in [(1, "commit"), (2, "tree"), (4, "tag")] {
        let mut pack = Pack::default();
        pack.header(kind, huge);
        let fault = unpacked(&pack.bytes(), commit_id()).unwrap_err();
        assert!(fault.starts_with(&format!("a {name} of {huge} bytes is too large")), "{fault}");
    }
    let mut pack = Pack::default();
    let tree = pack.tree(&[]);
    pack.delta(tree, &Pack::delta_header(0, huge));
    let fault = unpacked(&pack.bytes(), commit_id()).unwrap_err();
    assert!(fault.starts_with(&format!("a tree of {huge} bytes is too large")), "{fault}");
}

#[test]
fn it_stops_when_asked_to() {
    let mut pack = Pack::default();
    let tree = pack.tree(&[]);
    let commit = pack.commit(tree);
    let dir = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::new();
    interrupt.trigger();
    let (bytes, limits, progress) = (pack.bytes(), Limits::default(), Progress::new());
    let early = StreamTarget { commit, dir: dir.path(), limits: &limits, leaves_pointers: false };
    let pack_receiver = pack_receiver(dir.path(), &progress, &interrupt, Some(early));
    let outcome = pack_receiver.take(&mut &bytes[..], None);
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}
