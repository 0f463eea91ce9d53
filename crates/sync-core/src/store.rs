//! The repository under the root: who owns it, what it holds, how it is mended.
//!
//! ```text
//! <root>/.git/                    a repository that stock git can read
//! <root>/.git/syncline-owner      locked while a process owns the root; says which
//! <root>/.git/worktrees/<id>/     HEAD, commondir, gitdir, index of a published tree
//! <root>/.worktrees/<id>/         a published tree
//! ```
//! What is half-made has a name that begins with `tmp-` or `.tmp-`, and goes when the root is next opened.
//! Nothing under the root that was not made here is deleted.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use gix::ObjectId;
use gix::hash::Kind;

use crate::error::{Context, Error, Recovery, Result};
use crate::objects::{Closure, closure, copy_objects};
use crate::progress::{Progress, Stage};
use crate::{CommitId, Depth, Interrupt};

/// The branch that follows what is published, named as git-sync names it.
const BRANCH: &str = "refs/heads/git-sync";

/// More packs than this are folded into one: every request names the boundary of each, every look-up asks each.
const MAX_PACKS: usize = 40;

/// The repository under a root directory, owned by this process until dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    kind: Option<Kind>,
    _owner: File,
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

/// What a look at a commit in the store found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All there, with as much history as asked for.
    Sound,
    /// The tree is complete but the history is shorter than asked for.
    TooShallow,
    /// The tree is complete but the history is longer than asked for.
    TooDeep,
    /// Objects are missing or damaged.
    Damaged,
}

impl Store {
    /// Own `root`, creating it if need be, and clear what an earlier owner left half-made.
    pub fn open(root: &Path) -> std::result::Result<Store, OpenError> {
        let step = || format!("open {}", root.display());
        fs_err::create_dir_all(root).step(step)?;
        let root = fs_err::canonicalize(root).step(step)?;
        let git = root.join(".git");
        refuse_foreign_repository(&git)?;
        fs_err::create_dir_all(&git).step(step)?;
        let owner = lock(&git.join("syncline-owner"))?;
        clear_leftovers(&root).step(|| format!("clear what was left half-made in {}", root.display()))?;
        let kind = stored_kind(&git).step(step)?;
        let store = Store { root, kind, _owner: owner };
        if let Some(kind) = kind {
            store.init(kind)?;
            store.refresh_worktree_paths().step(step)?;
        }
        Ok(store)
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
        self.root.join(".git")
    }

    pub(crate) fn admin_dir(&self, id: CommitId) -> PathBuf {
        self.git_dir().join("worktrees").join(id.to_string())
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.git_dir().join("objects/pack")
    }

    pub(crate) fn shallow_file(&self) -> PathBuf {
        self.git_dir().join("shallow")
    }

    /// Make the repository hold objects of `kind`; one of another kind is replaced.
    pub(crate) fn prepare(&mut self, kind: Kind) -> Result<()> {
        if self.kind.is_some_and(|stored| stored != kind) {
            self.set_aside()?;
        }
        self.init(kind)?;
        self.kind = Some(kind);
        Ok(())
    }

    /// Replace the repository's objects and references by nothing. Published trees and the link stay as they
    /// are; the next fetch brings everything anew.
    pub fn rebuild(&mut self) -> Result<()> {
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
            if name != "worktrees" && name != "syncline-owner" && name != "tmp-damaged" {
                fs_err::rename(entry.path(), aside.join(&name)).step(step)?;
            }
        }
        fs_err::remove_dir_all(&aside).step(step)
    }

    /// Write whatever makes the directory a repository, where it is not so already.
    fn init(&self, kind: Kind) -> Result<()> {
        let git = self.git_dir();
        let step = || format!("initialise {}", git.display());
        for dir in ["objects/pack", "objects/info", "refs/heads", "worktrees"] {
            fs_err::create_dir_all(git.join(dir)).step(step)?;
        }
        fs_err::create_dir_all(self.trees_dir()).step(step)?;
        // The configuration is ours alone: whatever else a volume brings along could change what is read.
        write_if_different(&git.join("config"), &config(kind)).step(step)?;
        remove_if_there(&git.join("objects/info/alternates")).step(step)?;
        write_if_different(&git.join("HEAD"), &format!("ref: {BRANCH}\n")).step(step)
    }

    /// A fresh view: an open one sees no more than 32 new packs. Costs a few milliseconds at most.
    pub(crate) fn repository(&self) -> Result<gix::Repository> {
        let options = gix::open::Options::isolated()
            .with(gix::sec::Trust::Full)
            .open_path_as_is(true)
            .object_store_slots(gix::odb::store::init::Slots::Given(1024))
            .config_overrides(["gitoxide.objects.noReplace=true"]);
        let mut repo = gix::open_opts(self.git_dir(), options)
            .map_err(|err| Error::gix(format!("open {}", self.git_dir().display()), &err).or_rebuild())?;
        repo.object_cache_size(None);
        if let Err(err) = repo.shallow_commits() {
            return Err(Error::gix(format!("read {}", self.shallow_file().display()), &err).or_rebuild());
        }
        Ok(repo)
    }

    /// The commits whose every object is here, to be offered to a server.
    pub(crate) fn haves(&self, repo: &gix::Repository) -> Result<BTreeSet<ObjectId>> {
        let mut tips = self.kept_commits().step(|| format!("list the trees in {}", self.root.display()))?;
        tips.extend(self.branch());
        Ok(tips.into_iter().filter(|id| is_here(repo, id)).collect())
    }

    fn branch(&self) -> Option<ObjectId> {
        let text = fs_err::read_to_string(self.git_dir().join(BRANCH)).ok()?;
        ObjectId::from_hex(text.trim_end().as_bytes()).ok()
    }

    fn kept_commits(&self) -> io::Result<BTreeSet<ObjectId>> {
        Ok(self.trees()?.into_iter().map(|id| id.0).collect())
    }

    /// The commits that have a tree, published now or once.
    pub fn trees(&self) -> io::Result<Vec<CommitId>> {
        let mut trees = Vec::new();
        for entry in entries(&self.trees_dir())? {
            trees.extend(entry?.file_name().to_str().and_then(|name| name.parse::<CommitId>().ok()));
        }
        Ok(trees)
    }

    /// Remove the tree of a commit. Its name goes first, so that a half-removed tree is never taken for whole.
    pub fn remove_tree(&self, id: CommitId) -> Result<()> {
        let step = || format!("remove the old tree {}", self.tree_path(id).display());
        let doomed = self.trees_dir().join(format!(".tmp-old-{id}"));
        if doomed.exists() {
            fs_err::remove_dir_all(&doomed).step(step)?;
        }
        fs_err::rename(self.tree_path(id), &doomed).step(step)?;
        remove_dir_if_there(&self.admin_dir(id)).step(step)?;
        fs_err::remove_dir_all(&doomed).step(step)
    }

    /// Move the branch. Its log keeps what is no longer reachable until the store is folded: earlier commits,
    /// and those that the shallow boundary now cuts off. So git finds nothing dangling, and the boundary of
    /// earlier commits stays true.
    pub(crate) fn record(&self, repo: &gix::Repository, id: ObjectId) -> Result<()> {
        let step = || format!("record {id} in {}", self.git_dir().display());
        let mut kept: BTreeSet<ObjectId> = self.logged().into_iter().chain(self.branch()).collect();
        for boundary in repo.shallow_commits().step(step)?.iter().flat_map(|ids| ids.iter()) {
            if let Ok(commit) = repo.find_commit(*boundary) {
                kept.extend(commit.parent_ids().map(gix::Id::detach));
            }
        }
        kept.remove(&id);
        let time = repo.find_commit(id).step(step)?.time().step(step)?.seconds;
        let lines = kept.iter().filter(|kept| is_here(repo, kept)).map(|kept| log_line(*kept, id, time));
        self.write_log(&String::from_iter(lines)).step(step)?;
        replace_file(&self.git_dir().join(BRANCH), &format!("{id}\n")).step(step)
    }

    /// Make the branch name a commit that is here, where it names another: a killed process got no further, or
    /// somebody moved it.
    pub fn adopt(&self, id: CommitId) -> Result<()> {
        if self.branch() == Some(id.0) { Ok(()) } else { self.record(&self.repository()?, id.0) }
    }

    /// The commits that the branch's log names.
    fn logged(&self) -> Vec<ObjectId> {
        let log = fs_err::read_to_string(self.git_dir().join("logs").join(BRANCH)).unwrap_or_default();
        let ids = log.lines().flat_map(|line| line.split(' ').take(2));
        ids.filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok()).filter(|id| !id.is_null()).collect()
    }

    fn write_log(&self, lines: &str) -> io::Result<()> {
        let log = self.git_dir().join("logs").join(BRANCH);
        fs_err::create_dir_all(log.parent().unwrap_or(&log))?;
        replace_file(&log, lines)
    }

    /// Whether `id` can be published from here and has as much history as asked for.
    pub fn inspect(&self, id: CommitId, depth: Depth, interrupt: &Interrupt) -> Result<Condition> {
        let step = || format!("inspect {id} in {}", self.git_dir().display());
        if self.kind != Some(id.0.kind()) {
            return Ok(Condition::Damaged);
        }
        let Ok(mut repo) = self.repository() else { return Ok(Condition::Damaged) };
        repo.objects.refresh_never();
        let one = closure(&repo, &[id.0], Depth::default(), |_| false, |_| false, interrupt);
        interrupt.check().step(step)?;
        match one {
            Ok(one) if one.objects.iter().all(|id| repo.has_object(id)) => {}
            _ => return Ok(Condition::Damaged),
        }
        self.compare_depth(&repo, id.0, depth, interrupt).step(step)
    }

    fn compare_depth(
        &self,
        repo: &gix::Repository,
        tip: ObjectId,
        depth: Depth,
        interrupt: &Interrupt,
    ) -> gix::Result<Condition> {
        let stored: BTreeSet<ObjectId> =
            repo.shallow_commits()?.map(|ids| ids.iter().copied().collect()).unwrap_or_default();
        let Some(depth) = depth.0 else {
            return Ok(if stored.is_empty() { Condition::Sound } else { Condition::TooShallow });
        };
        let (mut level, mut seen) = (vec![tip], BTreeSet::from([tip]));
        for distance in 1..=depth.get() {
            let mut parents = Vec::new();
            for id in level {
                interrupt.check().map_err(gix::Error::from_error)?;
                let commit = repo.find_commit(id)?;
                let has_parents = commit.parent_ids().next().is_some();
                match (stored.contains(&id), distance == depth.get()) {
                    (true, false) => return Ok(Condition::TooShallow),
                    (false, true) if has_parents => return Ok(Condition::TooDeep),
                    _ => {}
                }
                parents.extend(commit.parent_ids().map(gix::Id::detach).filter(|id| seen.insert(*id)));
            }
            level = parents;
        }
        Ok(Condition::Sound)
    }

    /// Whether it is time to [`Store::fold`].
    pub fn has_many_packs(&self) -> bool {
        self.packs().is_ok_and(|packs| packs.len() > MAX_PACKS)
    }

    /// Write one pack of what the published trees and `depth` commits below the newest need, and drop all else.
    pub fn fold(&self, depth: Depth, progress: &Progress, interrupt: &Interrupt) -> Result<()> {
        let step = || format!("fold the packs in {}", self.pack_dir().display());
        progress.enter(Stage::Folding);
        let old_packs = self.packs().step(step)?;
        let repo = self.repository()?;
        let tips: Vec<ObjectId> = self.haves(&repo)?.into_iter().collect();
        let live = closure(&repo, &tips, depth, |_| false, |_| false, interrupt)
            .map_err(|err| Error::gix(step(), &err).or_rebuild())?;
        let folded = copy_objects(&repo, &live.objects, &self.pack_dir(), progress, interrupt)?;
        drop(repo);
        for pack in old_packs.into_iter().filter(|pack| Some(pack) != folded.as_ref()) {
            // Without its index a pack is not there; the other order would leave an index without a pack.
            for extension in ["idx", "rev", "bitmap", "pack"] {
                remove_if_there(&pack.with_extension(extension)).step(step)?;
            }
        }
        self.remove_loose_objects().step(step)?;
        self.write_shallow(&live.boundary).step(step)?;
        self.write_log("").step(step)
    }

    fn packs(&self) -> io::Result<Vec<PathBuf>> {
        let mut packs = Vec::new();
        for entry in entries(&self.pack_dir())? {
            packs.push(entry?.path());
        }
        packs.retain(|path| path.extension() == Some("pack".as_ref()));
        Ok(packs)
    }

    fn remove_loose_objects(&self) -> io::Result<()> {
        for entry in entries(&self.git_dir().join("objects"))? {
            let entry = entry?;
            let name = entry.file_name();
            if name.len() == 2 && name.to_str().is_some_and(|name| u8::from_str_radix(name, 16).is_ok()) {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Draw the boundary anew for the commits just passed; it stays as it was for all others.
    pub(crate) fn redraw_shallow(&self, repo: &gix::Repository, passed: &Closure) -> gix::Result<()> {
        let stored = repo.shallow_commits()?;
        let others = stored.iter().flat_map(|ids| ids.iter()).filter(|id| !passed.commits.contains(id));
        let boundary: Vec<ObjectId> = others.chain(&passed.boundary).copied().collect();
        self.write_shallow(&boundary).map_err(gix::Error::from_error)
    }

    pub(crate) fn write_shallow(&self, boundary: &[ObjectId]) -> io::Result<()> {
        if boundary.is_empty() {
            return remove_if_there(&self.shallow_file());
        }
        let lines: BTreeSet<String> = boundary.iter().map(|id| format!("{id}\n")).collect();
        replace_file(&self.shallow_file(), &String::from_iter(lines))
    }

    /// The admin files hold an absolute path, which a volume mounted elsewhere makes stale; git would then
    /// prune a live tree.
    fn refresh_worktree_paths(&self) -> io::Result<()> {
        for id in self.trees()? {
            let gitdir = self.admin_dir(id).join("gitdir");
            if gitdir.exists() {
                write_if_different(&gitdir, &format!("{}\n", self.tree_path(id).join(".git").display()))?;
            }
        }
        Ok(())
    }
}

/// Ids of another kind than the repository's come from a root's earlier life.
fn is_here(repo: &gix::Repository, id: &ObjectId) -> bool {
    id.kind() == repo.object_hash() && repo.has_object(id)
}

fn config(kind: Kind) -> String {
    let (version, extensions) = match kind {
        Kind::Sha256 => (1, "[extensions]\n\tobjectFormat = sha256\n"),
        _ => (0, ""),
    };
    format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\
         \tlogallrefupdates = true\n{extensions}[gc]\n\tauto = 0\n"
    )
}

fn log_line(before: ObjectId, after: ObjectId, time: i64) -> String {
    format!("{before} {after} syncline <syncline@localhost> {time} +0000\tsync\n")
}

/// A repository that neither syncline nor git-sync made is somebody's work.
fn refuse_foreign_repository(git: &Path) -> Result<()> {
    let ours = git.join("syncline-owner").exists();
    let head = match fs_err::read_to_string(git.join("HEAD")) {
        Ok(head) => head,
        Err(_) if git.is_file() => "a .git file".into(),
        Err(_) => return Ok(()),
    };
    if ours || head.trim_end() == format!("ref: {BRANCH}") {
        return Ok(());
    }
    Err(Error::new(
        Recovery::Reconfigure,
        format!("open {}", git.parent().unwrap_or(git).display()),
        "this is a Git repository of somebody else; choose an empty directory as root",
    ))
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
    file.set_len(0).step(step)?;
    file.rewind().step(step)?;
    file.write_all(owner.as_bytes()).step(step)?;
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

/// What a killed process leaves: locks of git's own, temporary files, packs without an index, half-made trees.
/// The owner's lock is held, so nobody else is still using them.
fn clear_leftovers(root: &Path) -> io::Result<()> {
    let git = root.join(".git");
    let is_lock = |name: &str| name.ends_with(".lock");
    remove_matching(&git, &|name| is_lock(name) || name.starts_with("tmp-"))?;
    remove_matching(&git.join("refs/heads"), &is_lock)?;
    for admin in entries(&git.join("worktrees"))? {
        remove_matching(&admin?.path(), &is_lock)?;
    }
    remove_matching(&root.join(".worktrees"), &|name| name.starts_with(".tmp-"))?;
    let packs = git.join("objects/pack");
    let has = |name: &str, extension| packs.join(name).with_extension(extension).exists();
    remove_matching(&packs, &|name| match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("keep") => true,
        Some("pack") => !has(name, "idx"),
        Some("idx") => !has(name, "pack"),
        _ => name.starts_with(".tmp") || name.starts_with("tmp_"),
    })
}

fn remove_matching(dir: &Path, is_leftover: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in entries(dir)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_leftover) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The entries of a directory; none where it does not exist.
pub(crate) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs_err::DirEntry>>> {
    match fs_err::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(err) => Err(err),
    }
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

pub(crate) fn remove_dir_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

fn write_if_different(path: &Path, content: &str) -> io::Result<()> {
    match fs_err::read(path) {
        Ok(found) if found == content.as_bytes() => Ok(()),
        _ => replace_file(path, content),
    }
}

/// Readers see the old content or the new.
fn replace_file(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("lock");
    fs_err::write(&temporary, content)?;
    fs_err::rename(temporary, path)
}
