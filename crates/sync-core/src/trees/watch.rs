//! Whether a commit changes a watched path. Only the subtrees that differ are read, and no history.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::objs::FindExt;
use gix::objs::tree::EntryMode;

use super::rules::{MAX_PATH, join, join_length};
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::objects::Objects;
use crate::spec::watch_paths::WatchPaths;

/// A watched path that differs between the trees of two commits; `None` if all are the same.
///
/// A commit with more files than `limits` allow, or with longer paths than a tree may have, counts as changed: the
/// checkout will refuse it.
pub(crate) fn watched_change(
    objects: &Objects,
    (old, new): (ObjectId, ObjectId),
    paths: &WatchPaths,
    limits: &Limits,
    interrupt: &Interrupt,
) -> gix::Result<Option<BString>> {
    let mut buffer = Vec::new();
    let mut root = |commit: ObjectId| objects.find_commit_iter(&commit, &mut buffer)?.tree_id();
    let mut differing = vec![(BString::default(), Some(root(old)?), Some(root(new)?))];
    let mut count = 0;
    while let Some((dir, old, new)) = differing.pop() {
        let (old, new) = (entries(objects, old)?, entries(objects, new)?);
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names {
            interrupt.check().map_err(gix::Error::from_error)?;
            let (before, after) = (old.get(name), new.get(name));
            if before == after {
                continue;
            }
            count += 1;
            let path = join(dir.as_bstr(), name.as_bstr());
            let is_changed = |entry: &(EntryMode, ObjectId)| {
                !entry.0.is_tree() && paths.contains(path.as_bstr(), entry.0.is_commit())
            };
            let is_refused = count > limits.files || join_length(dir.as_bstr(), name.as_bstr()) > MAX_PATH;
            if is_refused || before.is_some_and(is_changed) || after.is_some_and(is_changed) {
                return Ok(Some(path));
            }
            let tree = |entry: Option<&(EntryMode, ObjectId)>| {
                entry.filter(|entry| entry.0.is_tree()).map(|entry| entry.1)
            };
            if tree(before).or(tree(after)).is_some() {
                differing.push((path, tree(before), tree(after)));
            }
        }
    }
    Ok(None)
}

/// The entries of a tree; none if there is no tree.
fn entries(
    objects: &Objects,
    tree: Option<ObjectId>,
) -> gix::Result<BTreeMap<BString, (EntryMode, ObjectId)>> {
    let Some(tree) = tree else { return Ok(BTreeMap::new()) };
    let mut buffer = Vec::new();
    let entries = objects.find_tree_iter(&tree, &mut buffer)?;
    let of = |entry: gix::objs::tree::EntryRef<'_>| {
        (entry.filename.to_owned(), (entry.mode, entry.oid.to_owned()))
    };
    entries.map(|entry| entry.map(of)).collect()
}
