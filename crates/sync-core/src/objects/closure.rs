//! Find the objects that commits need. Used to fetch from a local repository and to repack.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::objs::FindExt;
use gix::objs::tree::EntryKind;

use super::Objects;
use crate::interrupt::Interrupt;
use crate::spec::Depth;

/// The objects that some commits need.
pub(crate) struct Closure {
    /// Commits, trees and blobs, each once.
    pub(crate) objects: Vec<ObjectId>,
    /// All commits that were walked, known ones included.
    pub(crate) commits: Vec<ObjectId>,
    /// The commits among them whose parents were left out.
    pub(crate) boundary: Vec<ObjectId>,
}

/// The shallow boundary of a repository: the commits whose parents are missing on purpose.
pub(crate) fn boundary(repo: &gix::Repository) -> gix::Result<BTreeSet<ObjectId>> {
    Ok(repo.shallow_commits()?.map(|ids| ids.iter().copied().collect()).unwrap_or_default())
}

/// Walk `depth` commits of history from each of `tips`. History ends at the commits in `shallow`.
///
/// Objects for which `is_known` is true are left out, together with the trees and blobs below them. The walk does not
/// enter commits for which `is_complete` is true: their whole history is known.
pub(crate) fn closure(
    repository: &Objects,
    tips: &[ObjectId],
    (shallow, depth): (&BTreeSet<ObjectId>, Depth),
    is_known: impl Fn(&gix::oid) -> bool,
    is_complete: impl Fn(&gix::oid) -> bool,
    interrupt: &Interrupt,
) -> gix::Result<Closure> {
    let limit = depth.0.map_or(u32::MAX, Into::into);
    let mut objects = Vec::new();
    let mut commits = Vec::new();
    let mut boundary = Vec::new();
    let mut seen = gix::hashtable::HashSet::default();
    let mut level: Vec<ObjectId> = tips.iter().copied().filter(|id| seen.insert(*id)).collect();
    let mut distance = 0;
    let mut buffer = Vec::new();
    while !level.is_empty() {
        distance += 1;
        let mut parents = Vec::new();
        for id in std::mem::take(&mut level) {
            if is_complete(&id) {
                continue;
            }
            interrupt.check().map_err(gix::Error::from_error)?;
            // Read the tree and the parents only: some old commits have malformed lines after them.
            let mut commit = repository.find_commit_iter(&id, &mut buffer)?;
            let tree = commit.tree_id()?;
            let above: Vec<ObjectId> = commit.parent_ids().collect();
            commits.push(id);
            if !is_known(&id) {
                objects.push(id);
                add_tree(repository, tree, &is_known, &mut seen, &mut objects, interrupt)?;
            }
            if shallow.contains(&id) || (distance >= limit && !above.is_empty()) {
                boundary.push(id);
            } else {
                parents.extend(above.into_iter().filter(|id| seen.insert(*id)));
            }
        }
        level = parents;
    }
    Ok(Closure { objects, commits, boundary })
}

fn add_tree(
    repository: &Objects,
    tree: ObjectId,
    is_known: &impl Fn(&gix::oid) -> bool,
    seen: &mut gix::hashtable::HashSet<ObjectId>,
    objects: &mut Vec<ObjectId>,
    interrupt: &Interrupt,
) -> gix::Result<()> {
    let (mut trees, mut buffer) = (vec![tree], Vec::new());
    while let Some(id) = trees.pop() {
        if !seen.insert(id) || is_known(&id) {
            continue;
        }
        interrupt.check().map_err(gix::Error::from_error)?;
        objects.push(id);
        for entry in repository.find_tree_iter(&id, &mut buffer)? {
            let entry = entry?;
            let id = entry.oid.to_owned();
            match entry.mode.kind() {
                EntryKind::Tree => trees.push(id),
                EntryKind::Commit => {}
                _ if is_known(&id) => {}
                _ => {
                    if seen.insert(id) {
                        objects.push(id);
                    }
                }
            }
        }
    }
    Ok(())
}
