//! Which names and modes a tree may have.

use gix::bstr::{BStr, BString, ByteSlice};
use gix::objs::tree::{EntryKind, EntryRef};
use gix::validate::path::component::Error as Fault;

/// What no name in a tree may be, whatever the file system: somebody may copy the tree to another.
pub(crate) const PATH_RULES: gix::validate::path::component::Options =
    gix::validate::path::component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };

/// Linux makes links to fewer bytes.
pub(crate) const PATH_MAX: u64 = 4096;

/// gix reads no longer path from an index (Linux opens one that is a byte longer), and no file system has a longer
/// name. The path bounds the depth, too.
pub(super) const PATH: usize = 4094;

pub(super) const NAME: usize = 255;

pub(crate) fn validate_entry(dir: &BStr, entry: EntryRef<'_>) -> Result<(), String> {
    let (name, path) = (entry.filename, || join(dir, entry.filename));
    for (length, most) in [(join_length(dir, name), PATH), (name.len(), NAME)] {
        if length > most {
            let path = path();
            let start = path[..path.len().min(100)].escape_ascii();
            let what = if most == PATH { "the path" } else { "a name in the path" };
            return Err(format!(
                "{what} \"{start}…\" has {length} bytes, and no more than {most} are possible"
            ));
        }
    }
    let kind = entry.mode.kind();
    let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
    gix::validate::path::component(name, mode, PATH_RULES)
        .map_err(|fault| format!("the path {:?} is not allowed: {fault}", path()))?;
    // Where a backslash separates, as on NTFS, the parts are names.
    for part in name.split_str("\\") {
        if let Err(Fault::DotGitDir) = gix::validate::path::component(part.as_bstr(), None, PATH_RULES) {
            return Err(format!("the path {:?} is not allowed: {}", path(), Fault::DotGitDir));
        }
    }
    // What is no kind that git knows is taken for a submodule.
    if kind == EntryKind::Commit && entry.mode.value() != EntryKind::Commit as u16 {
        return Err(format!("the mode {:o} of {:?} is none of git's", entry.mode.value(), path()));
    }
    Ok(())
}

pub(super) fn join(dir: &BStr, name: &BStr) -> BString {
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
