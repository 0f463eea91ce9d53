//! Rules for the names and modes in trees.

use gix::bstr::{BStr, BString};
use gix::objs::tree::{EntryKind, EntryRef};

use crate::paths::validate_name;

/// The limit of Linux for the target of a symbolic link, in bytes with the final NUL.
pub(crate) const PATH_MAX: u64 = 4096;

/// The longest path that gix reads from an index, in bytes. (Linux opens one that is a byte longer.) It also limits
/// the depth.
pub(super) const MAX_PATH: usize = 4094;

/// The longest name of any Linux file system, in bytes.
const MAX_NAME: usize = 255;

/// Refuse an entry of the tree at `dir` whose name or mode is not allowed. The error is a sentence for users.
pub(crate) fn validate_entry(dir: &BStr, entry: EntryRef<'_>) -> Result<(), String> {
    let (name, path) = (entry.filename, || join(dir, entry.filename));
    for (length, limit) in [(join_length(dir, name), MAX_PATH), (name.len(), MAX_NAME)] {
        if length > limit {
            let path = path();
            let start = path[..path.len().min(100)].escape_ascii();
            let part = if limit == MAX_PATH { "the path" } else { "a name in the path" };
            return Err(format!("{part} \"{start}…\" has {length} bytes; the limit is {limit}"));
        }
    }
    let kind = entry.mode.kind();
    let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
    validate_name(name, mode).map_err(|fault| format!("the path {:?} is not allowed: {fault}", path()))?;
    // gix takes every unknown mode for a submodule.
    if kind == EntryKind::Commit && entry.mode.value() != EntryKind::Commit as u16 {
        return Err(format!("the mode {:o} of {:?} is unknown to git", entry.mode.value(), path()));
    }
    Ok(())
}

pub(crate) fn join(dir: &BStr, name: &BStr) -> BString {
    let mut path = dir.to_owned();
    append(&mut path, name);
    path
}

pub(super) fn append(path: &mut BString, name: &BStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

pub(crate) fn join_length(dir: &BStr, name: &BStr) -> usize {
    dir.len() + usize::from(!dir.is_empty()) + name.len()
}
