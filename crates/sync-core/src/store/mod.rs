//! The repository under the root: who owns it, what it holds, how it is mended.
//!
//! ```text
//! <root>/.git/                    a repository that stock git can read
//! <root>/.git/syncline-owner      locked while a process owns the root; says which
//! <root>/.git/worktrees/<id>/     HEAD, commondir, gitdir, index of a published tree
//! <root>/.worktrees/<id>/         a published tree
//! ```
//! What is half-made has a name that begins with `tmp-` or `.tmp-`, and goes when the root is next opened.
//! Nothing under the root that was not made here is deleted, but for what others put into `.git` and `.worktrees`.

mod git_sync_v3;
pub(crate) mod history;
pub(crate) mod layout;
mod leftovers;
mod lock;
mod packs;
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
use crate::resources::Resources;
use crate::spec::reference::CommitId;
use crate::store::leftovers::clear_leftovers;
use crate::store::lock::lock;
use crate::store::worktree_paths::TemporaryTree;
use crate::url::RemoteUrl;

use layout::{BRANCH, config, mark_promised, promisor, stored_kind, unknown_format};
use worktree_paths::WorktreePaths;

/// How many packs gix can tell apart.
const MAX_SLOTS: u16 = (1 << 15) - 1;

/// Packs that may come while a repository is open.
const MORE_PACKS: usize = 64;

/// The repository under a root directory, owned by this process until dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    git: PathBuf,
    kind: Option<Kind>,
    warnings: Vec<Error>,
    owner: Arc<File>,
    /// The tree that was retired last, to make the next one from.
    recyclable: Option<TemporaryTree>,
    resources: Resources,
}

impl Store {
    /// Own `root`, creating it if need be, and clear what an earlier owner left half-made. All work on the store
    /// keeps to `resources`.
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
        let warnings = clear_leftovers(&root, None)
            .step(|| format!("clear what was left half-made in {}", root.display()))?;
        let kind = stored_kind(&git).step(step)?;
        let store = Store { root, git, kind, warnings, owner: Arc::new(owner), recyclable: None, resources };
        if let Some(kind) = kind {
            store.init(kind, promisor(&store.git))?;
            store.refresh_worktree_paths().step(step)?;
            store.remove_stray_admin_dirs().step(step)?;
        }
        Ok(store)
    }

    /// What could not be cleared when the store was opened; it only takes up space.
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// The absolute path of the root, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the tree of a commit is, or would be, published.
    pub fn tree_path(&self, id: CommitId) -> PathBuf {
        self.trees_dir().join(id.to_string())
    }

    pub(crate) fn trees_dir(&self) -> PathBuf {
        self.root.join(".worktrees")
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        self.git.clone()
    }

    /// Where the tree of a commit and what git knows of it have their place.
    pub(crate) fn worktree_paths(&self, id: CommitId) -> WorktreePaths {
        WorktreePaths { dir: self.tree_path(id), admin: self.git.join("worktrees").join(id.to_string()) }
    }

    /// Where the tree of a commit is made.
    pub(crate) fn staging_paths(&self, id: CommitId) -> WorktreePaths {
        WorktreePaths {
            dir: self.trees_dir().join(format!(".tmp-{id}")),
            admin: self.git.join(format!("tmp-worktree-{id}")),
        }
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.git_dir().join("objects/pack")
    }

    pub(crate) fn shallow_file(&self) -> PathBuf {
        self.git_dir().join("shallow")
    }

    /// Make the repository hold objects of `kind`; one of another kind is replaced.
    /// `promisor` is the repository that has what a filter left out. A store that lacks blobs is replaced, too,
    /// once it may not.
    pub(crate) fn prepare(&mut self, kind: Kind, promisor: Option<&RemoteUrl>) -> Result<()> {
        if self.kind.is_some_and(|stored| stored != kind || (self.is_partial() && promisor.is_none())) {
            self.set_aside()?;
        }
        self.init(kind, promisor.map(ToString::to_string))?;
        self.kind = Some(kind);
        Ok(())
    }

    /// Whether blobs may be missing.
    pub fn is_partial(&self) -> bool {
        promisor(&self.git).is_some()
    }

    /// Replace the repository's objects and references by nothing. Published trees and the link stay as they
    /// are; the next fetch brings everything anew.
    pub fn rebuild(&mut self) -> Result<()> {
        // The damage may be in a submodule's.
        for submodule in self.submodules()? {
            submodule.set_aside()?;
        }
        self.set_aside()?;
        self.kind = None;
        Ok(())
    }

    fn set_aside(&self) -> Result<()> {
        let step = || format!("set the damaged repository in {} aside", self.root.display());
        let aside = self.git_dir().join("tmp-damaged");
        fs_err::create_dir_all(&aside).step(step)?;
        for entry in fs_err::read_dir(self.git_dir()).step(step)? {
            let entry = entry.step(step)?;
            let name = entry.file_name();
            if !["worktrees", "modules", "syncline-owner", "tmp-damaged"].iter().any(|kept| name == *kept) {
                fs_err::rename(entry.path(), aside.join(&name)).step(step)?;
            }
        }
        fs_err::remove_dir_all(&aside).step(step)
    }

    /// Write whatever makes the directory a repository, where it is not so already.
    fn init(&self, kind: Kind, promisor: Option<String>) -> Result<()> {
        let git = self.git_dir();
        let step = || format!("initialise {}", git.display());
        for dir in ["objects/pack", "objects/info", "refs/heads", "worktrees"] {
            fs_err::create_dir_all(git.join(dir)).step(step)?;
        }
        fs_err::create_dir_all(self.trees_dir()).step(step)?;
        if promisor.is_some() {
            // A kill may have come between a pack and its mark.
            self.packs()
                .and_then(|packs| packs.iter().try_for_each(|pack| mark_promised(pack)))
                .step(step)?;
        }
        // The configuration is ours alone: whatever else a volume brings along could change what is read.
        write_if_different(&git.join("config"), &config(kind, promisor.as_deref())).step(step)?;
        remove_if_there(&git.join("objects/info/alternates")).step(step)?;
        write_if_different(&git.join("HEAD"), &format!("ref: {BRANCH}\n")).step(step)
    }

    /// A fresh view: an open one sees no more than 32 new packs. Costs a few milliseconds at most.
    ///
    /// gix passes over packs that it cannot list and an index that it cannot open, and all that they hold would seem
    /// to be missing.
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
            let text = format!("there are {} packs, and no more than {MAX_SLOTS} can be read", packs.len());
            return Err(Error::new(ErrorKind::DamagedStore, step(), text));
        }
        for pack in packs {
            File::open(pack.with_extension("idx")).step(step)?;
        }
        Err(Error::new(ErrorKind::DamagedStore, step(), "the index of a pack is damaged"))
    }

    fn open_repository(&self, packs: usize) -> Result<gix::Repository> {
        // gix knows of no more than it has slots for, and has no more than 2^15.
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

    /// Whether the tree of a commit is there and nobody moved its HEAD, as far as a glance tells. It reads two small
    /// files; [`altered_files`](crate::altered_files) looks at every file.
    pub fn has_untouched_tree(&self, id: CommitId) -> bool {
        self.worktree_paths(id).names(id)
    }

    /// The commits that have a tree, published now or once.
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

    /// Write everything to disk: objects, trees and directories. It is one call for the whole file system, since
    /// one for each of many files takes many times as long.
    pub fn flush(&self) -> Result<()> {
        let step = || format!("write {} to disk", self.root.display());
        let root = File::open(&self.root).step(step)?;
        rustix::fs::syncfs(&root).map_err(io::Error::from).step(step)
    }

    /// Remove the tree of a commit.
    pub fn remove_tree(&self, id: CommitId) -> Result<()> {
        let step = || format!("remove the old tree {}", self.tree_path(id).display());
        self.set_tree_aside(id).and_then(TemporaryTree::remove).step(step)
    }

    /// Keep the tree of a commit, which nobody is shown any longer, to make the next one from it. It has no name
    /// any more, and is removed when another takes its place, or with this store.
    pub fn retain_for_reuse(&mut self, id: CommitId) -> Result<()> {
        // SubmoduleMode are not brought up to date in place.
        if self.tree_path(id).join(".gitmodules").exists() {
            return self.remove_tree(id);
        }
        let step = || format!("set the old tree {} aside", self.tree_path(id).display());
        let recyclable = self.set_tree_aside(id).step(step)?;
        let step = || format!("remove the old tree {}", recyclable.dir.display());
        let before = self.recyclable.take().map_or(Ok(()), TemporaryTree::remove).step(step);
        self.recyclable = Some(recyclable);
        before
    }

    /// The name goes first, so that a half-removed tree is never taken for whole.
    fn set_tree_aside(&self, id: CommitId) -> io::Result<TemporaryTree> {
        let mut aside = WorktreePaths {
            dir: self.trees_dir().join(format!(".tmp-old-{id}")),
            admin: self.git.join(format!("tmp-old-{id}")),
        };
        // An earlier tree of this name may have refused to go: somebody else's files may be in it.
        while aside.dir.symlink_metadata().is_ok() || aside.admin.symlink_metadata().is_ok() {
            aside.dir.as_mut_os_string().push("-");
            aside.admin.as_mut_os_string().push("-");
        }
        let paths = self.worktree_paths(id);
        fs_err::rename(&paths.dir, &aside.dir)?;
        if paths.admin.exists() {
            fs_err::rename(&paths.admin, &aside.admin)?;
        }
        self.keep_submodule_worktrees(id, &[])?;
        Ok(TemporaryTree::new(aside))
    }

    /// The tree that was retired last, if it was kept by [`Store::retain_for_reuse`].
    pub(crate) fn take_recyclable(&mut self) -> Option<TemporaryTree> {
        self.recyclable.take()
    }

    /// The admin files hold an absolute path, which a volume mounted elsewhere makes stale; git would then
    /// prune a live tree. (SubmoduleMode are left alone: git prunes them only when asked to, inside.)
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
