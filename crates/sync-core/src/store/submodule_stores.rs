//! The stores of submodules, in `.git/modules`.

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
    /// Open the store of a submodule. Its name is a hash of its URL: all stores are then siblings, and none can be
    /// inside another.
    pub(crate) fn submodule(&self, url: &RemoteUrl) -> Result<Store> {
        let step = || format!("open the store of {url}");
        let name = gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, url.to_string().as_bytes())
            .step(step)?;
        self.submodule_at(self.submodules_dir().join(name.to_string()))
    }

    /// Open the store of a submodule, and remove leftovers in it.
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

    /// Open the stores of all submodules of published trees, of earlier ones too. This removes leftovers in them:
    /// call it only while no fetch, checkout or repack is running on this root.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if a store cannot be listed or leftovers cannot be removed.
    pub fn submodules(&self) -> Result<Vec<Store>> {
        let step = || format!("list the stores of submodules in {}", self.submodules_dir().display());
        entries(&self.submodules_dir())
            .step(step)?
            .map(|entry| self.submodule_at(entry.step(step)?.path()))
            .collect()
    }

    /// The directories of this repository and of those of its submodules.
    pub(crate) fn repositories(&self) -> io::Result<Vec<PathBuf>> {
        let mut all = vec![self.git.clone()];
        for submodule in entries(&self.submodules_dir())? {
            all.push(submodule?.path());
        }
        Ok(all)
    }

    /// Remove the admin directories of the submodules of a tree, except those in `kept`. They are leftovers of failed
    /// checkouts, or the tree is gone.
    pub(crate) fn prune_submodule_worktrees(&self, id: CommitId, kept: &[PathBuf]) -> io::Result<()> {
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

    /// Remove the stores of submodules that are in no tree any more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if a store cannot be read or removed.
    pub fn remove_unused_submodules(&mut self) -> Result<()> {
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
