//! What failed steps and killed processes leave behind, and giving it back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::Store;
use super::worktree_paths::WorktreePaths;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fs_ext::{entries, is_gone, remove_dir_if_there, remove_matching};
use crate::objects::packs::{packs, remove_pack};
use crate::spec::reference::CommitId;

impl Store {
    /// Clear what failed steps of ours left half-made: it takes up space, and a lock would stop those that follow.
    /// To be called while nothing is being made.
    pub fn clear_leftovers(&self) -> Result<()> {
        let step = || format!("clear what was left half-made in {}", self.root.display());
        let stuck = clear_leftovers(&self.root, self.recyclable.as_deref()).step(step)?;
        self.remove_stray_admin_dirs().step(step)?;
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
                Err(Error::new(ErrorKind::Io, step(), text))
            } else {
                remove_dir_if_there(&entry.path()).step(step)
            };
            stays = stays.and(removed);
        }
        stays
    }

    /// Builds that failed before their tree had its name, and trees that went before what git knows of them, leave
    /// places behind.
    pub(super) fn remove_stray_admin_dirs(&self) -> io::Result<()> {
        let has_no_tree = |name: &str| {
            let id = name.split('-').next().and_then(|id| id.parse().ok());
            // git-sync v3 has its trees in the root.
            id.is_some_and(|id| is_gone(&self.tree_path(id)) && is_gone(&self.root.join(id.to_string())))
        };
        remove_matching(&self.git.join("worktrees"), &has_no_tree)?;
        for submodule in entries(&self.submodules_dir())? {
            remove_matching(&submodule?.path().join("worktrees"), &has_no_tree)?;
        }
        Ok(())
    }

    /// Remove the packs that came since they were as in `before`: there is no room for what they are for, and they
    /// would be in the way of something smaller.
    pub fn discard_new_packs(&self, before: &BTreeSet<PathBuf>, published: Option<CommitId>) -> Result<()> {
        for pack in self.all_packs()?.difference(before) {
            remove_pack(pack).step(|| format!("remove {}", pack.display()))?;
        }
        // There may be no room even for that; the next commit moves the branch, too.
        let _ = published.map(|id| self.set_branch(id));
        Ok(())
    }

    /// The packs here and in the stores of submodules.
    pub fn all_packs(&self) -> Result<BTreeSet<PathBuf>> {
        let step = || format!("list the packs in {}", self.git.display());
        let mut all = self.packs().step(step)?;
        for submodule in entries(&self.submodules_dir()).step(step)? {
            all.extend(packs(&submodule.step(step)?.path().join("objects/pack")).step(step)?);
        }
        Ok(all)
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

/// What a killed process or a failed step leaves: locks of git's own, temporary files, packs without an index,
/// half-made trees. The owner's lock is held, so nobody else is still using them; it may want `recyclable` itself.
/// Returns what could not be removed.
pub(super) fn clear_leftovers(root: &Path, recyclable: Option<&WorktreePaths>) -> io::Result<Vec<Error>> {
    clear_repository(&root.join(".git"), recyclable)?;
    for submodule in entries(&root.join(".git/modules"))? {
        clear_repository(&submodule?.path(), None)?;
    }
    let trees = root.join(".worktrees");
    restore_exchanged(&trees)?;
    // Consumers may have put files of theirs into a tree, which we may not be allowed to remove.
    let mut warnings = Vec::new();
    for entry in entries(&trees)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".tmp-")
            && recyclable.is_none_or(|recyclable| recyclable.dir != entry.path())
            && let Err(err) = remove_dir_if_there(&entry.path())
        {
            warnings.push(Error::io("clear what was left half-made", &err));
        }
    }
    Ok(warnings)
}

/// A tree that was being exchanged where the file system cannot do it in one step: put it back.
fn restore_exchanged(trees: &Path) -> io::Result<()> {
    for entry in entries(trees)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(id) = name.strip_prefix(".tmp-").and_then(|name| name.strip_suffix(".old"))
            && is_gone(&trees.join(id))
        {
            fs_err::rename(&path, trees.join(id))?;
        }
    }
    Ok(())
}

/// The same inside of one repository.
pub(super) fn clear_repository(git: &Path, recyclable: Option<&WorktreePaths>) -> io::Result<()> {
    let is_lock = |name: &str| name.ends_with(".lock");
    let is_spare = |name: &str| recyclable.is_some_and(|recyclable| recyclable.admin == git.join(name));
    remove_matching(git, &|name| is_lock(name) || (name.starts_with("tmp-") && !is_spare(name)))?;
    for dir in ["refs/heads", "logs/refs/heads"] {
        remove_matching(&git.join(dir), &is_lock)?;
    }
    for admin in entries(&git.join("worktrees"))? {
        remove_matching(&admin?.path(), &is_lock)?;
    }
    let packs = git.join("objects/pack");
    let has = |name: &str, extension| packs.join(name).with_extension(extension).exists();
    remove_matching(&packs, &|name| match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("keep") => true,
        Some("pack") => !has(name, "idx"),
        Some("idx") => !has(name, "pack"),
        _ => name.starts_with(".tmp") || name.starts_with("tmp_"),
    })
}
