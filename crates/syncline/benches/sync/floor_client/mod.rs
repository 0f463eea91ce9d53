//! The least that any correct client must do, as a program of its own, so that its CPU and memory can be measured. It
//! knows what it gets: files and directories of stock git, and no hostile server. It checks, limits and repairs
//! nothing, and cannot be interrupted or used again.
//!
//! A first sync asks for the commit and its pack, inflates and hashes every object once, creates every file, and writes
//! the pack, its index, and the index of the tree. A change looks at every file and lists every directory of the last
//! tree, and writes what changed.

mod change;
mod first_sync;
mod pack;

use std::fs;
use std::path::Path;

use gix::ObjectId;
use gix::hash::Kind;
use gix::objs::Kind as ObjectKind;
use sha1::Digest;

use change::change;
use first_sync::first_sync;
use pack::Remote;

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
/// By their number in packs, from 1 on.
const KINDS: [ObjectKind; 3] = [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob];
fn hash(kind: ObjectKind, bytes: &[u8]) -> ObjectId {
    gix::objs::compute_hash(Kind::Sha1, kind, bytes).unwrap()
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
fn write_with_checksum(path: &Path, mut bytes: Vec<u8>) {
    let checksum = sha1::Sha1::digest(&bytes);
    bytes.extend(&checksum[..]);
    fs::write(path, bytes).unwrap();
}
