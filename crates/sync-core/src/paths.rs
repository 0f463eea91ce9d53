//! Ways from one place to another.

use std::path::{Component, Path, PathBuf};

/// The relative way from a directory to a place, both absolute and without symbolic links.
pub fn relative_path(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// A path without `.` and `..`, as far as its text tells: behind a symbolic link, `..` leads elsewhere.
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
