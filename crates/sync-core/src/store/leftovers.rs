//! What failed steps and killed processes leave behind, and giving it back.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::Store;
use super::files::{self, clear_leftovers, entries, is_gone, remove_pack};
use crate::CommitId;
use crate::error::{Context, Result};

impl Store {
    /// Clear what failed steps of ours left half-made: it takes up space, and a lock would stop those that follow.
    /// To be called while nothing is being made.
    pub fn clear_leftovers(&self) -> Result<()> {
        let step = || format!("clear what was left half-made in {}", self.root.display());
        let stuck = clear_leftovers(&self.root, self.spare.as_deref()).step(step)?;
        self.remove_stray_places().step(step)?;
        stuck.into_iter().next().map_or(Ok(()), Err)
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
