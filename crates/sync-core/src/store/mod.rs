//! The repository under the root: its lock, layout, packs, trees, history and repair.
//!
//! ```text
//! <root>/.git/                    a repository that stock git can read
//! <root>/.git/syncline-owner      locked while a process owns the root; says which
//! <root>/.git/worktrees/<id>/     HEAD, commondir, gitdir, index of a published tree
//! <root>/.worktrees/<id>/         a published tree
//! ```
//! Incomplete files have names that begin with `tmp-` or `.tmp-`; they are deleted when the root is next opened.
//! Files of others under the root are never deleted, except in `.git` and `.worktrees`.

mod export;
mod git_sync_v3;
pub(crate) mod history;
pub(crate) mod layout;
mod leftovers;
mod lock;
mod packs;
pub(crate) mod repacking;
mod submodule_stores;
mod takeover;
pub(crate) mod worktree_paths;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use gix::hash::Kind;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::fs_ext::{entries, remove_if_there, write_if_different};
use crate::lfs::store::LfsStore;
use crate::resources::Resources;
use crate::spec::reference::CommitId;
use crate::store::leftovers::clear_leftovers;
use crate::store::lock::{RootLock, lock};
use crate::store::worktree_paths::TemporaryTree;
use crate::url::RemoteUrl;

use layout::{
    BRANCH, CURRENT, RELAY, SIGHTINGS, config, mark_promised, promisor, stored_kind, unknown_format,
};
use worktree_paths::WorktreePaths;

/// The largest number of packs that gix can address.
const MAX_SLOTS: u16 = (1 << 15) - 1;

/// The number of packs that may be added while a repository is open.
const MORE_PACKS: usize = 64;

/// The repository under a root directory. This process owns the root until the store is dropped: other processes
/// cannot open it.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    git: PathBuf,
    kind: Option<Kind>,
    warnings: Vec<Error>,
    owner: Arc<RootLock>,
    /// The tree that was retired last. The next checkout can reuse its files.
    recyclable: Option<TemporaryTree>,
    resources: Resources,
}

impl Store {
    /// Take ownership of `root`, create it if it does not exist, and remove leftovers of an earlier owner. All
    /// later work on the store stays within `resources`.
    ///
    /// A `.git` that neither syncline nor git-sync made is taken over only if nothing is lost with it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] while another process owns the root; [`ErrorKind::Configuration`] if the root holds
    /// another repository, or a store of a later syncline; [`ErrorKind::Io`] or [`ErrorKind::StorageFull`] if the
    /// root cannot be read or written. Opening cannot be interrupted.
    pub fn open(root: &Path, resources: Resources) -> Result<Store> {
        let step = || format!("open {}", root.display());
        fs_err::create_dir_all(root).step(step)?;
        let root = fs_err::canonicalize(root).step(step)?;
        let git = root.join(".git");
        takeover::take_over(&root)?;
        fs_err::create_dir_all(&git).step(step)?;
        let owner = lock(&git.join("syncline-owner"), &root)?;
        if let Some(format) = unknown_format(&git).step(step)? {
            let text = format!(
                "its store has format {format}, of a later syncline; use that version, or choose another root"
            );
            return Err(Error::new(ErrorKind::Configuration, step(), text));
        }
        let warnings =
            clear_leftovers(&root, None).step(|| format!("remove leftovers in {}", root.display()))?;
        let kind = stored_kind(&git).step(step)?;
        let store = Store { root, git, kind, warnings, owner: Arc::new(owner), recyclable: None, resources };
        if let Some(kind) = kind {
            store.init(kind, promisor(&store.git))?;
            store.refresh_worktree_paths().step(step)?;
            store.remove_stray_admin_dirs().step(step)?;
        }
        Ok(store)
    }

    /// Leftovers that could not be removed when the store was opened. They do no harm, but take up space.
    #[must_use]
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// The absolute path of the root, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a [`Relay`](crate::Relay) may keep what it must remember. The file outlives a rebuild of the store.
    #[must_use]
    pub fn relay_file(&self) -> PathBuf {
        self.git.join(RELAY)
    }

    /// The path of the tree of a commit, whether it exists or not.
    #[must_use]
    pub fn tree_path(&self, id: CommitId) -> PathBuf {
        self.trees_dir().join(id.to_string())
    }

    pub(crate) fn trees_dir(&self) -> PathBuf {
        self.root.join(".worktrees")
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        self.git.clone()
    }

    /// The paths of the tree of a commit.
    pub(crate) fn worktree_paths(&self, id: CommitId) -> WorktreePaths {
        WorktreePaths { dir: self.tree_path(id), admin: self.git.join("worktrees").join(id.to_string()) }
    }

    /// The paths under which the tree of a commit is built.
    pub(crate) fn staging_paths(&self, id: CommitId) -> WorktreePaths {
        WorktreePaths {
            dir: self.trees_dir().join(format!(".tmp-{id}")),
            admin: self.git.join(format!("tmp-worktree-{id}")),
        }
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.git_dir().join("objects/pack")
    }

    /// The objects of Git LFS.
    pub(crate) fn lfs(&self) -> LfsStore {
        LfsStore::of(&self.git)
    }

    pub(crate) fn shallow_file(&self) -> PathBuf {
        self.git_dir().join("shallow")
    }

    /// Initialise the repository for objects of `kind`. `promisor` is the remote that has the blobs that a filter
    /// leaves out. The objects are deleted first if they are of the other kind, or if blobs are missing and there
    /// is no promisor any more.
    pub(crate) fn prepare(&mut self, kind: Kind, promisor: Option<&RemoteUrl>) -> Result<()> {
        if self.kind.is_some_and(|stored| stored != kind || (self.is_partial() && promisor.is_none())) {
            self.delete_contents()?;
        }
        self.init(kind, promisor.map(ToString::to_string))?;
        self.kind = Some(kind);
        Ok(())
    }

    /// Whether this is a partial clone: blobs may be missing.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        promisor(&self.git).is_some()
    }

    /// Delete all objects and references, of submodules too. Published trees stay as they are. The next fetch
    /// downloads everything again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if a file cannot be removed.
    pub fn rebuild(&mut self) -> Result<()> {
        // The damage may be in the repository of a submodule.
        for submodule in self.submodules()? {
            submodule.delete_contents()?;
        }
        self.delete_contents()?;
        self.kind = None;
        Ok(())
    }

    /// Delete everything but the trees' admin directories, the stores of submodules, the objects of Git LFS, which are
    /// verified one by one, and the owner lock. The files
    /// are moved to one temporary directory first, so that a kill does not leave half a repository.
    fn delete_contents(&self) -> Result<()> {
        let step = || format!("empty the repository in {}", self.root.display());
        let aside = self.git_dir().join("tmp-damaged");
        fs_err::create_dir_all(&aside).step(step)?;
        for entry in fs_err::read_dir(self.git_dir()).step(step)? {
            let entry = entry.step(step)?;
            let name = entry.file_name();
            if !["worktrees", "modules", "lfs", "syncline-owner", SIGHTINGS, CURRENT, RELAY, "tmp-damaged"]
                .iter()
                .any(|kept| name == *kept)
            {
                fs_err::rename(entry.path(), aside.join(&name)).step(step)?;
            }
        }
        fs_err::remove_dir_all(&aside).step(step)
    }

    /// Create or correct the files that make the directory a repository.
    fn init(&self, kind: Kind, promisor: Option<String>) -> Result<()> {
        let git = self.git_dir();
        let step = || format!("initialise {}", git.display());
        for dir in ["objects/pack", "objects/info", "refs/heads", "worktrees"] {
            fs_err::create_dir_all(git.join(dir)).step(step)?;
        }
        fs_err::create_dir_all(self.trees_dir()).step(step)?;
        if promisor.is_some() {
            // A kill may have come after a pack was written and before it was marked.
            self.packs()
                .and_then(|packs| packs.iter().try_for_each(|pack| mark_promised(pack)))
                .step(step)?;
        }
        // Settings that are already in the volume could change how objects are read.
        write_if_different(&git.join("config"), &config(kind, promisor.as_deref())).step(step)?;
        remove_if_there(&git.join("objects/info/alternates")).step(step)?;
        write_if_different(&git.join("HEAD"), &format!("ref: {BRANCH}\n")).step(step)
    }

    /// Open the repository. Open it again after a fetch: gix sees only a limited number of packs that are added
    /// later. Opening takes a few milliseconds at most.
    ///
    /// gix silently skips packs that it cannot list and indexes that it cannot open. Their objects would seem to be
    /// missing, so that is checked here.
    pub(crate) fn repository(&self) -> Result<gix::Repository> {
        let step = || format!("read the packs in {}", self.pack_dir().display());
        for _ in 0..2 {
            let packs = self.packs().step(step)?.len();
            let repo = self.open_repository(packs)?;
            repo.objects.packed_object_count().map_err(|err| Error::reading(step(), &err))?;
            let metrics = repo.objects.store_ref().metrics();
            let known = metrics.known_reachable_indices;
            if metrics.open_reachable_indices == known && known >= packs {
                return Ok(repo);
            }
        }
        let packs = self.packs().step(step)?;
        if packs.len() > usize::from(MAX_SLOTS) {
            let text = format!("there are {} packs; at most {MAX_SLOTS} can be read", packs.len());
            return Err(Error::new(ErrorKind::DamagedStore, step(), text));
        }
        for pack in packs {
            File::open(pack.with_extension("idx")).step(step)?;
        }
        Err(Error::new(ErrorKind::DamagedStore, step(), "the index of a pack is damaged"))
    }

    fn open_repository(&self, packs: usize) -> Result<gix::Repository> {
        // gix sees one pack per slot, and has at most 2^15 slots.
        let slots = u16::try_from(packs + MORE_PACKS).unwrap_or(u16::MAX).min(MAX_SLOTS);
        let options = gix::open::Options::isolated()
            .with(gix::sec::Trust::Full)
            .open_path_as_is(true)
            .object_store_slots(gix::odb::store::init::Slots::Given(slots))
            .config_overrides(["core.useReplaceRefs=false", "core.multiPackIndex=false"]);
        let mut repo = gix::open_opts(self.git_dir(), options)
            .map_err(|err| Error::reading(format!("open {}", self.git_dir().display()), &err))?;
        repo.object_cache_size(None);
        if let Err(err) = repo.shallow_commits() {
            return Err(Error::reading(format!("read {}", self.shallow_file().display()), &err));
        }
        Ok(repo)
    }

    /// Whether the tree of a commit exists and its HEAD is that commit. This is a quick check of two small files;
    /// [`altered_files`](crate::stages::altered_files) checks every file.
    #[must_use]
    pub fn has_untouched_tree(&self, id: CommitId) -> bool {
        self.worktree_paths(id).names(id)
    }

    /// The commits that have a tree under the root.
    ///
    /// # Errors
    ///
    /// The error of the operating system if `.worktrees` cannot be listed.
    pub fn trees(&self) -> io::Result<Vec<CommitId>> {
        let mut trees = Vec::new();
        for entry in entries(&self.trees_dir())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                trees.extend(entry.file_name().to_str().and_then(|name| name.parse::<CommitId>().ok()));
            }
        }
        Ok(trees)
    }

    /// Write everything to disk: objects, trees and directories. One `syncfs` for the whole file system is much
    /// faster than an `fsync` for each of many files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] or [`ErrorKind::StorageFull`] if data could not be written.
    pub fn flush(&self) -> Result<()> {
        let step = || format!("write {} to disk", self.root.display());
        let root = File::open(&self.root).step(step)?;
        rustix::fs::syncfs(&root).map_err(io::Error::from).step(step)
    }

    /// Remove the tree of a commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if there is no such tree or if it cannot be removed. If only a part of it was removed, the
    /// rest has a temporary name.
    pub fn remove_tree(&mut self, id: CommitId) -> Result<()> {
        let step = || format!("remove the old tree {}", self.tree_path(id).display());
        self.set_tree_aside(id).and_then(TemporaryTree::remove).step(step)
    }

    /// Set a retired tree aside so that the next checkout can reuse its files. Only the last one is kept; it is
    /// deleted with the store. A tree with submodules is removed at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the tree cannot be renamed, or if the tree that was kept before cannot be removed. In the
    /// second case `id` is set aside nevertheless.
    pub fn retain_for_reuse(&mut self, id: CommitId) -> Result<()> {
        // Submodules cannot be updated in place.
        if self.tree_path(id).join(".gitmodules").exists() {
            return self.remove_tree(id);
        }
        let step = || format!("set the old tree {} aside", self.tree_path(id).display());
        let recyclable = self.set_tree_aside(id).step(step)?;
        let step = || format!("remove the old tree {}", recyclable.dir.display());
        let removed = self.recyclable.take().map_or(Ok(()), TemporaryTree::remove).step(step);
        self.recyclable = Some(recyclable);
        removed
    }

    /// Rename a tree to a temporary name. So a tree that is only partly removed never has the name of a complete one.
    fn set_tree_aside(&self, id: CommitId) -> io::Result<TemporaryTree> {
        let mut aside = WorktreePaths {
            dir: self.trees_dir().join(format!(".tmp-old-{id}")),
            admin: self.git.join(format!("tmp-old-{id}")),
        };
        // An earlier tree of this name may still exist: we may have no permission to remove the files of others in
        // it.
        while aside.dir.symlink_metadata().is_ok() || aside.admin.symlink_metadata().is_ok() {
            aside.dir.as_mut_os_string().push("-");
            aside.admin.as_mut_os_string().push("-");
        }
        let paths = self.worktree_paths(id);
        fs_err::rename(&paths.dir, &aside.dir)?;
        if paths.admin.exists() {
            fs_err::rename(&paths.admin, &aside.admin)?;
        }
        self.prune_submodule_worktrees(id, &[])?;
        Ok(TemporaryTree::new(aside))
    }

    /// Take the tree that [`Store::retain_for_reuse`] keeps.
    pub(crate) fn take_recyclable(&mut self) -> Option<TemporaryTree> {
        self.recyclable.take()
    }

    /// Correct the absolute paths in the admin directories. They are wrong after the volume is mounted elsewhere,
    /// and git would then prune a tree that exists. (Submodules need none of this: git prunes their worktrees only
    /// if asked to, inside the submodule.)
    fn refresh_worktree_paths(&self) -> io::Result<()> {
        for paths in self.trees()?.into_iter().map(|id| self.worktree_paths(id)) {
            let gitdir = paths.admin.join("gitdir");
            if gitdir.exists() {
                write_if_different(&gitdir, &format!("{}\n", paths.dir.join(".git").display()))?;
            }
        }
        Ok(())
    }
}
