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

mod files;
mod history;
mod leftovers;
mod modules;
mod packs;
mod place;
mod takeover;
mod v3;

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::{File, OpenOptions};
use gix::hash::Kind;

use crate::error::{Context, Error, Recovery, Result};
use crate::{CommitId, DraftPlan, RemoteUrl, Resources};

use files::{clear_leftovers, remove_if_there, write_if_different};
pub(crate) use files::{entries, packs, remove_dir_if_there};
pub(crate) use history::mark_promised;
pub use history::{CommitInfo, Condition};
pub(crate) use place::{Place, Temporary};

/// How many packs gix can tell apart.
const MAX_SLOTS: u16 = (1 << 15) - 1;

/// Packs that may come while a repository is open.
const MORE_PACKS: usize = 64;

/// The branch that follows what is published, named as git-sync names it.
const BRANCH: &str = "refs/heads/git-sync";

/// The repository under a root directory, owned by this process until dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    git: PathBuf,
    kind: Option<Kind>,
    warnings: Vec<Error>,
    owner: Arc<File>,
    /// The tree that was retired last, to make the next one from.
    spare: Option<Temporary>,
    resources: Resources,
}

/// Why a [`Store`] could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns the root; the text says which.
    Busy(String),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for OpenError {
    fn from(err: Error) -> Self {
        OpenError::Failed(err)
    }
}

impl Store {
    /// Own `root`, creating it if need be, and clear what an earlier owner left half-made. All work on the store
    /// keeps to `resources`.
    pub fn open(root: &Path, resources: Resources) -> std::result::Result<Store, OpenError> {
        let step = || format!("open {}", root.display());
        fs_err::create_dir_all(root).step(step)?;
        let root = fs_err::canonicalize(root).step(step)?;
        let git = root.join(".git");
        takeover::take_over(&root)?;
        fs_err::create_dir_all(&git).step(step)?;
        let owner = lock(&git.join("syncline-owner"))?;
        let warnings = clear_leftovers(&root, None)
            .step(|| format!("clear what was left half-made in {}", root.display()))?;
        let kind = stored_kind(&git).step(step)?;
        let store = Store { root, git, kind, warnings, owner: Arc::new(owner), spare: None, resources };
        if let Some(kind) = kind {
            store.init(kind, promisor(&store.git))?;
            store.refresh_worktree_paths().step(step)?;
            store.remove_stray_places().step(step)?;
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
    pub(crate) fn place(&self, id: CommitId) -> Place {
        Place { dir: self.tree_path(id), admin: self.git.join("worktrees").join(id.to_string()) }
    }

    /// Where the tree of a commit is made.
    pub(crate) fn building_place(&self, id: CommitId) -> Place {
        Place {
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
        for module in self.modules()? {
            module.set_aside()?;
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
            return Err(Error::new(Recovery::Rebuild, step(), text));
        }
        for pack in packs {
            File::open(pack.with_extension("idx")).step(step)?;
        }
        Err(Error::new(Recovery::Rebuild, step(), "the index of a pack is damaged"))
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
        self.place(id).names(id)
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
        self.set_tree_aside(id).and_then(Temporary::remove).step(step)
    }

    /// Keep the tree of a commit, which nobody is shown any longer, to make the next one from it. It has no name
    /// any more, and is removed when another takes its place, or with this store.
    pub fn keep_spare(&mut self, id: CommitId) -> Result<()> {
        // Submodules are not brought up to date in place.
        if self.tree_path(id).join(".gitmodules").exists() {
            return self.remove_tree(id);
        }
        let step = || format!("set the old tree {} aside", self.tree_path(id).display());
        let spare = self.set_tree_aside(id).step(step)?;
        let step = || format!("remove the old tree {}", spare.dir.display());
        let before = self.spare.take().map_or(Ok(()), Temporary::remove).step(step);
        self.spare = Some(spare);
        before
    }

    /// The name goes first, so that a half-removed tree is never taken for whole.
    fn set_tree_aside(&self, id: CommitId) -> io::Result<Temporary> {
        let mut aside = Place {
            dir: self.trees_dir().join(format!(".tmp-old-{id}")),
            admin: self.git.join(format!("tmp-old-{id}")),
        };
        // An earlier tree of this name may have refused to go: somebody else's files may be in it.
        while aside.dir.symlink_metadata().is_ok() || aside.admin.symlink_metadata().is_ok() {
            aside.dir.as_mut_os_string().push("-");
            aside.admin.as_mut_os_string().push("-");
        }
        let place = self.place(id);
        fs_err::rename(&place.dir, &aside.dir)?;
        if place.admin.exists() {
            fs_err::rename(&place.admin, &aside.admin)?;
        }
        self.keep_module_places(id, &[])?;
        Ok(Temporary::new(aside))
    }

    /// How to make what the next tree is made from, now that the tree of `last` is published: if `takes_spare`, of
    /// what was kept by [`Store::keep_spare`] if that is still as it was written, else by hard links to the tree of
    /// `last`.
    ///
    /// Whoever still has the kept tree open would see the next commit's files come into it.
    pub fn plan_draft(&mut self, last: CommitId, takes_spare: bool) -> DraftPlan {
        DraftPlan {
            spare: self.spare.take_if(|_| takes_spare),
            last: self.place(last),
            id: last,
            place: Temporary::draft(&self.root),
            threads: self.resources.threads(),
        }
    }

    /// The admin files hold an absolute path, which a volume mounted elsewhere makes stale; git would then
    /// prune a live tree. (Submodules are left alone: git prunes them only when asked to, inside.)
    fn refresh_worktree_paths(&self) -> io::Result<()> {
        for place in self.trees()?.into_iter().map(|id| self.place(id)) {
            let gitdir = place.admin.join("gitdir");
            if gitdir.exists() {
                write_if_different(&gitdir, &format!("{}\n", place.dir.join(".git").display()))?;
            }
        }
        Ok(())
    }
}

fn config(kind: Kind, promisor: Option<&str>) -> String {
    let version = u8::from(kind == Kind::Sha256 || promisor.is_some());
    let mut text = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
         [gc]\n\tauto = 0\n"
    );
    if kind == Kind::Sha256 {
        text.push_str("[extensions]\n\tobjectFormat = sha256\n");
    }
    if let Some(url) = promisor {
        let url = url.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(
            "[extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\tpromisor = true\n\turl = \"{url}\"\n"
        ));
    }
    text
}

/// The repository that has what is missing here, as the configuration names it.
fn promisor(git: &Path) -> Option<String> {
    let config = fs_err::read_to_string(git.join("config")).ok()?;
    config.contains("partialClone = origin").then_some(())?;
    let line = config.lines().find_map(|line| line.trim_start().strip_prefix("url = \""))?;
    Some(line.trim_end_matches('"').replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn lock(path: &Path) -> std::result::Result<File, OpenError> {
    let step = || format!("lock {}", path.display());
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).step(step)?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).step(step)?;
            return Err(OpenError::Busy(owner.trim_end().to_owned()));
        }
        Err(err) => return Err(OpenError::Failed(Error::io(step(), &err))),
    }
    let host = rustix::system::uname();
    let owner = format!("pid {} on {}\n", std::process::id(), host.nodename().to_string_lossy());
    // A note for others. The lock is held without it, too: the disk may be full.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes()));
    Ok(file)
}

/// The kind of objects in an existing repository; `None` where there is none yet.
fn stored_kind(git: &Path) -> io::Result<Option<Kind>> {
    match fs_err::read_to_string(git.join("config")) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
        Ok(config) => {
            let sha256 = config.lines().any(|line| {
                let line = line.to_ascii_lowercase();
                line.trim_start().starts_with("objectformat") && line.contains("sha256")
            });
            Ok(Some(if sha256 { Kind::Sha256 } else { Kind::Sha1 }))
        }
    }
}
