//! What a checkout reads of a commit, if a selection leaves files out.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::index::entry::Mode;
use gix::index::{Entry, State};

use super::{files_of, selected_files};
use crate::attributes::attribute_files;
use crate::error::Result;
use crate::objects::Objects;
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::worktree::entry::needs_writing;

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
    let needed = written.chain(attribute_files(&index).filter(|entry| applies(&index, entry)));
    Ok(needed.filter(|entry| entry.mode != Mode::COMMIT).map(|entry| entry.id).collect())
}

/// Whether an attribute file, which may be left out itself, is in a directory with files that are not.
pub(crate) fn applies(index: &State, attributes: &Entry) -> bool {
    let path = attributes.path(index);
    let dir = &path[..path.rfind_byte(b'/').map_or(0, |slash| slash + 1)];
    let entries = index.entries();
    let first = entries.partition_point(|entry| entry.path(index) < dir);
    let inside = entries[first..].iter().take_while(|entry| entry.path(index).starts_with(dir));
    needs_writing(attributes) || inside.into_iter().any(needs_writing)
}
