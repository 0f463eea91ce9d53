//! The stores of submodules, beside that of the repository itself.

use std::io;
use std::path::PathBuf;

use gix::hash::Kind;

use super::Store;
use super::layout::{promisor, stored_kind};
use crate::error::{Context, Result};
use crate::fs_ext::entries;
use crate::spec::reference::CommitId;
use crate::store::leftovers::clear_repository;
use crate::url::RemoteUrl;

impl Store {
    /// The store of a submodule: kept beside ours under a name made of its URL, so that no two can nest.
    pub(crate) fn submodule(&self, url: &RemoteUrl) -> Result<Store> {
        let step = || format!("open the store of {url}");
        let name = gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, url.to_string().as_bytes())
            .step(step)?;
        self.submodule_at(self.submodules_dir().join(name.to_string()))
    }

    fn submodule_at(&self, git: PathBuf) -> Result<Store> {
        let step = || format!("open {}", git.display());
        fs_err::create_dir_all(&git).step(step)?;
        clear_repository(&git, None).step(step)?;
        let kind = stored_kind(&git).step(step)?;
        let store = Store {
            root: self.root.clone(),
            git: git.clone(),
            kind,
            warnings: Vec::new(),
            owner: self.owner.clone(),
            recyclable: None,
            resources: self.resources,
        };
        if let Some(kind) = kind {
            store.init(kind, promisor(&store.git))?;
        }
        Ok(store)
    }

    pub(super) fn submodules_dir(&self) -> PathBuf {
        self.root.join(".git/modules")
    }

    /// The stores of all submodules that are or were published.
    pub fn submodules(&self) -> Result<Vec<Store>> {
        let step = || format!("list the stores of submodules in {}", self.submodules_dir().display());
        entries(&self.submodules_dir())
            .step(step)?
            .map(|entry| self.submodule_at(entry.step(step)?.path()))
            .collect()
    }

    /// Remove what git knows of the submodules of a tree, but for what is named: it belongs to builds that failed.
    pub(crate) fn keep_submodule_worktrees(&self, id: CommitId, kept: &[PathBuf]) -> io::Result<()> {
        let of_this_tree = format!("{id}-");
        for submodule in entries(&self.submodules_dir())? {
            for admin in entries(&submodule?.path().join("worktrees"))? {
                let admin = admin?;
                let is_ours = admin.file_name().to_string_lossy().starts_with(&of_this_tree);
                if is_ours && !kept.contains(&admin.path()) {
                    fs_err::remove_dir_all(admin.path())?;
                }
            }
        }
        Ok(())
    }

    /// Remove the stores of submodules that no tree has any more.
    pub fn remove_unused_submodules(&self) -> Result<()> {
        let step = || format!("remove unused submodules in {}", self.submodules_dir().display());
        for submodule in entries(&self.submodules_dir()).step(step)? {
            let submodule = submodule.step(step)?.path();
            match entries(&submodule.join("worktrees")).step(step)?.next() {
                Some(admin) => _ = admin.step(step)?,
                None => fs_err::remove_dir_all(submodule).step(step)?,
            }
        }
        Ok(())
    }
}
