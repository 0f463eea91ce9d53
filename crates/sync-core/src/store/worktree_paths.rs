//! The paths of a tree and of its admin directory.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::fs_ext::remove_dir_if_there;
use crate::paths::relative_path;
use crate::spec::reference::CommitId;

/// The directories that belong to a tree.
#[derive(Clone, Debug)]
pub(crate) struct WorktreePaths {
    /// The tree itself.
    pub(crate) dir: PathBuf,
    /// Its admin directory, where git keeps HEAD and the index of the worktree.
    pub(crate) admin: PathBuf,
}

impl WorktreePaths {
    /// The index file of the tree.
    pub(crate) fn index(&self) -> PathBuf {
        self.admin.join("index")
    }

    /// The text of the tree's `.git` file.
    pub(crate) fn pointer(&self) -> String {
        format!("gitdir: {}\n", relative_path(&self.dir, &self.admin).display())
    }

    /// The paths of the tree in `dir`, if its `.git` file points to an admin directory in this root.
    pub(crate) fn of(dir: PathBuf, root: &Path) -> Option<WorktreePaths> {
        let admin = led_to(&dir)?;
        admin.starts_with(root.join(".git")).then_some(WorktreePaths { dir, admin })
    }

    /// Whether the tree's `.git` file points to its admin directory, and its HEAD is `id`. A commit made inside the
    /// tree moves its HEAD.
    pub(crate) fn names(&self, id: CommitId) -> bool {
        let text = |path| fs_err::read_to_string(path).unwrap_or_default();
        let is_known = |led: PathBuf| fs_err::canonicalize(&self.admin).is_ok_and(|known| led == known);
        text(self.admin.join("HEAD")).trim_end() == id.to_string()
            && (text(self.dir.join(".git")) == self.pointer() || led_to(&self.dir).is_some_and(is_known)) // git-sync may write the path in another form
    }
}

/// The directory that the `.git` file in `dir` points to.
fn led_to(dir: &Path) -> Option<PathBuf> {
    let text = fs_err::read_to_string(dir.join(".git")).ok()?;
    fs_err::canonicalize(dir.join(text.trim_end().strip_prefix("gitdir: ")?)).ok()
}

/// A tree under a temporary name. It is removed on drop.
#[derive(Debug)]
pub(crate) struct TemporaryTree(WorktreePaths);

impl TemporaryTree {
    pub(super) fn new(paths: WorktreePaths) -> TemporaryTree {
        TemporaryTree(paths)
    }

    /// The paths of the tree that is staged for the next checkout.
    pub(crate) fn staged(root: &Path) -> TemporaryTree {
        TemporaryTree(WorktreePaths {
            dir: root.join(".worktrees/.tmp-staged"),
            admin: root.join(".git/tmp-staged"),
        })
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        remove_dir_if_there(&self.admin)?;
        remove_dir_if_there(&self.dir)
    }
}

impl Deref for TemporaryTree {
    type Target = WorktreePaths;

    fn deref(&self) -> &WorktreePaths {
        &self.0
    }
}

impl Drop for TemporaryTree {
    fn drop(&mut self) {
        // If this fails, the rest is removed when the root is next opened.
        let _ = remove_dir_if_there(&self.admin);
        let _ = remove_dir_if_there(&self.dir);
    }
}
