//! Check whether a published tree was altered.

use gix::index::entry::Mode;

use super::SPARSE_FILE;
use super::lfs::lacks_objects;
use super::lfs_note::LfsNote;
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

/// The largest number of altered files that are reported.
const MAX_REPORTED: usize = 10;

/// Find files of a published tree that are missing or altered, submodules included. Returns the paths of at most
/// ten of them, relative to the tree. Files are compared with the index by type, permissions, size, mtime and
/// inode; extra files do not count.
///
/// # Errors
///
/// [`ErrorKind::Other`] if the tree cannot be compared: it has other sparse patterns than `selection`, its HEAD or
/// `.git` file was altered, or its index cannot be read; [`ErrorKind::Io`] if the file system fails; after an
/// interrupt [`ErrorKind::Cancelled`] or [`ErrorKind::TimedOut`].
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
    check_lfs(store, id, &paths, selection)?;
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

/// Check that a tree has the files of Git LFS that are selected.
fn check_lfs(store: &Store, id: CommitId, paths: &WorktreePaths, selection: &Selection) -> Result<()> {
    let step = || format!("compare {} with its index", paths.dir.display());
    let is_selected = match (LfsNote::read(&paths.admin).step(step)?, &selection.lfs) {
        (None, None) => return Ok(()),
        (Some(note), Some(lfs)) => note.is_of(lfs),
        _ => false,
    };
    let reason = if !is_selected {
        "it was checked out with other settings of Git LFS"
    } else if lacks_objects(store, id).step(step)? {
        "objects of Git LFS were missing when it was checked out"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Other, step(), reason))
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
    // Sparse patterns may leave .gitmodules out. Then a submodule may be checked out or not.
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
                // The directory of a submodule that is not wanted has to be there, without a worktree.
                (None, Some(false) | None) if path.is_dir() => {}
                _ => altered.push(name),
            }
        } else if !rustix::fs::lstat(&path).is_ok_and(|found| is_same_file(&found, entry, file_mode)) {
            altered.push(name);
        }
        if altered.len() >= MAX_REPORTED {
            break;
        }
    }
    Ok(())
}

/// Whether the tree of `fetched` exists and is unaltered, and no symbolic link leads to its subdirectory: the files
/// behind one could be those that were checked out.
pub(super) fn is_intact(store: &Store, fetched: &Fetched, interrupt: &Interrupt) -> bool {
    let tree = store.tree_path(fetched.commit);
    let is_directory =
        |level| fs_err::symlink_metadata(tree.join(to_path(level))).is_ok_and(|found| found.is_dir());
    fetched.selection.subdirectory.as_ref().is_none_or(|directory| directory.levels().all(is_directory))
        && altered_files(store, fetched.commit, &fetched.selection, interrupt)
            .is_ok_and(|files| files.is_empty())
}
