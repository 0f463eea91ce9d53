//! Clean up what failed steps and killed processes leave behind.

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
    /// Remove temporary files, locks and incomplete packs of failed steps: they take up space, and a lock would
    /// make later steps fail. The tree that [`Store::retain_for_reuse`] keeps stays.
    ///
    /// Call it only while no fetch, checkout or repack is running on this store: it would remove their files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if something cannot be removed. The rest is removed where possible.
    pub fn clear_leftovers(&mut self) -> Result<()> {
        let step = || format!("remove leftovers in {}", self.root.display());
        let warnings = clear_leftovers(&self.root, self.recyclable.as_deref()).step(step)?;
        self.remove_stray_admin_dirs().step(step)?;
        warnings.into_iter().next().map_or(Ok(()), Err)
    }

    /// Remove files, links, and directories not named after a commit from `.worktrees`; temporary names of our own
    /// stay. Links are removed, not followed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if `.worktrees` cannot be listed or an entry cannot be removed. A directory with a mount
    /// point in it stays and is an error; the other entries are removed nevertheless.
    pub fn remove_foreign_worktrees(&mut self) -> Result<()> {
        let trees = self.trees_dir();
        let step = || format!("remove foreign entries from {}", trees.display());
        if trees.is_symlink() {
            return Ok(());
        }
        let mut failure = Ok(());
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
            failure = failure.and(removed);
        }
        failure
    }

    /// Remove admin directories (`.git/worktrees/<id>`) that have no tree: a checkout failed before it named its
    /// tree, or a tree was removed before its admin directory.
    pub(super) fn remove_stray_admin_dirs(&self) -> io::Result<()> {
        let has_no_tree = |name: &str| {
            let id = name.split('-').next().and_then(|id| id.parse().ok());
            // git-sync v3 keeps its trees in the root.
            id.is_some_and(|id| is_gone(&self.tree_path(id)) && is_gone(&self.root.join(id.to_string())))
        };
        remove_matching(&self.git.join("worktrees"), &has_no_tree)?;
        for submodule in entries(&self.submodules_dir())? {
            remove_matching(&submodule?.path().join("worktrees"), &has_no_tree)?;
        }
        Ok(())
    }

    /// Remove all packs that are not in `before`, and set the branch back to `published`. Used when a commit does
    /// not fit on the disk: its packs would also keep a smaller commit from fitting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if a pack cannot be listed or removed. A branch that cannot be set is no error.
    pub fn discard_new_packs(
        &mut self,
        before: &BTreeSet<PathBuf>,
        published: Option<CommitId>,
    ) -> Result<()> {
        for pack in self.all_packs()?.difference(before) {
            remove_pack(pack).step(|| format!("remove {}", pack.display()))?;
        }
        // The disk may be too full even for this. The next fetch sets the branch anyway.
        let _ = published.map(|id| self.set_branch(id));
        Ok(())
    }

    /// The paths of all packs of the repository and its submodules.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if a directory cannot be listed.
    pub fn all_packs(&self) -> Result<BTreeSet<PathBuf>> {
        let step = || format!("list the packs in {}", self.git.display());
        let mut all = self.packs().step(step)?;
        for submodule in entries(&self.submodules_dir()).step(step)? {
            all.extend(packs(&submodule.step(step)?.path().join("objects/pack")).step(step)?);
        }
        Ok(all)
    }
}

/// Whether `dir` or a directory below it is a mount point.
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

/// Remove locks of git, temporary files, packs without an index and incomplete trees. Only call it with the owner
/// lock held: then no other process uses these files. `recyclable` stays. Returns an error for each tree that
/// cannot be removed.
pub(super) fn clear_leftovers(root: &Path, recyclable: Option<&WorktreePaths>) -> io::Result<Vec<Error>> {
    clear_repository(&root.join(".git"), recyclable)?;
    for submodule in entries(&root.join(".git/modules"))? {
        clear_repository(&submodule?.path(), None)?;
    }
    let trees = root.join(".worktrees");
    restore_exchanged(&trees)?;
    // A consumer may have put files into a tree that we have no permission to remove.
    let mut warnings = Vec::new();
    for entry in entries(&trees)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".tmp-")
            && recyclable.is_none_or(|recyclable| recyclable.dir != entry.path())
            && let Err(err) = remove_dir_if_there(&entry.path())
        {
            warnings.push(Error::io("remove an incomplete tree", &err));
        }
    }
    Ok(warnings)
}

/// Rename trees back whose exchange was interrupted. This happens only on file systems that cannot exchange two names
/// in one step.
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

/// Remove locks, temporary files and incomplete packs of one repository.
pub(super) fn clear_repository(git: &Path, recyclable: Option<&WorktreePaths>) -> io::Result<()> {
    let is_lock = |name: &str| name.ends_with(".lock");
    let is_recyclable = |name: &str| recyclable.is_some_and(|recyclable| recyclable.admin == git.join(name));
    remove_matching(git, &|name| is_lock(name) || (name.starts_with("tmp-") && !is_recyclable(name)))?;
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
