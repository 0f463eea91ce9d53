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

/// What is accepted is a pack that gix accepts, with the index that gix makes; every file is what its blob says and
/// none is elsewhere; of what is refused nothing is left among the packs. Git judges the same.
fn unpack<const BESIDE_GIT: bool>(pack: &[u8], commit: ObjectId) {
    let room = room();
    let dir = |name: &str| {
        let dir = room.path().join(name);
        fs_err::create_dir(&dir).expect("a directory");
        dir
    };
    let (packs, theirs, tree) = (dir("packs"), dir("theirs"), dir("tree"));
    let made = fuzzing::unpack(pack, commit, &packs, &tree);
    let here: BTreeSet<_> =
        files(room.path()).into_iter().filter(|path| !path.starts_with("tree/")).collect();
    let by_git = BESIDE_GIT.then(|| stock_git::index_pack(pack, &dir("git")));
    let Ok(files_made) = made else {
        assert!(here.is_empty(), "{here:?}");
        assert!(!matches!(by_git, Some(Ok(_))), "git accepts what is refused");
        return;
    };
    let mut named: Vec<_> = files_made.iter().map(|(path, ..)| path.clone()).collect();
    named.sort();
    assert_eq!(paths(&tree), named);
    for (path, id, is_executable) in &files_made {
        let path = tree.join(std::path::PathBuf::from(os(path)));
        let content = fs_err::read(&path).expect("a file");
        assert_eq!(gix::objs::compute_hash(HashKind::Sha1, Kind::Blob, &content).expect("no collision"), *id);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs_err::metadata(&path).expect("a file").permissions());
        assert_eq!(mode & 0o100 != 0, *is_executable);
    }
    if here.is_empty() {
        return; // a pack of nothing
    }
    fuzzing::receive(pack, &theirs).expect("what is accepted, gix accepts");
    let index = |dir: &Path| {
        let found = files(dir).into_iter().find(|path| path.ends_with(".idx")).expect("an index");
        fs_err::read(dir.join(found)).expect("an index")
    };
    let made = index(&packs);
    assert!(here.len() == 2 && made == index(&theirs), "the indices differ");
    match by_git {
        None => {}
        Some(Ok(by_git)) => assert!(made == by_git, "git's index differs"),
        // Intended: a delta is accepted if its base, by its id, is in the pack twice.
        Some(Err(why)) => assert!(why.contains("(duplicate base "), "git refuses what is accepted: {why}"),
    }
}

/// In memory, where there is such a place.
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

/// A delta makes what it says, or nothing. The first byte is the length of the base.
pub fn delta<const BESIDE_GIT: bool>(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let Some((base, delta)) = rest.split_at_checked(usize::from(*length)) else { return };
    let made = fuzzing::apply_delta(base, delta);
    let sizes = number(delta).and_then(|(from, rest)| Some((from, number(rest)?)));
    // Intended: git also takes a size that ends too early, or has more than nine bytes.
    let Some((from, (to, rest))) = sizes else { return assert!(made.is_err()) };
    if let Ok(made) = made {
        assert_eq!((from, to), (base.len() as u64, made.len() as u64));
        assert_eq!(plainly(base, rest), made);
    }
    if BESIDE_GIT {
        unpack::<true>(&Recipe::of_delta(base, delta).pack(), ObjectId::null(HashKind::Sha1));
    }
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
