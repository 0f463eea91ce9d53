//! Targets in `sync-core`'s reading of packs.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::objs::Kind;
use sync_core::fuzzing;

use crate::recipe::{Recipe, sign};
use crate::{stock_git, text};

/// A pack by recipe.
pub fn recipe<const BESIDE_GIT: bool>(data: &[u8]) {
    let recipe = Recipe::read(&text(data));
    unpack::<BESIDE_GIT>(&recipe.pack(), recipe.commit());
}

/// A pack byte by byte but for its checksum; its first line says which commit is wanted.
pub fn pack<const BESIDE_GIT: bool>(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let commit = ObjectId::from_hex(&data[..end]).unwrap_or(ObjectId::null(HashKind::Sha1));
    if commit.kind() == HashKind::Sha1 {
        unpack::<BESIDE_GIT>(&sign(data[end + 1..].to_vec()), commit);
    }
}

/// What is accepted is a pack that gix and git accept, with the index that they make; every file is what its blob says
/// and none is elsewhere. What is refused, git refuses, and nothing of it is left among the packs.
fn unpack<const BESIDE_GIT: bool>(pack: &[u8], commit: ObjectId) {
    let room = room();
    let dir = |name: &str| {
        let dir = room.path().join(name);
        fs_err::create_dir(&dir).expect("a directory");
        dir
    };
    let (packs, theirs, tree) = (dir("packs"), dir("theirs"), dir("tree"));
    let unpacked = fuzzing::unpack(pack, commit, &packs, &tree);
    let here: BTreeSet<_> =
        files(room.path()).into_iter().filter(|path| !path.starts_with("tree/")).collect();
    let Ok(written) = unpacked else {
        assert!(here.is_empty(), "{here:?}");
        if BESIDE_GIT {
            let refused = room.path().join("refused.pack");
            fs_err::write(&refused, pack).expect("a file");
            let index = stock_git::index_pack(&refused, &room.path().join("git.idx"));
            assert!(index.is_err(), "git accepts what is refused");
        }
        return;
    };
    let mut named: Vec<_> = written.iter().map(|(path, ..)| path.clone()).collect();
    named.sort();
    assert_eq!(paths(&tree), named);
    for (path, id, is_executable) in &written {
        let path = tree.join(std::path::PathBuf::from(os(path)));
        let content = fs_err::read(&path).expect("a file");
        assert_eq!(blob_id(&content), *id);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs_err::metadata(&path).expect("a file").permissions());
        assert_eq!(mode & 0o100 != 0, *is_executable);
    }
    if here.is_empty() {
        return; // a pack of nothing
    }
    fuzzing::receive(pack, &theirs).expect("what is accepted, gix accepts");
    let made = |dir: &Path, end: &str| {
        let found = files(dir).into_iter().find(|path| path.ends_with(end));
        dir.join(found.expect("a pack and its index"))
    };
    let index = fs_err::read(made(&packs, ".idx")).expect("an index");
    let index_by_gix = fs_err::read(made(&theirs, ".idx")).expect("an index");
    assert!(here.len() == 2 && index == index_by_gix, "the indices differ");
    if BESIDE_GIT {
        match stock_git::index_pack(&made(&packs, ".pack"), &room.path().join("git.idx")) {
            Ok(index_by_git) => assert!(index == index_by_git, "git's index differs"),
            // Git refuses deltas whose base, by its id, is in the pack twice. They are unusual, but sound.
            Err(why) => assert!(why.contains("(duplicate base "), "what is accepted, git accepts: {why}"),
        }
    }
}

/// A directory, in memory where there is such a place.
fn room() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a directory")
}

fn os(bytes: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

/// All that is no directory, as texts.
fn files(dir: &Path) -> Vec<String> {
    paths(dir).into_iter().map(|path| text(&path)).collect()
}

/// All that is no directory, sorted; there are only plain files.
fn paths(dir: &Path) -> Vec<Vec<u8>> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs_err::read_dir(next).expect("a directory") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                open.push(entry.path());
                continue;
            }
            assert!(kind.is_file(), "{}", entry.path().display());
            let path = entry.path();
            let relative = path.strip_prefix(dir).expect("below").as_os_str();
            found.push(std::os::unix::ffi::OsStrExt::as_bytes(relative).to_vec());
        }
    }
    found.sort();
    found
}

/// A delta makes what it says, or nothing, and git makes the same. The first byte is the length of the base.
pub fn delta<const BESIDE_GIT: bool>(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let Some((base, delta)) = rest.split_at_checked(usize::from(*length)) else { return };
    let made = fuzzing::apply_delta(base, delta).ok();
    let sizes = number(delta).and_then(|(from, rest)| Some((from, number(rest)?)));
    if let Some(made) = &made {
        let (from, (to, rest)) = sizes.expect("two sizes");
        assert_eq!((from, to), (base.len() as u64, made.len() as u64));
        assert_eq!(plainly(base, rest), *made);
    }
    // Git also takes a size that ends too early, or has more bytes than any needs.
    if BESIDE_GIT && sizes.is_some() {
        // Where a pack arrives, shorter ones are refused.
        let made = made.filter(|_| delta.len() >= 4);
        assert_eq!(made.map(|made| [base, &made].map(blob_id).into()), ids_by_git(base, delta));
    }
}

/// The ids of a base and of what git makes of its delta, unless it refuses it.
fn ids_by_git(base: &[u8], delta: &[u8]) -> Option<BTreeSet<ObjectId>> {
    let room = room();
    let (pack, index) = (room.path().join("git.pack"), room.path().join("git.idx"));
    fs_err::write(&pack, Recipe::of_delta(base, delta).pack()).expect("a file");
    stock_git::index_pack(&pack, &index).ok()?;
    let index = gix::odb::pack::index::File::at(index, HashKind::Sha1).expect("an index");
    Some(index.iter().map(|entry| entry.oid).collect())
}

fn blob_id(content: &[u8]) -> ObjectId {
    gix::objs::compute_hash(HashKind::Sha1, Kind::Blob, content).expect("no collision")
}

/// A number of at most nine bytes.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let (digits, rest) = bytes.split_at(end);
    Some((digits.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)), rest))
}

/// The instructions of gitformat-pack(5) one by one, taken to be sound.
fn plainly(base: &[u8], mut ops: &[u8]) -> Vec<u8> {
    let mut made = Vec::new();
    while let [op, rest @ ..] = ops {
        ops = rest;
        if op & 0x80 == 0 {
            made.extend(&ops[..usize::from(*op)]);
            ops = &ops[usize::from(*op)..];
            continue;
        }
        let mut operand = [0; 7];
        for (bit, byte) in operand.iter_mut().enumerate() {
            if op >> bit & 1 == 1 {
                *byte = ops[0];
                ops = &ops[1..];
            }
        }
        let [a, b, c, d, x, y, z] = operand.map(usize::from);
        let from = a | b << 8 | c << 16 | d << 24;
        let length = match x | y << 8 | z << 16 {
            0 => 0x10000,
            length => length,
        };
        made.extend(&base[from..from + length]);
    }
    made
}
