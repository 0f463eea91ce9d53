//! The history in the store: which commits stay reachable, where the shallow boundary runs.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::index::State;
use gix::objs::FindExt;

use super::Store;
use super::layout::BRANCH;
use crate::error::{Context, Error, Recovery, Result};
use crate::fetched::{Received, Tip};
use crate::fs_ext::{entries, remove_if_there, replace_file};
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::objects::closure::{Closure, boundary, closure};
use crate::objects::packs::packs;
use crate::spec::Depth;
use crate::spec::reference::CommitId;
use crate::trees::cache::objects_of;
use crate::worktree::index_file;

/// The condition of a commit in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The commit is complete and has as much history as asked for.
    Sound,
    /// The tree is complete but the history is shorter than asked for.
    TooShallow,
    /// The tree is complete but the history is longer than asked for.
    TooDeep,
    /// Objects are missing or damaged. The text names the object or the failed check.
    Damaged(String),
}

/// The parts of a commit that are shown to users.
#[derive(Clone, Debug)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The committer's date, in seconds since 1970 (UTC); 0 if the commit has none that can be read.
    pub time: i64,
    /// The first line of its message, without control characters, cut after 200 characters.
    pub subject: String,
}

impl Store {
    /// The commits that are complete, to be sent to a server as `have` lines.
    pub(crate) fn haves(&self, repo: &gix::Repository) -> Result<BTreeSet<ObjectId>> {
        let mut tips =
            self.worktree_commits().step(|| format!("list the trees in {}", self.root.display()))?;
        tips.extend(self.branch());
        Ok(tips.into_iter().filter(|id| exists(repo, id)).collect())
    }

    /// Whether a commit was received and recorded. Its tree is then here too, since both come in one pack. A commit
    /// that was received by a process that was killed before [`Store::record`] does not count: the shallow boundary
    /// may lack its entry.
    pub(crate) fn has_commit(&self, id: ObjectId) -> bool {
        self.kind.is_some()
            && self.repository().is_ok_and(|repo| {
                let is_recorded = || self.haves(&repo).is_ok_and(|haves| haves.contains(&id));
                is_recorded() || (self.reflog_commits().contains(&id) && exists(&repo, &id))
            })
    }

    /// The commit that was received last, published or not; `None` in an empty store.
    #[must_use]
    pub fn newest(&self) -> Option<CommitId> {
        self.branch().map(CommitId)
    }

    pub(super) fn branch(&self) -> Option<ObjectId> {
        let text = fs_err::read_to_string(self.git_dir().join(BRANCH)).ok()?;
        ObjectId::from_hex(text.trim_end().as_bytes()).ok()
    }

    /// The commits that have a worktree.
    fn worktree_commits(&self) -> io::Result<BTreeSet<ObjectId>> {
        let mut kept = BTreeSet::new();
        for admin in entries(&self.git.join("worktrees"))? {
            let head = fs_err::read_to_string(admin?.path().join("HEAD")).unwrap_or_default();
            kept.extend(ObjectId::from_hex(head.trim_end().as_bytes()));
        }
        Ok(kept)
    }

    /// Set the branch to `id`. Its reflog keeps the commits that are no longer reachable, until the next repack:
    /// earlier commits, and those that the shallow boundary now cuts off. So git reports nothing dangling, and the
    /// boundary stays correct for the earlier commits.
    ///
    /// `wanted` is the object that was fetched: `id`, or a tag that points to it.
    pub(crate) fn record(&self, repo: &gix::Repository, id: ObjectId, wanted: ObjectId) -> Result<()> {
        let step = || format!("record {id} in {}", self.git_dir().display());
        let mut kept: BTreeSet<ObjectId> =
            self.reflog_commits().into_iter().chain(self.branch()).chain([wanted]).collect();
        for boundary in boundary(repo).step(step)? {
            if let Ok(commit) = repo.find_commit(boundary) {
                kept.extend(commit.parent_ids().map(gix::Id::detach));
            }
        }
        self.write_log(repo, &kept, id).step(step)?;
        replace_file(&self.git_dir().join(BRANCH), &format!("{id}\n")).step(step)
    }

    /// Set the branch to `id`, which must be in the store, and remove missing commits from its reflog. This repairs
    /// the branch after a killed process or after a change from outside; a correct branch is not written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if the repository cannot be read;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if the
    /// branch or its reflog cannot be written.
    pub fn set_branch(&mut self, id: CommitId) -> Result<()> {
        let repo = self.repository()?;
        let is_set = self.branch() == Some(id.0) && self.reflog_commits().iter().all(|id| exists(&repo, id));
        if is_set { Ok(()) } else { self.record(&repo, id.0, id.0) }
    }

    /// Describe a commit that is in the store.
    ///
    /// # Errors
    ///
    /// An error if the commit is not in the store or cannot be read;
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if the repository cannot be opened.
    pub fn describe(&self, id: CommitId) -> Result<CommitInfo> {
        let step = || format!("read {id} in {}", self.git_dir().display());
        let repo = self.repository()?;
        let commit = repo.find_commit(id.0).step(step)?;
        let subject = commit.message_raw_sloppy().lines().next().unwrap_or_default();
        let subject = subject.to_str_lossy().chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(CommitInfo { id, time: commit.time().map_or(0, |time| time.seconds), subject })
    }

    /// The objects of a tip; `None` if the store does not have them.
    pub(crate) fn received(&self, tip: &Tip) -> Result<Option<Received>> {
        if self.kind != Some(tip.commit.0.kind()) {
            return Ok(None);
        }
        let step = || format!("read {} in {}", tip.commit, self.git_dir().display());
        let repo = self.repository()?;
        Received::read(&self.objects(&repo)?, tip).map_err(|err| Error::reading(step(), &err))
    }

    /// The total size of the packs and their indexes, in bytes, without submodules. Files that cannot be read count
    /// as 0.
    #[must_use]
    pub fn disk_usage(&self) -> u64 {
        let entries = entries(&self.pack_dir()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
    }

    /// The commits in the reflog of the branch.
    pub(super) fn reflog_commits(&self) -> Vec<ObjectId> {
        let log = fs_err::read_to_string(self.git_dir().join("logs").join(BRANCH)).unwrap_or_default();
        let ids = log.lines().flat_map(|line| line.split(' ').take(2));
        ids.filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok()).filter(|id| !id.is_null()).collect()
    }

    /// Write the reflog of the branch, which points to `id` or is about to.
    pub(super) fn write_log(
        &self,
        repo: &gix::Repository,
        kept: &BTreeSet<ObjectId>,
        id: ObjectId,
    ) -> io::Result<()> {
        let time = repo.find_commit(id).and_then(|commit| commit.time());
        let time = time.map_or(0, |time| time.seconds.max(0));
        let lines = kept.iter().filter(|kept| **kept != id && exists(repo, kept));
        let lines = String::from_iter(lines.map(|kept| log_line(*kept, id, time)));
        let log = self.git_dir().join("logs").join(BRANCH);
        fs_err::create_dir_all(log.parent().unwrap_or(&log))?;
        replace_file(&log, &lines)
    }

    /// Check whether `id` can be checked out from the store and whether its history has the length `depth`. Objects are
    /// only looked up, but trees are read if `id` is not checked out. Damage is an answer, not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut)
    /// after an interrupt; [`ErrorKind::Io`](crate::ErrorKind::Io) if the system refuses to read the store.
    pub fn inspect(&self, id: CommitId, depth: Depth, interrupt: &Interrupt) -> Result<Condition> {
        self.inspect_by_index(id, depth, self.index(id).as_ref(), interrupt)
    }

    /// The index of the tree of a commit; `None` if there is none that can be read.
    pub(crate) fn index(&self, id: CommitId) -> Option<State> {
        index_file::read(self.worktree_paths(id).index(), id.0.kind()).ok()
    }

    /// As [`Store::inspect`], with the index of the tree.
    pub(crate) fn inspect_by_index(
        &self,
        id: CommitId,
        depth: Depth,
        index: Option<&State>,
        interrupt: &Interrupt,
    ) -> Result<Condition> {
        let step = || format!("inspect {id} in {}", self.git_dir().display());
        if self.kind != Some(id.0.kind()) {
            return Ok(Condition::Damaged(format!("the repository holds no {} objects", id.0.kind())));
        }
        let found = self.repository().and_then(|mut repo| {
            repo.objects.refresh_never();
            let (objects, shallow) = (self.objects(&repo)?, boundary(&repo).step(step)?);
            if let Some(pack) = objects.incomplete_pack().step(step)? {
                let text = format!("{} does not end with the checksum in its index", pack.display());
                return Ok(Condition::Damaged(text));
            }
            let needed = match checked_out_objects(&objects, id, index) {
                Some(needed) => needed,
                None => {
                    let newest = (&shallow, Depth::default());
                    let one = closure(&objects, &[id.0], newest, |_| false, |_| false, interrupt);
                    one.map_err(|err| Error::reading(step(), &err))?.objects
                }
            };
            let is_partial = self.is_partial();
            if let Some(missing) = needed.iter().find(|id| !is_partial && !objects.exists(id)) {
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

    pub(super) fn packs(&self) -> io::Result<BTreeSet<PathBuf>> {
        packs(&self.pack_dir())
    }

    /// Whether the repository is shallow: its history is cut off somewhere.
    pub(crate) fn is_shallow(&self, repo: &gix::Repository) -> Result<bool> {
        repo.is_shallow().step(|| format!("read {}", self.shallow_file().display()))
    }

    /// Add commits to the shallow boundary.
    pub(crate) fn extend_shallow(&self, repo: &gix::Repository, more: &[ObjectId]) -> Result<()> {
        let step = || format!("add to {}", self.shallow_file().display());
        let both: Vec<ObjectId> = boundary(repo).step(step)?.iter().chain(more).copied().collect();
        self.write_shallow(&both).step(step)
    }

    /// Replace the shallow boundary of the commits in `walked`; all other entries stay.
    pub(crate) fn redraw_shallow(&self, repo: &gix::Repository, walked: &Closure) -> Result<()> {
        let step = || format!("update {}", self.shallow_file().display());
        let stored = boundary(repo).step(step)?;
        let others = stored.iter().filter(|id| !walked.commits.contains(id));
        let updated: Vec<ObjectId> = others.chain(&walked.boundary).copied().collect();
        self.write_shallow(&updated).step(step)
    }

    pub(crate) fn write_shallow(&self, boundary: &[ObjectId]) -> io::Result<()> {
        if boundary.is_empty() {
            return remove_if_there(&self.shallow_file());
        }
        let lines: BTreeSet<String> = boundary.iter().map(|id| format!("{id}\n")).collect();
        replace_file(&self.shallow_file(), &String::from_iter(lines))
    }
}

/// The trees and blobs of a commit that is checked out; `None` if the index of its tree does not say. An index that was
/// altered has other trees than the commit. This spares reading the trees of the commit.
pub(super) fn checked_out_objects(
    objects: &Objects,
    id: CommitId,
    index: Option<&State>,
) -> Option<Vec<ObjectId>> {
    let tree = objects.find_commit_iter(&id.0, &mut Vec::new()).ok()?.tree_id().ok()?;
    objects_of(index?, tree)
}

/// Compare the length of the history below `tip` with `depth`. If all history is wanted, only the newest 1,000 levels
/// are walked.
fn compare_depth(
    repo: &gix::Repository,
    tip: ObjectId,
    depth: Depth,
    interrupt: &Interrupt,
) -> gix::Result<Condition> {
    const MAX_LEVELS: u32 = 1000;
    let stored = boundary(repo)?;
    if depth.0.is_none() && !stored.is_empty() {
        return Ok(Condition::TooShallow);
    }
    let limit = depth.0.map(u32::from);
    let (mut level, mut seen) = (vec![tip], BTreeSet::from([tip]));
    for distance in 1..=limit.unwrap_or(MAX_LEVELS) {
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

/// Whether the object exists. A root that held a repository of the other hash kind may still name ids of that kind.
fn exists(repo: &gix::Repository, id: &ObjectId) -> bool {
    id.kind() == repo.object_hash() && repo.has_object(id)
}

fn log_line(before: ObjectId, after: ObjectId, time: i64) -> String {
    format!("{before} {after} syncline <syncline@localhost> {time} +0000\tsync\n")
}
