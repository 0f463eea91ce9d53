//! Where a tree is.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::fs_ext::remove_dir_if_there;
use crate::paths::relative_path;
use crate::spec::reference::CommitId;

/// A tree's directory and the directory of what git knows of it.
#[derive(Clone, Debug)]
pub(crate) struct WorktreePaths {
    pub(crate) dir: PathBuf,
    pub(crate) admin: PathBuf,
}

impl WorktreePaths {
    /// The index of the tree.
    pub(crate) fn index(&self) -> PathBuf {
        self.admin.join("index")
    }

    /// The text of the tree's `.git` file.
    pub(crate) fn pointer(&self) -> String {
        format!("gitdir: {}\n", relative_path(&self.dir, &self.admin).display())
    }

    /// The place that the `.git` file in a tree's directory points to, if it is one of this root's.
    pub(crate) fn of(dir: PathBuf, root: &Path) -> Option<WorktreePaths> {
        let text = fs_err::read_to_string(dir.join(".git")).ok()?;
        let target = text.trim_end().strip_prefix("gitdir: ")?;
        let admin = fs_err::canonicalize(dir.join(target)).ok()?;
        admin.starts_with(root.join(".git")).then_some(WorktreePaths { dir, admin })
    }

    /// Whether the tree and what git knows of it still name each other, and this commit: a commit that somebody made
    /// in the tree moves its HEAD.
    pub(crate) fn names(&self, id: CommitId) -> bool {
        let text = |path| fs_err::read_to_string(path).unwrap_or_default();
        let pointer = text(self.dir.join(".git"));
        let leads_to = |admin: &Path| {
            let target = Path::new(pointer.trim_end().strip_prefix("gitdir: ").unwrap_or_default());
            let (led, known) = (fs_err::canonicalize(self.dir.join(target)), fs_err::canonicalize(admin));
            led.is_ok_and(|led| known.is_ok_and(|known| led == known))
        };
        text(self.admin.join("HEAD")).trim_end() == id.to_string()
            && (pointer == self.pointer() || leads_to(&self.admin)) // git-sync may have written another path
    }
}

/// A place under a temporary name; what is there is removed in the end.
#[derive(Debug)]
pub(crate) struct TemporaryTree(WorktreePaths);

impl TemporaryTree {
    pub(super) fn new(paths: WorktreePaths) -> TemporaryTree {
        TemporaryTree(paths)
    }

    /// Where a staged of the next tree is made.
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
        // What stays is cleared when the root is next opened.
        let _ = remove_dir_if_there(&self.admin);
        let _ = remove_dir_if_there(&self.dir);
    }
}
