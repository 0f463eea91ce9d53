//! Small dealings with files: what a killed process left, and files replaced in one step.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::error::Error;

/// What a killed process or a failed step leaves: locks of git's own, temporary files, packs without an index,
/// half-made trees. The owner's lock is held, so nobody else is still using them; it may want `spare` itself.
/// Returns what could not be removed.
pub(super) fn clear_leftovers(root: &Path, spare: Option<&Place>) -> io::Result<Vec<Error>> {
    clear_repository(&root.join(".git"), spare)?;
    for module in entries(&root.join(".git/modules"))? {
        clear_repository(&module?.path(), None)?;
    }
    let trees = root.join(".worktrees");
    restore_exchanged(&trees)?;
    // Consumers may have put files of theirs into a tree, which we may not be allowed to remove.
    let mut warnings = Vec::new();
    for entry in entries(&trees)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".tmp-")
            && spare.is_none_or(|spare| spare.dir != entry.path())
            && let Err(err) = remove_dir_if_there(&entry.path())
        {
            warnings.push(Error::io("clear what was left half-made", &err));
        }
    }
    Ok(warnings)
}

/// A tree that was being exchanged where the file system cannot do it in one step: put it back.
fn restore_exchanged(trees: &Path) -> io::Result<()> {
    for entry in entries(trees)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(id) = name.strip_prefix(".tmp-").and_then(|name| name.strip_suffix(".old"))
            && is_gone(&trees.join(id))
        {
            fs_err::rename(&path, trees.join(id))?;
        }
    }
    Ok(())
}

pub(super) fn remove_matching(dir: &Path, is_leftover: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in entries(dir)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_leftover) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The entries of a directory; none where it does not exist.
pub(crate) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs_err::DirEntry>> + use<>> {
    match fs_err::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(err) => Err(err),
    }
}

/// The packs of a directory. Without its index a pack is not there.
pub(crate) fn packs(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let names: BTreeSet<PathBuf> = entries(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let is_pack = |path: &&PathBuf| path.extension() == Some("pack".as_ref());
    let has_index = |path: &&PathBuf| names.contains(&path.with_extension("idx"));
    Ok(names.iter().filter(is_pack).filter(has_index).cloned().collect())
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

pub(crate) fn remove_dir_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

pub(super) fn remove_pack(pack: &Path) -> io::Result<()> {
    // The other order would leave an index without a pack.
    for extension in ["idx", "rev", "bitmap", "promisor", "pack"] {
        remove_if_there(&pack.with_extension(extension))?;
    }
    Ok(())
}

pub(super) fn write_if_different(path: &Path, content: &str) -> io::Result<()> {
    match fs_err::read(path) {
        Ok(found) if found == content.as_bytes() => Ok(()),
        _ => replace_file(path, content),
    }
}

/// Readers see the old content or the new.
pub(super) fn replace_file(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("lock");
    fs_err::write(&temporary, content).and_then(|()| fs_err::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs_err::remove_file(&temporary);
    })
}

/// Whether nothing is there; not where that cannot be told.
pub(super) fn is_gone(path: &Path) -> bool {
    path.try_exists().is_ok_and(|there| !there)
}

/// The same inside of one repository.
pub(super) fn clear_repository(git: &Path, spare: Option<&Place>) -> io::Result<()> {
    let is_lock = |name: &str| name.ends_with(".lock");
    let is_spare = |name: &str| spare.is_some_and(|spare| spare.admin == git.join(name));
    remove_matching(git, &|name| is_lock(name) || (name.starts_with("tmp-") && !is_spare(name)))?;
    for dir in ["refs/heads", "logs/refs/heads"] {
        remove_matching(&git.join(dir), &is_lock)?;
    }
    for admin in entries(&git.join("worktrees"))? {
        remove_matching(&admin?.path(), &is_lock)?;
    }
    let packs = git.join("objects/pack");
    let has = |name: &str, extension| packs.join(name).with_extension(extension).exists();
    remove_matching(&packs, &|name| match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("keep") => true,
        Some("pack") => !has(name, "idx"),
        Some("idx") => !has(name, "pack"),
        _ => name.starts_with(".tmp") || name.starts_with("tmp_"),
    })
}
