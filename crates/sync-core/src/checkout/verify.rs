//! Check whether a published tree was altered.

use std::io;
use std::path::Path;

use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::index::{Entry, State};
use rustix::fs::{AtFlags, Mode as RawMode, OFlags, statat};

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
use crate::threads::on_threads;
use crate::worktree::entry::{file_mode, is_same_file, needs_writing, split_path, to_path};
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
    altered_by_index(store, id, (selection, None), interrupt)
}

/// As [`altered_files`], with the index of the tree if it is read already.
pub(crate) fn altered_by_index(
    store: &Store,
    id: CommitId,
    (selection, index): (&Selection, Option<&State>),
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
    compare((&paths, index), id, "", store, (levels, rules), &mut altered, interrupt)?;
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
    (paths, index): (&WorktreePaths, Option<&State>),
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
    let read;
    let index = match index {
        Some(index) => index,
        None => {
            read = index_file::read(paths.index(), id.0.kind()).step(step)?;
            &read
        }
    };
    // Sparse patterns may leave .gitmodules out. Then a submodule may be checked out or not.
    let file = paths.dir.join(".gitmodules");
    let text = if file.is_file() { fs_err::read(file).ok() } else { None };
    let submodules = text.and_then(|text| parse(&text).ok());
    let is_wanted = |path| {
        let submodules = submodules.as_ref()?;
        Some(levels > 0 && rules.wanted_name(submodules, path).is_some())
    };
    let share = index.entries().len().div_ceil(store.resources().threads()).max(1);
    let differing = on_threads(index.entries().chunks(share), |entries| {
        differing_files(&paths.dir, (index, entries), file_mode, interrupt)
    });
    altered.extend(differing.step(step)?.into_iter().flatten().map(|path| format!("{prefix}{path}")));
    for entry in index.entries().iter().filter(|entry| entry.mode == Mode::COMMIT && needs_writing(entry)) {
        let path = paths.dir.join(to_path(entry.path(index)));
        let name = format!("{prefix}{}", entry.path(index));
        let inside = WorktreePaths::of(path.clone(), store.root());
        match (inside, is_wanted(entry.path(index))) {
            (Some(inside), Some(true) | None) if levels > 0 && !inside.admin.join(SPARSE_FILE).exists() => {
                let (prefix, levels) = (format!("{name}/"), levels - 1);
                compare(
                    (&inside, None),
                    CommitId(entry.id),
                    &prefix,
                    store,
                    (levels, rules),
                    altered,
                    interrupt,
                )?;
            }
            // The directory of a submodule that is not wanted has to be there, without a worktree.
            (None, Some(false) | None) if path.is_dir() => {}
            _ => altered.push(name),
        }
    }
    altered.truncate(MAX_REPORTED);
    Ok(())
}

/// The paths of files that are missing or differ from their entries, at most [`MAX_REPORTED`].
fn differing_files<'a>(
    dir: &Path,
    (index, entries): (&'a State, &'a [Entry]),
    file_mode: u32,
    interrupt: &Interrupt,
) -> io::Result<Vec<&'a BStr>> {
    let mut differing = Vec::new();
    let mut open = None;
    for entry in entries.iter().filter(|entry| entry.mode != Mode::COMMIT && needs_writing(entry)) {
        let path = entry.path(index);
        let (parent, name) = split_path(path);
        if open.as_ref().is_none_or(|(known, _)| *known != parent) {
            interrupt.check()?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(dir.join(to_path(parent)), flags, RawMode::empty());
            open = Some((parent, opened.ok()));
        }
        let dir = open.as_ref().and_then(|(_, dir)| dir.as_ref());
        let found = dir.and_then(|dir| statat(dir, to_path(name), AtFlags::SYMLINK_NOFOLLOW).ok());
        if !found.is_some_and(|found| is_same_file(&found, entry, file_mode)) {
            differing.push(path);
            if differing.len() >= MAX_REPORTED {
                break;
            }
        }
    }
    Ok(differing)
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
