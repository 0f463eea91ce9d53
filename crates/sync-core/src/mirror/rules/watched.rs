//! Whether a new commit changes one of the watched paths.

use super::super::Mirror;
use super::super::notice::Notice;
use super::Rule;
use crate::error::{Context, Error, Result};
use crate::fetched::Tip;
use crate::spec::reference::CommitId;
use crate::trees::watch::watched_change;

impl Mirror {
    /// Whether to publish a commit that is in the store in place of `current`: a watched path differs. If the trees
    /// cannot be compared, for example because a filter leaves them out, the commit is published.
    pub(in super::super) fn changes_watched(&mut self, tip: &Tip, current: CommitId) -> Result<bool> {
        let Some(paths) = &self.settings.rules.watch_paths else { return Ok(true) };
        let limits = &self.fetcher.source().selection.limits;
        let repo = self.store.repository()?;
        let objects = self.store.objects(&repo)?;
        let commits = (current.0, tip.commit.0);
        let changed = match watched_change(&objects, commits, paths, limits, &self.interrupt) {
            Ok(path) => path.is_some(),
            Err(err) => {
                let step = || format!("compare {current} with {}", tip.commit);
                self.interrupt.check().step(step)?;
                let err = Error::gix(step(), &err);
                self.notify(
                    &Notice::warning("cannot tell which watched paths changed: publishing").error(&err),
                );
                true
            }
        };
        self.memory.watched.add((tip.commit, current), changed);
        if !changed {
            self.hold(tip, Rule::Paths, None);
        }
        Ok(changed)
    }
}
