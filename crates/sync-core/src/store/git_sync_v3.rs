//! git-sync v3 kept its trees in the root itself, under the commit's id, perhaps after `rev-`.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use crate::error::{Context, Result};
use crate::fs_ext::{entries, is_gone, remove_dir_if_there};
use crate::spec::reference::CommitId;

impl Store {
    /// Remove the trees of git-sync v3, but for those that a link in the root, where v3 has it, still shows. How
    /// many there were.
    pub fn remove_git_sync_v3_trees(&self) -> Result<usize> {
        let step = || format!("remove the trees of git-sync v3 in {}", self.root.display());
        let there: Vec<PathBuf> =
            entries(&self.root).step(step)?.flatten().map(|entry| entry.path()).collect();
        let links = there.iter().filter(|path| path.is_symlink());
        let shown: Vec<PathBuf> = links.filter_map(|link| fs_err::canonicalize(link).ok()).collect();
        let mut removed = 0;
        for path in there.iter().filter(|path| is_v3_tree(&self.root, path) && !shown.contains(path)) {
            self.remove_v3_tree(path).step(step)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_v3_tree(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let admin = self.git.join("worktrees").join(name);
        // Under this name, what a kill leaves of it is cleared.
        let doomed = self.trees_dir().join(format!(".tmp-v3-{}", name.to_string_lossy()));
        remove_dir_if_there(&doomed)?;
        fs_err::rename(path, &doomed)?;
        // v3 and v4 call what git knows of a tree alike: of the same commit it is the new tree's by now.
        if is_gone(&self.trees_dir().join(name)) {
            remove_dir_if_there(&admin)?;
        }
        fs_err::remove_dir_all(doomed)
    }
}

/// By its name and its `.git` file: what git knew of it may be gone, and the root may have been somewhere else.
pub(super) fn is_v3_tree(root: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_named = name.strip_prefix("rev-").unwrap_or(name).parse::<CommitId>().is_ok();
    let is_dir = || path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let pointer = || fs_err::read_to_string(path.join(".git")).unwrap_or_default();
    let admin = Path::new(".git/worktrees").join(name);
    is_named && path.parent() == Some(root) && is_dir() && Path::new(pointer().trim_end()).ends_with(admin)
}
