//! Clean up after git-sync v3, which kept its trees in the root itself as `<id>` or `rev-<id>`.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use crate::error::{Context, Result};
use crate::fs_ext::{entries, is_gone, remove_dir_if_there};
use crate::spec::reference::CommitId;

impl Store {
    /// Remove the trees of git-sync v3 and return their number. A tree that a symbolic link in the root points to
    /// stays: v3 publishes through such a link, so consumers may still read it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the root cannot be listed or a tree cannot be removed.
    pub fn remove_git_sync_v3_trees(&mut self) -> Result<usize> {
        let step = || format!("remove the trees of git-sync v3 in {}", self.root.display());
        let children: Vec<PathBuf> =
            entries(&self.root).step(step)?.flatten().map(|entry| entry.path()).collect();
        let links = children.iter().filter(|path| path.is_symlink());
        let linked: Vec<PathBuf> = links.filter_map(|link| fs_err::canonicalize(link).ok()).collect();
        let mut removed = 0;
        for path in children.iter().filter(|path| is_v3_tree(&self.root, path) && !linked.contains(path)) {
            self.remove_v3_tree(path).step(step)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_v3_tree(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let admin = self.git.join("worktrees").join(name);
        // A kill during the removal leaves only this temporary name, which the next start clears.
        let doomed = self.trees_dir().join(format!(".tmp-v3-{}", name.to_string_lossy()));
        remove_dir_if_there(&doomed)?;
        fs_err::rename(path, &doomed)?;
        // v3 and v4 give the admin directory the same name: if a new tree of this commit exists, it owns the
        // directory.
        if is_gone(&self.trees_dir().join(name)) {
            remove_dir_if_there(&admin)?;
        }
        fs_err::remove_dir_all(doomed)
    }
}

/// Whether `path` is a tree of git-sync v3. Its name and its `.git` file decide: the admin directory may be gone,
/// and the root may have been mounted elsewhere.
pub(super) fn is_v3_tree(root: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_named = name.strip_prefix("rev-").unwrap_or(name).parse::<CommitId>().is_ok();
    let is_dir = || path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let pointer = || fs_err::read_to_string(path.join(".git")).unwrap_or_default();
    let admin = Path::new(".git/worktrees").join(name);
    is_named && path.parent() == Some(root) && is_dir() && Path::new(pointer().trim_end()).ends_with(admin)
}
