//! What failed steps and killed processes leave behind, and giving it back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::Store;
use super::files::{self, clear_leftovers, entries, is_gone, remove_dir_if_there, remove_pack};
use crate::CommitId;
use crate::error::{Context, Error, Recovery, Result};

impl Store {
    /// Clear what failed steps of ours left half-made: it takes up space, and a lock would stop those that follow.
    /// To be called while nothing is being made.
    pub fn clear_leftovers(&self) -> Result<()> {
        let step = || format!("clear what was left half-made in {}", self.root.display());
        let stuck = clear_leftovers(&self.root, self.spare.as_deref()).step(step)?;
        self.remove_stray_places().step(step)?;
        stuck.into_iter().next().map_or(Ok(()), Err)
    }

    /// Remove from `.worktrees` what is no tree and nothing of ours: files, links, and directories that are not named
    /// after a commit. Links are removed, not followed; what is mounted there stays, and is an error.
    pub fn remove_foreign_worktrees(&self) -> Result<()> {
        let trees = self.trees_dir();
        let step = || format!("remove what is no worktree from {}", trees.display());
        if trees.is_symlink() {
            return Ok(());
        }
        let mut stays = Ok(());
        for entry in entries(&trees).step(step)? {
            let entry = entry.step(step)?;
            let (name, is_dir) = (entry.file_name(), entry.file_type().step(step)?.is_dir());
            let name = name.to_string_lossy();
            let is_ours = [".tmp-", ".in-place"].iter().any(|ours| name.starts_with(ours));
            if is_ours || (is_dir && name.parse::<CommitId>().is_ok()) {
                continue;
            }
            let removed = if !is_dir {
                fs_err::remove_file(entry.path()).step(step)
            } else if has_mount_point(&entry.path()).step(step)? {
                let text = format!("something is mounted at or below {}", entry.path().display());
                Err(Error::new(Recovery::Retry, step(), text))
            } else {
                remove_dir_if_there(&entry.path()).step(step)
            };
            stays = stays.and(removed);
        }
        stays
    }

    /// Builds that failed before their tree had its name, and trees that went before what git knows of them, leave
    /// places behind.
    pub(super) fn remove_stray_places(&self) -> io::Result<()> {
        let has_no_tree = |name: &str| {
            let id = name.split('-').next().and_then(|id| id.parse().ok());
            // git-sync v3 has its trees in the root.
            id.is_some_and(|id| is_gone(&self.tree_path(id)) && is_gone(&self.root.join(id.to_string())))
        };
        files::remove_matching(&self.git.join("worktrees"), &has_no_tree)?;
        for module in entries(&self.modules_dir())? {
            files::remove_matching(&module?.path().join("worktrees"), &has_no_tree)?;
        }
        Ok(())
    }

    /// Remove the packs that came since they were as in `before`: there is no room for what they are for, and they
    /// would be in the way of something smaller.
    pub fn give_back(&self, before: &BTreeSet<PathBuf>, published: Option<CommitId>) -> Result<()> {
        for pack in self.all_packs()?.difference(before) {
            remove_pack(pack).step(|| format!("remove {}", pack.display()))?;
        }
        // There may be no room even for that; the next commit moves the branch, too.
        let _ = published.map(|id| self.adopt(id));
        Ok(())
    }

    /// The packs here and in the stores of submodules.
    pub fn all_packs(&self) -> Result<BTreeSet<PathBuf>> {
        let step = || format!("list the packs in {}", self.git.display());
        let mut packs = self.packs().step(step)?;
        for module in entries(&self.modules_dir()).step(step)? {
            packs.extend(files::packs(&module.step(step)?.path().join("objects/pack")).step(step)?);
        }
        Ok(packs)
    }
}

/// Whether a directory, or one below it, is a mount point.
fn has_mount_point(dir: &Path) -> io::Result<bool> {
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let found = statx(CWD, &dir, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
        if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(true);
        }
        for entry in entries(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(false)
}
