//! Whether a published tree still is as it was written.

use gix::index::entry::Mode;

use super::{SPARSE_FILE, file_mode, index_file, is_same_file, is_unmarked, to_path};
use crate::error::{Context, Error, Recovery, Result};
use crate::fetch::Fetched;
use crate::store::{Place, Store};
use crate::{CommitId, Interrupt, Selection, SparsePatterns, Submodules};

/// How many altered files are named at most.
const NAMED: usize = 10;

/// The files of a published tree that are missing or were altered, compared by stat with its index; at most
/// ten of them, submodules included. An error stands for a tree that cannot be compared at all.
pub fn altered_files(
    store: &Store,
    id: CommitId,
    selection: &Selection,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let place = store.place(id);
    let patterns = fs_err::read(place.admin.join(SPARSE_FILE)).ok();
    if patterns.as_deref() != selection.sparse.as_ref().map(SparsePatterns::bytes) {
        let step = format!("compare {} with its index", place.dir.display());
        return Err(Error::new(Recovery::Retry, step, "it was checked out with other sparse patterns"));
    }
    let mut altered = Vec::new();
    let levels = match selection.submodules {
        Submodules::Off => 0,
        Submodules::Shallow => 1,
        Submodules::Recursive => usize::MAX,
    };
    compare(&place, id, "", store, levels, &mut altered, interrupt)?;
    Ok(altered)
}

fn compare(
    place: &Place,
    id: CommitId,
    prefix: &str,
    store: &Store,
    levels: usize,
    altered: &mut Vec<String>,
    interrupt: &Interrupt,
) -> Result<()> {
    let step = || format!("compare {} with its index", place.dir.display());
    if !place.names(id) {
        return Err(Error::new(Recovery::Retry, step(), "its .git file or HEAD was altered"));
    }
    let file_mode = file_mode(&place.dir).step(step)?;
    let index = index_file::read(place, id).step(step)?;
    let maps_modules = levels > 0 && place.dir.join(".gitmodules").is_file();
    for entry in index.entries().iter().filter(|entry| is_unmarked(entry)) {
        interrupt.check().step(step)?;
        let path = place.dir.join(to_path(entry.path(&index)));
        let name = format!("{prefix}{}", entry.path(&index));
        if entry.mode == Mode::COMMIT {
            let inside = Place::of(path.clone(), store.root());
            match inside {
                Some(inside) if levels > 0 && !inside.admin.join(SPARSE_FILE).exists() => {
                    let prefix = format!("{name}/");
                    compare(&inside, CommitId(entry.id), &prefix, store, levels - 1, altered, interrupt)?;
                }
                // Without a place in .gitmodules it stays empty; a tree that should have none has one.
                None if path.is_dir()
                    && (!maps_modules || !is_mapped(&place.dir, &entry.path(&index).to_string())) => {}
                _ => altered.push(name),
            }
        } else if !rustix::fs::lstat(&path).is_ok_and(|found| is_same_file(&found, entry, file_mode)) {
            altered.push(name);
        }
        if altered.len() >= NAMED {
            break;
        }
    }
    Ok(())
}

fn is_mapped(dir: &std::path::Path, path: &str) -> bool {
    let text = fs_err::read(dir.join(".gitmodules")).unwrap_or_default();
    let modules = gix::submodule::File::from_bytes(&text, None, &gix::config::File::default());
    modules.is_ok_and(|modules| modules.name_by_path(path.into()).is_some())
}

/// Whether the tree of `fetched` is there and nobody altered it.
pub(super) fn is_intact(store: &Store, fetched: &Fetched, interrupt: &Interrupt) -> bool {
    altered_files(store, fetched.commit, &fetched.selection, interrupt).is_ok_and(|files| files.is_empty())
}
