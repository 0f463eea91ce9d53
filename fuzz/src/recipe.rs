//! Packs by recipe, with right checksums whatever else is wrong with them: what changes at random cannot guess a
//! checksum. A line makes an object, or spoils the next one:
//!
//! ```text
//! blob TEXT                    blob* LENGTH           tag REF           commit TREE
//! tree MODE NAME REF;…         delta REF OP;…         offset REF OP;…   (OP: copy FROM LENGTH | insert TEXT)
//! size LENGTH (a lie)          count NUMBER           written (in this order, not in git's)
//! ```
//! `REF` is the number of an object, from 0. `%0a` stands for a byte.

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::Kind;

/// The largest blob that is made of a length.
const LARGEST: usize = 3 << 20;

pub struct Recipe {
    objects: Vec<Object>,
    count: Option<u32>,
    as_written: bool,
}

struct Object {
    kind: Kind,
    content: Vec<u8>,
    id: ObjectId,
    /// What is said of the size, where that is a lie.
    size: Option<u64>,
    delta: Option<Delta>,
}

struct Delta {
    base: usize,
    by_offset: bool,
    ops: Vec<u8>,
}

impl Recipe {
    /// A blob and a delta of it.
    pub fn of_delta(base: &[u8], ops: &[u8]) -> Recipe {
        let object = |content: &[u8], delta| {
            let content = content.to_vec();
            Object { kind: Kind::Blob, id: id(Kind::Blob, &content), content, size: None, delta }
        };
        let delta = Delta { base: 0, by_offset: true, ops: ops.to_vec() };
        let objects = vec![object(base, None), object(&[], Some(delta))];
        Recipe { objects, count: None, as_written: true }
    }

    pub fn read(text: &str) -> Recipe {
        let mut recipe = Recipe { objects: Vec::new(), count: None, as_written: false };
        let mut size = None;
        for line in text.lines().take(400) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "size" => size = rest.parse().ok(),
                "count" => recipe.count = rest.parse().ok(),
                "written" => recipe.as_written = true,
                _ => {
                    if let Some((kind, content, delta)) = recipe.object(word, rest) {
                        let id = id(kind, &content);
                        recipe.objects.push(Object { kind, content, id, size: size.take(), delta });
                    }
                }
            }
        }
        recipe
    }

    fn object(&self, word: &str, rest: &str) -> Option<(Kind, Vec<u8>, Option<Delta>)> {
        let whole = |kind, content| Some((kind, content, None));
        let id =
            |text: &str| self.find(text).map_or(ObjectId::null(HashKind::Sha1), |at| self.objects[at].id);
        match word {
            "blob" => whole(Kind::Blob, bytes(rest)),
            "blob*" => whole(Kind::Blob, vec![b'x'; rest.parse().unwrap_or(0).min(LARGEST)]),
            "commit" => whole(
                Kind::Commit,
                format!("tree {}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx", id(rest)).into(),
            ),
            "tag" => whole(Kind::Tag, format!("object {}\ntype commit\ntag x\n\nx", id(rest)).into()),
            "tree" => {
                let mut content = Vec::new();
                for entry in rest.split(';') {
                    let mut words = entry.split(' ');
                    let mut word = || words.next().unwrap_or_default();
                    content.extend(format!("{} ", word()).into_bytes());
                    content.extend(bytes(word()));
                    content.push(0);
                    content.extend(id(word()).as_slice());
                }
                whole(Kind::Tree, content)
            }
            "delta" | "offset" => {
                let (base, ops) = rest.split_once(' ').unwrap_or((rest, ""));
                let base = self.find(base)?;
                let (ops, content) = delta(&self.objects[base].content, ops);
                let by_offset = word == "offset";
                Some((self.objects[base].kind, content, Some(Delta { base, by_offset, ops })))
            }
            _ => None,
        }
    }

    fn find(&self, text: &str) -> Option<usize> {
        let at: usize = text.parse().ok()?;
        at.checked_rem(self.objects.len())
    }

    /// What to publish: the last commit.
    pub fn commit(&self) -> ObjectId {
        let commit = self.objects.iter().rfind(|object| object.kind == Kind::Commit);
        commit.map_or(ObjectId::null(HashKind::Sha1), |commit| commit.id)
    }

    pub fn pack(&self) -> Vec<u8> {
        let mut order: Vec<usize> = (0..self.objects.len()).collect();
        if !self.as_written {
            // As git has it: commits, then trees from the root down, then blobs; bases before what is made of them.
            let rank = |at: &usize| match (&self.objects[*at].delta, self.objects[*at].kind) {
                (Some(_), _) => (4, *at),
                (_, Kind::Commit) => (0, *at),
                (_, Kind::Tag) => (1, *at),
                (_, Kind::Tree) => (2, usize::MAX - *at),
                (_, Kind::Blob) => (3, *at),
            };
            order.sort_by_key(rank);
        }
        let count = self.count.unwrap_or(order.len() as u32);
        let mut pack = [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes()].concat();
        let mut offsets = vec![None; self.objects.len()];
        for at in order {
            offsets[at] = Some(pack.len());
            self.entry(&self.objects[at], &offsets, &mut pack);
        }
        sign(pack)
    }

    fn entry(&self, object: &Object, offsets: &[Option<usize>], pack: &mut Vec<u8>) {
        let start = pack.len();
        let (number, body) = match &object.delta {
            Some(delta) => (if delta.by_offset { 6 } else { 7 }, &delta.ops),
            None => (number_of(object.kind), &object.content),
        };
        header(pack, number, object.size.unwrap_or(body.len() as u64));
        match &object.delta {
            Some(delta) if delta.by_offset => {
                let base = offsets[delta.base].unwrap_or(0);
                distance(pack, (start - base) as u64);
            }
            Some(delta) => pack.extend(self.objects[delta.base].id.as_slice()),
            None => {}
        }
        deflate(pack, body);
    }
}

fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

fn id(kind: Kind, content: &[u8]) -> ObjectId {
    gix::objs::compute_hash(HashKind::Sha1, kind, content).expect("no collision")
}

/// With `%xx` for bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The instructions, and what comes of them where they make sense.
fn delta(base: &[u8], text: &str) -> (Vec<u8>, Vec<u8>) {
    let (mut ops, mut made) = (Vec::new(), Vec::new());
    for op in text.split(';') {
        let words: Vec<&str> = op.splitn(3, ' ').collect();
        match words[..] {
            ["copy", from, length] => {
                let (from, length): (u32, u32) = (from.parse().unwrap_or(0), length.parse().unwrap_or(0));
                ops.push(0xff);
                ops.extend(from.to_le_bytes());
                ops.extend(&length.to_le_bytes()[..3]);
                let length = if length & 0xff_ffff == 0 { 0x10000 } else { length & 0xff_ffff } as usize;
                made.extend(
                    base.get(from as usize..(from as usize).saturating_add(length)).unwrap_or_default(),
                );
            }
            ["insert", ..] => {
                let piece = bytes(op.strip_prefix("insert ").unwrap_or_default());
                let piece = &piece[..piece.len().min(127)];
                ops.push(piece.len() as u8);
                ops.extend(piece);
                made.extend(piece);
            }
            _ => {}
        }
    }
    let mut whole = Vec::new();
    number(&mut whole, base.len() as u64);
    number(&mut whole, made.len() as u64);
    whole.extend(ops);
    (whole, made)
}

/// Seven bits a byte, the lowest first.
fn number(out: &mut Vec<u8>, mut rest: u64) {
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn header(pack: &mut Vec<u8>, kind: u8, size: u64) {
    let first = kind << 4 | (size & 15) as u8;
    if size >> 4 == 0 {
        pack.push(first);
    } else {
        pack.push(first | 0x80);
        number(pack, size >> 4);
    }
}

/// How far back the base is (gitformat-pack(5)).
fn distance(pack: &mut Vec<u8>, mut rest: u64) {
    let mut bytes = vec![(rest & 0x7f) as u8];
    while rest > 0x7f {
        rest = (rest >> 7) - 1;
        bytes.push(rest as u8 | 0x80);
    }
    pack.extend(bytes.iter().rev());
}

/// A zlib stream of stored blocks (RFC 1950, RFC 1951).
fn deflate(out: &mut Vec<u8>, body: &[u8]) {
    out.extend([0x78, 1]);
    let mut blocks = body.chunks(0xffff).peekable();
    if body.is_empty() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in body {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    out.extend((b << 16 | a).to_be_bytes());
}

/// With the checksum that a pack ends with.
pub fn sign(mut pack: Vec<u8>) -> Vec<u8> {
    let mut hasher = gix::hash::hasher(HashKind::Sha1);
    hasher.update(&pack);
    pack.extend(hasher.try_finalize().expect("no collision").as_slice());
    pack
}
