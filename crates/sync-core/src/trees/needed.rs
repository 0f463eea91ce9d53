//! What a checkout reads of a commit, if a selection leaves files out.

use std::collections::{BTreeSet, HashSet};

use gix::ObjectId;
use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::index::{Entry, State};

use super::{files_of, selected_files};
use crate::attributes::attribute_files;
use crate::error::Result;
use crate::objects::Objects;
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::worktree::entry::{needs_writing, split_path};

/// The blobs that a checkout of `selection` reads. Directories that are left out with all that is in them are not read.
///
/// # Errors
///
/// Those of [`selected_files`].
pub(crate) fn needed_blobs(
    objects: &Objects,
    commit: ObjectId,
    selection: &Selection,
) -> Result<BTreeSet<ObjectId>> {
    let index = match &selection.sparse {
        Some(sparse) if sparse.name_directories() => {
            let leaves_out = |dir: &BStr| !sparse.may_select(dir);
            files_of(objects, commit, &selection.limits, &mut 0, None, leaves_out)?.index
        }
        _ => selected_files(objects, CommitId(commit), selection, &mut 0, None)?.index,
    };
    // `.gitmodules` says which submodules there are, even if it is left out.
    let is_submodules = |entry: &&Entry| entry.path(&index) == ".gitmodules";
    let written = index.entries().iter().filter(|entry| needs_writing(entry) || is_submodules(entry));
    let attributes: Vec<&Entry> = attribute_files(&index).collect();
    let unused = unused_attributes(&index, &attributes);
    let attributes = attributes.into_iter().filter(|entry| !unused.contains(entry.path(&index)));
    let needed = written.chain(attributes).filter(|entry| entry.mode != Mode::COMMIT);
    Ok(needed.map(|entry| entry.id).collect())
}

/// The paths of those `attributes` that apply to no file: they are left out, and so is all else in their directories.
pub(crate) fn unused_attributes<'a>(index: &'a State, attributes: &[&'a Entry]) -> HashSet<&'a BStr> {
    if attributes.iter().all(|entry| needs_writing(entry)) {
        return HashSet::new();
    }
    let written = index.entries().iter().filter(|entry| needs_writing(entry));
    let written: Vec<&BStr> = written.map(|entry| entry.path(index)).collect();
    let is_unused = |path: &&BStr| {
        let dir = &path[..path.len() - split_path(path).1.len()];
        let next = written.get(written.partition_point(|path| *path < dir));
        !next.is_some_and(|next| next.starts_with(dir))
    };
    attributes.iter().map(|entry| entry.path(index)).filter(is_unused).collect()
}
