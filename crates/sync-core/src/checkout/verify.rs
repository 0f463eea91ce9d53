//! Whether a published tree still is as it was written.

use gix::index::entry::Mode;

use super::SPARSE_FILE;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fetched::Fetched;
use crate::interrupt::Interrupt;
use crate::spec::Selection;
use crate::spec::reference::CommitId;
use crate::spec::sparse::SparsePatterns;
use crate::spec::submodules::{SubmoduleMode, SubmoduleRules, parse};
use crate::store::Store;
use crate::store::worktree_paths::WorktreePaths;
use crate::worktree::entry::{file_mode, is_same_file, needs_writing, to_path};
use crate::worktree::index_file;

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
    let paths = store.worktree_paths(id);
    let patterns = fs_err::read(paths.admin.join(SPARSE_FILE)).ok();
    if patterns.as_deref() != selection.sparse.as_ref().map(SparsePatterns::bytes) {
        let step = format!("compare {} with its index", paths.dir.display());
        return Err(Error::new(ErrorKind::Other, step, "it was checked out with other sparse patterns"));
    }
    let mut altered = Vec::new();
    let levels = match selection.submodules {
        SubmoduleMode::Off => 0,
        SubmoduleMode::Shallow => 1,
        SubmoduleMode::Recursive => usize::MAX,
    };
    let rules = &selection.submodule_rules;
    compare(&paths, id, "", store, (levels, rules), &mut altered, interrupt)?;
    Ok(altered)
}

fn compare(
    paths: &WorktreePaths,
    id: CommitId,
    prefix: &str,
    store: &Store,
    (levels, rules): (usize, &SubmoduleRules),
    altered: &mut Vec<String>,
    interrupt: &Interrupt,
) -> Result<()> {
    let step = || format!("compare {} with its index", paths.dir.display());
    if !paths.names(id) {
        return Err(Error::new(ErrorKind::Other, step(), "its .git file or HEAD was altered"));
    }
    let file_mode = file_mode(&paths.dir).step(step)?;
    let index = index_file::read(paths.index(), id.0.kind()).step(step)?;
    // Sparse patterns may leave it out; then any submodule may be there or not.
    let file = paths.dir.join(".gitmodules");
    let text = if file.is_file() { fs_err::read(file).ok() } else { None };
    let submodules = text.and_then(|text| parse(&text).ok());
    let is_wanted = |path| {
        let submodules = submodules.as_ref()?;
        Some(levels > 0 && rules.wanted_name(submodules, path).is_some())
    };
    for entry in index.entries().iter().filter(|entry| needs_writing(entry)) {
        interrupt.check().step(step)?;
        let path = paths.dir.join(to_path(entry.path(&index)));
        let name = format!("{prefix}{}", entry.path(&index));
        if entry.mode == Mode::COMMIT {
            let inside = WorktreePaths::of(path.clone(), store.root());
            match (inside, is_wanted(entry.path(&index))) {
                (Some(inside), Some(true) | None)
                    if levels > 0 && !inside.admin.join(SPARSE_FILE).exists() =>
                {
                    let (prefix, levels) = (format!("{name}/"), levels - 1);
                    let id = CommitId(entry.id);
                    compare(&inside, id, &prefix, store, (levels, rules), altered, interrupt)?;
                }
                // What is not wanted stays empty; a tree that should have none has one.
                (None, Some(false) | None) if path.is_dir() => {}
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

/// Whether the tree of `fetched` is there and nobody altered it.
pub(super) fn is_intact(store: &Store, fetched: &Fetched, interrupt: &Interrupt) -> bool {
    altered_files(store, fetched.commit, &fetched.selection, interrupt).is_ok_and(|files| files.is_empty())
}
