//! Whether one commit descends from another.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::objs::{CommitRefIter, Find, Kind};

use super::{Objects, corrupt};
use crate::interrupt::Interrupt;

/// The number of commits that are searched for an ancestor.
pub(crate) const MAX_COMMITS: u32 = 10_000;

/// Whether one commit descends from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ancestry {
    /// It does, or both are the same.
    Descendant,
    /// It does not.
    Unrelated,
    /// It does not within [`MAX_COMMITS`]; there are more.
    TooFar,
}

/// Find out whether `new` descends from `old`. History ends at commits that `objects` does not have.
pub(crate) fn ancestry(
    objects: &Objects,
    new: ObjectId,
    old: ObjectId,
    interrupt: &Interrupt,
) -> gix::Result<Ancestry> {
    search(objects, new, |id| *id == old, interrupt)
}

/// Search a commit and its ancestors, the nearest first. Whether `new` descends from a commit that is `wanted`.
pub(crate) fn search(
    objects: &Objects,
    new: ObjectId,
    mut wanted: impl FnMut(&ObjectId) -> bool,
    interrupt: &Interrupt,
) -> gix::Result<Ancestry> {
    let (mut level, mut seen) = (vec![new], BTreeSet::from([new]));
    let mut buffer = Vec::new();
    while !level.is_empty() {
        let mut parents = Vec::new();
        for id in level {
            if wanted(&id) {
                return Ok(Ancestry::Descendant);
            }
            interrupt.check().map_err(gix::Error::from_error)?;
            let Some(object) = objects.try_find(&id, &mut buffer)? else { continue };
            if object.kind != Kind::Commit {
                return Err(gix::Error::from_error(corrupt(format!(
                    "{id} is a {}, not a commit",
                    object.kind
                ))));
            }
            let above = CommitRefIter::from_bytes(object.data, object.object_hash).parent_ids();
            parents.extend(above.filter(|id| seen.insert(*id)));
        }
        if seen.len() > MAX_COMMITS as usize && !parents.iter().any(&mut wanted) {
            return Ok(Ancestry::TooFar);
        }
        level = parents;
    }
    Ok(Ancestry::Unrelated)
}
