//! Which commit has been at the reference for long enough.

use super::super::Mirror;
use super::sightings::{Sighting, Sightings};
use super::{MinAge, Rule};
use crate::error::{Context, Result};
use crate::fetched::Tip;
use crate::objects::ancestry::Ancestry;
use crate::spec::reference::{AdvertisedRef, CommitId};

impl Mirror {
    /// The newest commit that is old enough, if there is a rule for that. If none is, the published one stays.
    pub(super) fn old_enough(
        &mut self,
        newest: Tip,
        refs: &[AdvertisedRef],
        current: Option<CommitId>,
    ) -> Result<Tip> {
        let Some(MinAge { age, clock }) = self.settings.rules.min_age else { return Ok(newest) };
        let (now, mut sightings) = ((clock.wall)(), Sightings::load(&self.store));
        sightings.add(&newest, now);
        let step = || format!("record when {} was first seen", newest.commit);
        let Some(current) = current.filter(|current| *current != newest.commit) else {
            sightings.seen.retain(|seen| seen.is(&newest));
            sightings.save().step(step)?;
            return Ok(newest);
        };
        let mut chosen = self.shown_tip(current);
        let is_shown = |seen: &Sighting| seen.commit == current;
        let after_shown = sightings.seen.iter().rposition(is_shown).map_or(0, |at| at + 1);
        let mut withdrawn = Vec::new();
        for seen in sightings.seen[after_shown..].iter().rev() {
            if seen.age(now) < age {
                continue;
            }
            if self.is_still_there(seen, &newest, refs)? {
                chosen = if seen.is(&newest) { newest.clone() } else { seen.tip() };
                break;
            }
            withdrawn.push(seen.clone());
        }
        sightings.seen.retain(|seen| !withdrawn.contains(seen));
        sightings.save().step(step)?;
        if chosen.commit != newest.commit {
            let since = sightings.seen.iter().find(|seen| seen.is(&newest)).map(Sighting::since);
            self.hold(&newest, Rule::Age, since);
        }
        Ok(chosen)
    }

    /// Whether a commit that was seen has not been withdrawn: its reference still names it, or a commit that descends
    /// from it.
    fn is_still_there(&mut self, seen: &Sighting, newest: &Tip, refs: &[AdvertisedRef]) -> Result<bool> {
        if seen.is(newest) {
            return Ok(true);
        }
        if seen.name == newest.reference {
            let found = self.ancestry(newest.commit, seen.commit)?;
            return Ok(found == Some(Ancestry::Descendant));
        }
        let names =
            |found: &AdvertisedRef| Some(&found.name) == seen.name.as_ref() && found.commit == seen.commit.0;
        Ok(refs.iter().any(names))
    }
}
