//! What the store's history is made of: which commits stay reachable, where the shallow boundary runs, and
//! folding many packs into one.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::Store;
use super::layout::BRANCH;
use crate::error::{Context, Error, Recovery, Result};
use crate::fs_ext::{entries, remove_dir_if_there, remove_if_there, remove_matching, replace_file};
use crate::interrupt::Interrupt;
use crate::objects::closure::{Closure, boundary, closure};
use crate::objects::packs::{packs, remove_pack};
use crate::progress::{Progress, Stage};
use crate::repack::copy_objects;
use crate::spec::Depth;
use crate::spec::reference::CommitId;
use crate::store::layout::mark_promised;

/// What a look at a commit in the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All there, with as much history as asked for.
    Sound,
    /// The tree is complete but the history is shorter than asked for.
    TooShallow,
    /// The tree is complete but the history is longer than asked for.
    TooDeep,
    /// Objects are missing or damaged; the text says which, or how that was noticed.
    Damaged(String),
}

/// A commit as people know it.
#[derive(Clone, Debug)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The committer's date, in seconds since 1970.
    pub time: i64,
    /// The first line of its message, at most 200 characters without control characters.
    pub subject: String,
}

impl Store {
    /// The commits whose every object is here, to be offered to a server.
    pub(crate) fn haves(&self, repo: &gix::Repository) -> Result<BTreeSet<ObjectId>> {
        let mut tips = self.kept_commits().step(|| format!("list the trees in {}", self.root.display()))?;
        tips.extend(self.branch());
        Ok(tips.into_iter().filter(|id| is_here(repo, id)).collect())
    }

    /// Whether a commit was received, with all that its tree needs: commits come in packs with their trees. What a
    /// killed process brought without recording it may lack its place in the boundary.
    pub(crate) fn has_commit(&self, id: ObjectId) -> bool {
        self.kind.is_some()
            && self.repository().is_ok_and(|repo| {
                let is_recorded = || self.haves(&repo).is_ok_and(|haves| haves.contains(&id));
                is_recorded() || (self.logged().contains(&id) && is_here(&repo, &id))
            })
    }

    /// The newest commit that was received, whether or not it came to be published.
    pub fn newest(&self) -> Option<CommitId> {
        self.branch().map(CommitId)
    }

    fn branch(&self) -> Option<ObjectId> {
        let text = fs_err::read_to_string(self.git_dir().join(BRANCH)).ok()?;
        ObjectId::from_hex(text.trim_end().as_bytes()).ok()
    }

    /// The commits that have a tree.
    fn kept_commits(&self) -> io::Result<BTreeSet<ObjectId>> {
        let mut kept = BTreeSet::new();
        for admin in entries(&self.git.join("worktrees"))? {
            let head = fs_err::read_to_string(admin?.path().join("HEAD")).unwrap_or_default();
            kept.extend(ObjectId::from_hex(head.trim_end().as_bytes()));
        }
        Ok(kept)
    }

    /// Move the branch. Its log keeps what is no longer reachable until the store is folded: earlier commits,
    /// and those that the shallow boundary now cuts off. So git finds nothing dangling, and the boundary of
    /// earlier commits stays true.
    ///
    /// `wanted` is what was asked for: `id`, or a tag above it.
    pub(crate) fn record(&self, repo: &gix::Repository, id: ObjectId, wanted: ObjectId) -> Result<()> {
        let step = || format!("record {id} in {}", self.git_dir().display());
        let mut kept: BTreeSet<ObjectId> =
            self.logged().into_iter().chain(self.branch()).chain([wanted]).collect();
        for boundary in boundary(repo).step(step)? {
            if let Ok(commit) = repo.find_commit(boundary) {
                kept.extend(commit.parent_ids().map(gix::Id::detach));
            }
        }
        self.write_log(repo, &kept, id).step(step)?;
        replace_file(&self.git_dir().join(BRANCH), &format!("{id}\n")).step(step)
    }

    /// Make the branch name a commit that is here, and its log only such: a killed process got no further, or
    /// somebody moved it.
    pub fn set_branch(&self, id: CommitId) -> Result<()> {
        let repo = self.repository()?;
        let is_true = self.branch() == Some(id.0) && self.logged().iter().all(|id| is_here(&repo, id));
        if is_true { Ok(()) } else { self.record(&repo, id.0, id.0) }
    }

    /// What to tell of a commit that is here.
    pub fn describe(&self, id: CommitId) -> Result<CommitInfo> {
        let step = || format!("read {id} in {}", self.git_dir().display());
        let repo = self.repository()?;
        let commit = repo.find_commit(id.0).step(step)?;
        let subject = commit.message_raw_sloppy().lines().next().unwrap_or_default();
        let subject = subject.to_str_lossy().chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(CommitInfo { id, time: commit.time().map_or(0, |time| time.seconds), subject })
    }

    /// An object as it is stored, without its header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind) if it is not there or cannot be read.
    pub fn read_object(&self, id: CommitId) -> Result<Vec<u8>> {
        let step = || format!("read {id} in {}", self.git_dir().display());
        let repo = self.repository()?;
        let object = repo.find_object(id.0).map_err(|err| Error::reading(step(), &err))?;
        Ok(object.data.clone())
    }

    /// The bytes of all packs and their indices.
    pub fn disk_usage(&self) -> u64 {
        let entries = entries(&self.pack_dir()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
    }

    /// The commits that the branch's log names.
    fn logged(&self) -> Vec<ObjectId> {
        let log = fs_err::read_to_string(self.git_dir().join("logs").join(BRANCH)).unwrap_or_default();
        let ids = log.lines().flat_map(|line| line.split(' ').take(2));
        ids.filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok()).filter(|id| !id.is_null()).collect()
    }

    /// The log of the branch that names, or is to name, `id`.
    fn write_log(&self, repo: &gix::Repository, kept: &BTreeSet<ObjectId>, id: ObjectId) -> io::Result<()> {
        let time = repo.find_commit(id).and_then(|commit| commit.time());
        let time = time.map_or(0, |time| time.seconds.max(0));
        let lines = kept.iter().filter(|kept| **kept != id && is_here(repo, kept));
        let lines = String::from_iter(lines.map(|kept| log_line(*kept, id, time)));
        let log = self.git_dir().join("logs").join(BRANCH);
        fs_err::create_dir_all(log.parent().unwrap_or(&log))?;
        replace_file(&log, &lines)
    }

    /// Whether `id` can be published from here and has as much history as asked for.
    pub fn inspect(&self, id: CommitId, depth: Depth, interrupt: &Interrupt) -> Result<Condition> {
        let step = || format!("inspect {id} in {}", self.git_dir().display());
        if self.kind != Some(id.0.kind()) {
            return Ok(Condition::Damaged(format!("the repository holds no {} objects", id.0.kind())));
        }
        let found = self.repository().and_then(|mut repo| {
            repo.objects.refresh_never();
            let (objects, shallow) = (self.objects(&repo)?, boundary(&repo).step(step)?);
            if let Some(pack) = objects.incomplete_pack().step(step)? {
                let text = format!("{} does not end as its index says", pack.display());
                return Ok(Condition::Damaged(text));
            }
            let newest = (&shallow, Depth::default());
            let one = closure(&objects, &[id.0], newest, |_| false, |_| false, interrupt);
            let one = one.map_err(|err| Error::reading(step(), &err))?;
            let missing = one.objects.iter().find(|id| !self.is_partial() && !repo.has_object(id));
            if let Some(missing) = missing {
                return Ok(Condition::Damaged(format!("{missing} is missing")));
            }
            compare_depth(&repo, id.0, depth, interrupt).map_err(|err| Error::reading(step(), &err))
        });
        interrupt.check().step(step)?;
        match found {
            Err(err) if err.recovery() == Recovery::Rebuild => Ok(Condition::Damaged(err.cause().to_owned())),
            found => found,
        }
    }

    /// Whether [`Store::repack`] was cut short while it let go of what is not needed any more.
    pub fn repack_was_interrupted(&self) -> bool {
        self.repack_mark().exists()
    }

    /// Is there while folding lets go of what is not needed any more.
    fn repack_mark(&self) -> PathBuf {
        self.git_dir().join("syncline-folding")
    }

    /// Write one pack of what the published trees and `depth` commits below the newest need, and drop all else.
    pub fn repack(&self, depth: Depth, progress: &Progress, interrupt: &Interrupt) -> Result<()> {
        let step = || format!("repack the packs in {}", self.pack_dir().display());
        progress.enter(Stage::Repacking);
        let old_packs = self.packs().step(step)?;
        let repo = self.repository()?;
        let tips = self.haves(&repo)?;
        let ids: Vec<ObjectId> = tips.iter().copied().collect();
        let (objects, shallow) = (self.objects(&repo)?, boundary(&repo).step(step)?);
        let mut live = closure(&objects, &ids, (&shallow, depth), |_| false, |_| false, interrupt)
            .map_err(|err| Error::reading(step(), &err))?;
        let is_partial = self.is_partial();
        if is_partial {
            live.objects.retain(|id| repo.has_object(id));
        }
        let pack_receiver = self.pack_receiver(progress, interrupt);
        let folded = copy_objects(&objects, &live.objects, &pack_receiver, repo.path())?;
        if let Some(pack) = folded.as_ref().filter(|_| is_partial) {
            mark_promised(pack).step(step)?;
        }
        // At every moment in between, no commit is without its parents or its place in the boundary.
        self.extend_shallow(&repo, &live.boundary).map_err(|err| err.within(&step()))?;
        fs_err::write(self.repack_mark(), "").step(step)?;
        // Trees may go long before the next folding.
        self.write_log(&repo, &tips, self.branch().unwrap_or_else(|| repo.object_hash().null()))
            .step(step)?;
        self.forget_others().step(step)?;
        drop((repo, objects));
        for pack in old_packs.into_iter().filter(|pack| Some(pack) != folded.as_ref()) {
            remove_pack(&pack).step(step)?;
        }
        let is_loose = |name: &str| name.len() == 2 && u8::from_str_radix(name, 16).is_ok();
        remove_matching(&self.git.join("objects"), &is_loose).step(step)?;
        self.write_shallow(&live.boundary).step(step)?;
        remove_if_there(&self.repack_mark()).step(step)
    }

    /// What git or git-sync left that may name what is about to go: references, logs, an index, and what git notes of
    /// commits and packs to find them sooner.
    fn forget_others(&self) -> io::Result<()> {
        for file in ["packed-refs", "logs/HEAD", "ORIG_HEAD", "FETCH_HEAD", "index"] {
            remove_if_there(&self.git.join(file))?;
        }
        for admin in entries(&self.git.join("worktrees"))? {
            remove_dir_if_there(&admin?.path().join("logs"))?;
        }
        for dir in ["refs", "refs/heads"] {
            let ours = if dir == "refs" { "heads" } else { "git-sync" };
            remove_matching(&self.git.join(dir), &|name| name != ours)?;
        }
        remove_matching(&self.git.join("objects/info"), &|name| name.starts_with("commit-graph"))?;
        remove_matching(&self.pack_dir(), &|name| name.starts_with("multi-pack-index"))
    }

    pub(super) fn packs(&self) -> io::Result<BTreeSet<PathBuf>> {
        packs(&self.pack_dir())
    }

    /// Whether the history ends before its beginning.
    pub(crate) fn is_shallow(&self, repo: &gix::Repository) -> Result<bool> {
        repo.is_shallow().step(|| format!("read {}", self.shallow_file().display()))
    }

    /// Add to the boundary.
    pub(crate) fn extend_shallow(&self, repo: &gix::Repository, more: &[ObjectId]) -> Result<()> {
        let step = || format!("add to {}", self.shallow_file().display());
        let both: Vec<ObjectId> = boundary(repo).step(step)?.iter().chain(more).copied().collect();
        self.write_shallow(&both).step(step)
    }

    /// Draw the boundary anew for the commits just passed; it stays as it was for all others.
    pub(crate) fn redraw_shallow(&self, repo: &gix::Repository, passed: &Closure) -> Result<()> {
        let step = || format!("redraw {}", self.shallow_file().display());
        let stored = boundary(repo).step(step)?;
        let others = stored.iter().filter(|id| !passed.commits.contains(id));
        let redrawn: Vec<ObjectId> = others.chain(&passed.boundary).copied().collect();
        self.write_shallow(&redrawn).step(step)
    }

    pub(crate) fn write_shallow(&self, boundary: &[ObjectId]) -> io::Result<()> {
        if boundary.is_empty() {
            return remove_if_there(&self.shallow_file());
        }
        let lines: BTreeSet<String> = boundary.iter().map(|id| format!("{id}\n")).collect();
        replace_file(&self.shallow_file(), &String::from_iter(lines))
    }
}

/// How the history below `tip` compares with `depth`. Of a whole history only the newest part is walked.
fn compare_depth(
    repo: &gix::Repository,
    tip: ObjectId,
    depth: Depth,
    interrupt: &Interrupt,
) -> gix::Result<Condition> {
    const WALKED: u32 = 1000;
    let stored = boundary(repo)?;
    if depth.0.is_none() && !stored.is_empty() {
        return Ok(Condition::TooShallow);
    }
    let limit = depth.0.map(u32::from);
    let (mut level, mut seen) = (vec![tip], BTreeSet::from([tip]));
    for distance in 1..=limit.unwrap_or(WALKED) {
        let mut parents = Vec::new();
        for id in level {
            interrupt.check().map_err(gix::Error::from_error)?;
            let commit = repo.find_commit(id)?;
            let has_parents = commit.parent_ids().next().is_some();
            match (stored.contains(&id), Some(distance) == limit) {
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

/// Ids of another kind than the repository's come from a root's earlier life.
fn is_here(repo: &gix::Repository, id: &ObjectId) -> bool {
    id.kind() == repo.object_hash() && repo.has_object(id)
}

fn log_line(before: ObjectId, after: ObjectId, time: i64) -> String {
    format!("{before} {after} syncline <syncline@localhost> {time} +0000\tsync\n")
}
