//! Whether a new commit descends from the published one, and is on the branch that it must be on.

use std::cmp::Ordering;

use super::super::Mirror;
use super::super::notice::Notice;
use super::Rule;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::Tip;
use crate::objects::ancestry::{Ancestry, MAX_COMMITS, ancestry};
use crate::spec::Depth;
use crate::spec::reference::{AdvertisedRef, CommitId};

impl Mirror {
    /// Refuse a commit that does not descend from the published one, if that is a rule. If the server cannot tell,
    /// [`Mirror::check_forward_in_store`] does once the commit is fetched.
    pub(super) fn check_forward(
        &mut self,
        tip: &Tip,
        refs: &[AdvertisedRef],
        current: CommitId,
    ) -> Result<()> {
        if !self.must_descend(current) {
            return Ok(());
        }
        match self.compare_names(tip, refs, current) {
            Some(Ordering::Greater) => return Ok(()),
            Some(Ordering::Less) => {
                let text = format!("it comes before the reference of {current}, which is published");
                return Err(self.refuse_move(tip, current, &text));
            }
            Some(Ordering::Equal) | None => {}
        }
        match self.ancestry(tip.commit, current)? {
            Some(found) => self.require_descent(tip, current, found),
            None if self.fetcher.source().depth == Depth::FULL => {
                self.memory.lacks_descent = true;
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::Configuration,
                publish_step(tip),
                "--forward-only needs a server that supports filters (uploadpack.allowFilter), or --depth=0",
            )),
        }
    }

    /// Whether the new reference comes after that of the published commit, where the source chooses by an order.
    fn compare_names(&self, tip: &Tip, refs: &[AdvertisedRef], current: CommitId) -> Option<Ordering> {
        let (reference, new) = (&self.fetcher.source().reference, tip.reference()?);
        let shown = self.memory.shown.as_ref().filter(|shown| shown.commit == current);
        let listed = refs.iter().filter(|found| found.commit == current.0).map(|found| found.name.as_str());
        let old = shown.and_then(Tip::reference).into_iter().chain(listed);
        old.filter_map(|old| reference.compare(new, old)).min()
    }

    /// The same for a commit that is fetched with its whole history.
    pub(in super::super) fn check_forward_in_store(&mut self, tip: &Tip, current: CommitId) -> Result<()> {
        if !self.memory.lacks_descent {
            return Ok(());
        }
        let step = || format!("compare the history of {} with {current}", tip.commit);
        let repo = self.store.repository()?;
        let objects = self.store.objects(&repo)?;
        let found = ancestry(&objects, tip.commit.0, current.0, &self.interrupt).step(step)?;
        self.memory.ancestry.add((tip.commit, current), found);
        self.require_descent(tip, current, found)
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
        Err(self.refuse_move(tip, current, &text))
    }

    fn refuse_move(&mut self, tip: &Tip, current: CommitId, text: &str) -> Error {
        self.hold(tip, Rule::Forward, None);
        let advice = format!("to allow this move once, restart with --forward-from={current}");
        Error::new(ErrorKind::Rejected, publish_step(tip), format!("{text} (--forward-only); {advice}"))
    }

    /// Tell the observer about a move that somebody may not have meant: a tag that was moved, a reference that comes
    /// before the last one, or two tags of one version.
    pub(in super::super) fn report_move(&self, tip: &Tip) {
        if let Some(rival) = &tip.rival {
            let text = "another tag of the same version names another commit; remove one of them";
            self.notify(&Notice::warning(text).of(tip.commit).reason(rival));
        }
        let Some(last) = self.memory.shown.as_ref().filter(|last| last.commit != tip.commit) else { return };
        let (Some(old), Some(new)) = (last.reference(), tip.reference()) else { return };
        if old == new && new.starts_with("refs/tags/") {
            let reason = format!("{new} named {}", last.commit);
            self.notify(&Notice::warning("the tag was moved").of(tip.commit).reason(reason));
        } else if self.fetcher.source().reference.compare(new, old) == Some(Ordering::Less) {
            let reason = format!("{new} comes before {old}");
            self.notify(&Notice::warning("the last reference is gone").of(tip.commit).reason(reason));
        }
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
