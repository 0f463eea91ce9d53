//! Whether a new commit descends from the published one, and is on the branch that it must be on.

use super::super::Mirror;
use super::Rule;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::Tip;
use crate::objects::ancestry::{Ancestry, MAX_COMMITS, ancestry};
use crate::spec::Depth;
use crate::spec::reference::{AdvertisedRef, CommitId};

impl Mirror {
    /// Refuse a commit that does not descend from the published one, if that is a rule. If the server cannot tell,
    /// [`Mirror::check_forward_in_store`] does once the commit is fetched.
    pub(super) fn check_forward(&mut self, tip: &Tip, current: CommitId) -> Result<()> {
        if !self.must_descend(current) {
            return Ok(());
        }
        match self.ancestry(tip.commit, current)? {
            Some(found) => self.require_descent(tip, current, found),
            None if self.fetcher.source().depth == Depth::FULL => Ok(()),
            None => Err(Error::new(
                ErrorKind::Configuration,
                publish_step(tip),
                "--forward-only needs a server that supports filters (uploadpack.allowFilter), or --depth=0",
            )),
        }
    }

    /// The same for a commit that is fetched with its whole history.
    pub(in super::super) fn check_forward_in_store(&mut self, tip: &Tip, current: CommitId) -> Result<()> {
        if !self.lacks_ancestry(tip, current) {
            return Ok(());
        }
        let step = || format!("compare the history of {} with {current}", tip.commit);
        let repo = self.store.repository()?;
        let objects = self.store.objects(&repo)?;
        let found = ancestry(&objects, tip.commit.0, current.0, &self.interrupt).step(step)?;
        self.memory.ancestry.add((tip.commit, current), found);
        self.require_descent(tip, current, found)
    }

    /// Whether the remote could not tell if the commit descends from the published one, as it must.
    pub(super) fn lacks_ancestry(&self, tip: &Tip, current: CommitId) -> bool {
        self.must_descend(current) && self.memory.ancestry.get((tip.commit, current)).is_none()
    }

    fn must_descend(&self, current: CommitId) -> bool {
        self.settings.rules.forward_only && self.settings.rules.forward_from != Some(current)
    }

    fn require_descent(&mut self, tip: &Tip, current: CommitId, found: Ancestry) -> Result<()> {
        let text = match found {
            Ancestry::Descendant => return Ok(()),
            Ancestry::Unrelated => format!("it does not descend from {current}, which is published"),
            Ancestry::TooFar => {
                format!("it does not descend within {MAX_COMMITS} commits from {current}, which is published")
            }
        };
        self.hold(tip, Rule::Forward, None);
        let advice = format!("to allow this move once, restart with --forward-from={current}");
        Err(Error::new(ErrorKind::Rejected, publish_step(tip), format!("{text} (--forward-only); {advice}")))
    }

    /// Refuse a commit that is not on the branch of the rules, if there is one.
    pub(super) fn check_branch(&mut self, tip: &Tip, refs: &[AdvertisedRef]) -> Result<()> {
        let Some(branch) = self.settings.rules.on_branch.clone() else { return Ok(()) };
        let step = || publish_step(tip);
        let Some(found) = refs.iter().find(|found| found.name == branch) else {
            return Err(Error::new(ErrorKind::NotFound, step(), format!("there is no {branch} (--ref-on)")));
        };
        let text = match self.ancestry(CommitId(found.commit), tip.commit)? {
            Some(Ancestry::Descendant) => return Ok(()),
            Some(Ancestry::Unrelated) => format!("it is not on {branch} (--ref-on)"),
            Some(Ancestry::TooFar) => {
                format!("it is not on {branch} within {MAX_COMMITS} commits (--ref-on)")
            }
            None => {
                let text = "--ref-on needs a server that supports filters (uploadpack.allowFilter)";
                return Err(Error::new(ErrorKind::Configuration, step(), text));
            }
        };
        self.hold(tip, Rule::Branch, None);
        Err(Error::new(ErrorKind::Rejected, step(), text))
    }

    /// Whether `new` descends from `old`; `None` if the remote cannot tell.
    pub(super) fn ancestry(&mut self, new: CommitId, old: CommitId) -> Result<Option<Ancestry>> {
        if new == old {
            return Ok(Some(Ancestry::Descendant));
        }
        if let Some(known) = self.memory.ancestry.get((new, old)) {
            return Ok(Some(known));
        }
        let found = self.fetcher.ancestry(new, old, &mut self.store)?;
        found.into_iter().for_each(|found| self.memory.ancestry.add((new, old), found));
        Ok(found)
    }
}

fn publish_step(tip: &Tip) -> String {
    match tip.reference() {
        Some(name) => format!("publish {} ({name})", tip.commit),
        None => format!("publish {}", tip.commit),
    }
}
