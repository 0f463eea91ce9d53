//! Packs of commits for others.

use std::collections::HashSet;
use std::io::Write;

use gix::ObjectId;
use gix::objs::Kind;

use super::Store;
use crate::error::{Context, Error, Result};
use crate::interrupt::Interrupt;
use crate::objects::Objects;
use crate::objects::closure::{boundary, closure};
use crate::objects::write_pack::write_pack;
use crate::spec::Depth;
use crate::spec::reference::CommitId;

impl Store {
    /// Write a pack with what a commit of the store needs, with `depth` commits of history. With `since`, leave out what
    /// that commit needs, at the same depth, and what is newer in history than it; deltas may have their bases in it.
    /// Submodules and Git LFS are not part of it.
    ///
    /// Returns the commits within `depth` whose parents are left out, although they have some.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if an object is missing or damaged;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if `out`
    /// cannot be written; after an interrupt [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut).
    pub fn export(
        &self,
        commit: CommitId,
        since: Option<CommitId>,
        depth: Depth,
        out: impl Write,
        interrupt: &Interrupt,
    ) -> Result<Vec<CommitId>> {
        let step = || format!("pack {commit}");
        let repo = self.repository()?;
        let (objects, shallow) = (self.objects(&repo)?, boundary(&repo).step(step)?);
        let walk = |tip: CommitId,
                    depth,
                    known: &dyn Fn(&gix::oid) -> bool,
                    complete: &dyn Fn(&gix::oid) -> bool| {
            closure(&objects, &[tip.0], (&shallow, depth), known, complete, interrupt)
                .map_err(|err| Error::reading(step(), &err))
        };
        let mut known = HashSet::new();
        let mut commits = HashSet::new();
        if let Some(since) = since {
            commits.extend(walk(since, depth, &|_| true, &|_| false)?.commits);
            known.extend(walk(since, Depth::default(), &|_| false, &|_| false)?.objects);
            known.extend(commits.iter().copied());
        }
        let is_known = |id: &gix::oid| known.contains(id);
        let is_complete = |id: &gix::oid| commits.contains(id);
        let wanted = walk(commit, depth, &is_known, &is_complete)?;
        let is_there = |id: &ObjectId| known.contains(id);
        write_pack(&objects, &wanted.objects, is_there, out, || interrupt.check()).step(step)?;
        let whole = match since {
            None => wanted,
            // The walk ended at what is known.
            Some(_) => walk(commit, depth, &|_| true, &|_| false)?,
        };
        Ok(whole.boundary.into_iter().map(CommitId).collect())
    }

    /// Whether a commit is in the store with all that it needs.
    #[must_use]
    pub fn contains(&self, commit: CommitId) -> bool {
        self.has_commit(commit.0)
    }

    /// The content of an annotated tag; `None` if the store does not have it.
    #[must_use]
    pub fn tag_object(&self, id: CommitId) -> Option<Vec<u8>> {
        let repo = self.repository().ok()?;
        let objects: Objects = self.objects(&repo).ok()?;
        let mut buffer = Vec::new();
        let found = gix::objs::Find::try_find(&objects, &id.0, &mut buffer).ok()??;
        (found.kind == Kind::Tag).then_some(buffer)
    }
}
