//! A relay: a place that says which commit is current and has the packs that make it, in place of a git server.

use std::io::{self, Read};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::spec::Depth;
use crate::spec::reference::CommitId;

/// Where a mirror gets commits from, in place of a git server. Set it by
/// [`MirrorBuilder::relay`](crate::MirrorBuilder::relay).
///
/// A relay is not trusted with content: every object is hashed, and the commit must be complete. It is trusted with
/// the choice of the commit; an implementor may verify a signature of it.
pub trait Relay: Send {
    /// Ask what is current.
    ///
    /// # Errors
    ///
    /// The relay cannot be asked, or its answer is not acceptable. What is published stays.
    fn look(&mut self, interrupt: &Interrupt) -> Result<RelayLook>;

    /// Open a pack of the tip that the last look returned. The reader must fail, at the latest at its end, if its
    /// bytes are not those that the tip announced.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if the pack is not there, or any other.
    fn open<'a>(
        &'a mut self,
        pack: &RelayPack,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>>;

    /// A pack was refused: it is damaged, or lacks objects. By default nothing happens.
    fn refused(&mut self, _pack: &RelayPack) {}
}

/// What a relay answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayLook {
    /// This is current.
    Tip(Box<RelayTip>),
    /// What the git server said last still counts.
    Unchanged,
    /// The relay has been out of reach for too long: ask the git server of the source.
    AskServer,
}

/// Which commit is current, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayTip {
    /// The full name of the reference.
    pub reference: String,
    /// The commit that it names.
    pub commit: CommitId,
    /// The annotated tag that the reference names, if it names one: its id, and its content if that is known.
    pub tag: Option<(CommitId, Option<Vec<u8>>)>,
    /// How much history the packs have.
    pub depth: Depth,
    /// A commit of the chain, and the pack with all that it needs.
    pub full: (CommitId, RelayPack),
    /// Steps up to the commit, the oldest first. Each begins where the one before ends.
    pub chain: Vec<RelayLink>,
}

/// A step from one commit to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLink {
    /// The commit that the receiver has.
    pub from: CommitId,
    /// The commit that it has afterwards.
    pub to: CommitId,
    /// What it then has more. Deltas may have their bases in `from`.
    pub pack: RelayPack,
}

/// A pack, named by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayPack {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// The commits in it, or below those in it, whose parents are left out.
    pub shallow: Vec<CommitId>,
}

/// Which packs to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Only what is missing since a commit that is there.
    Steps(Vec<RelayPack>),
    /// Everything.
    Whole(Vec<RelayPack>),
}

impl RelayTip {
    /// The packs that are missing where `has` says which commits are there; `None` if the tip leads nowhere.
    pub(crate) fn route(&self, has: impl Fn(CommitId) -> bool) -> Option<Route> {
        match self.steps_since(has) {
            Some(steps) => Some(Route::Steps(steps)),
            None => self.whole().map(Route::Whole),
        }
    }

    /// The full pack, and what follows it.
    pub(crate) fn whole(&self) -> Option<Vec<RelayPack>> {
        let steps = self.steps_since(|id| id == self.full.0)?;
        Some(std::iter::once(self.full.1.clone()).chain(steps).collect())
    }

    /// The fewest steps from a commit that is `there`.
    fn steps_since(&self, there: impl Fn(CommitId) -> bool) -> Option<Vec<RelayPack>> {
        let (mut wanted, mut steps) = (self.commit, Vec::new());
        for link in self.chain.iter().rev() {
            if there(wanted) || link.to != wanted {
                break;
            }
            steps.push(link.pack.clone());
            wanted = link.from;
        }
        steps.reverse();
        there(wanted).then_some(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> CommitId {
        CommitId(gix::ObjectId::from([number; 20]))
    }

    fn pack(number: u8) -> RelayPack {
        RelayPack { bytes: 1, sha256: [number; 32], shallow: Vec::new() }
    }

    /// Commits 1 to 4; the full pack is at `full`.
    fn tip(full: u8) -> RelayTip {
        let link = |from: u8| RelayLink { from: id(from), to: id(from + 1), pack: pack(from + 1) };
        RelayTip {
            reference: "refs/heads/main".into(),
            commit: id(4),
            tag: None,
            depth: Depth::default(),
            full: (id(full), pack(100 + full)),
            chain: (1..4).map(link).collect(),
        }
    }

    #[test]
    fn the_fewest_packs_are_fetched() {
        for (full, there, wanted) in [
            (2, vec![3], Some(Route::Steps(vec![pack(4)]))),
            (2, vec![1], Some(Route::Steps(vec![pack(2), pack(3), pack(4)]))),
            (2, vec![1, 3], Some(Route::Steps(vec![pack(4)]))),
            (2, vec![4], Some(Route::Steps(vec![]))),
            (2, vec![], Some(Route::Whole(vec![pack(102), pack(3), pack(4)]))),
            (4, vec![9], Some(Route::Whole(vec![pack(104)]))),
            (9, vec![], None),
            (9, vec![3], Some(Route::Steps(vec![pack(4)]))),
        ] {
            assert_eq!(tip(full).route(|found| there.iter().any(|one| id(*one) == found)), wanted);
        }
    }

    #[test]
    fn a_chain_with_a_gap_or_a_circle_is_not_followed() {
        let mut broken = tip(1);
        broken.chain.remove(1);
        assert_eq!(broken.whole(), None);
        let mut circle = tip(9);
        circle.chain[0].from = id(4);
        assert_eq!(circle.route(|_| false), None);
    }
}
