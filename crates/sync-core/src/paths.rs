//! Relative paths, paths without dots, and the names that a tree may have. Nothing here reads the file system.

use std::path::{Component, Path, PathBuf};

use gix::bstr::{BStr, ByteSlice};
use gix::validate::path::component::{Error as Fault, Mode, Options};

/// Rules for names. They include those of macOS and NTFS on every file system: a consumer may copy the tree there.
pub(crate) const PATH_RULES: Options =
    Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };

/// Refuse a name that no entry of a tree may have. `mode` says if the entry is a symbolic link.
pub(crate) fn validate_name(name: &BStr, mode: Option<Mode>) -> Result<(), Fault> {
    gix::validate::path::component(name, mode, PATH_RULES)?;
    // On NTFS a backslash separates names, so check each part.
    for part in name.split_str("\\") {
        if let Err(fault @ Fault::DotGitDir) =
            gix::validate::path::component(part.as_bstr(), None, PATH_RULES)
        {
            return Err(fault);
        }
    }
    Ok(())
}

/// The path of `to` relative to the directory `from`. Both must be absolute and free of symbolic links.
#[must_use]
pub fn relative_path(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The path without `.` and `..`. Only the text is looked at: after a symbolic link, `..` really leads elsewhere.
#[must_use]
pub fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_relative() {
        for (from, to, way) in [
            ("/r", "/r/.worktrees/x", ".worktrees/x"),
            ("/a/b", "/r/.worktrees/x", "../../r/.worktrees/x"),
            ("/r/sub", "/r/.worktrees/x", "../.worktrees/x"),
            ("/", "/r/x", "r/x"),
        ] {
            assert_eq!(relative_path(from.as_ref(), to.as_ref()), Path::new(way));
        }
    }
}
