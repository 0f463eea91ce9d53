//! Small dealings with files: what a killed process left, and files replaced in one step.

use std::io;
use std::path::Path;

/// What a killed process leaves: locks of git's own, temporary files, packs without an index, half-made trees.
/// The owner's lock is held, so nobody else is still using them.
pub(super) fn clear_leftovers(root: &Path) -> io::Result<()> {
    let git = root.join(".git");
    let is_lock = |name: &str| name.ends_with(".lock");
    remove_matching(&git, &|name| is_lock(name) || name.starts_with("tmp-"))?;
    remove_matching(&git.join("refs/heads"), &is_lock)?;
    for admin in entries(&git.join("worktrees"))? {
        remove_matching(&admin?.path(), &is_lock)?;
    }
    remove_matching(&root.join(".worktrees"), &|name| name.starts_with(".tmp-"))?;
    let packs = git.join("objects/pack");
    let has = |name: &str, extension| packs.join(name).with_extension(extension).exists();
    remove_matching(&packs, &|name| match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("keep") => true,
        Some("pack") => !has(name, "idx"),
        Some("idx") => !has(name, "pack"),
        _ => name.starts_with(".tmp") || name.starts_with("tmp_"),
    })
}

fn remove_matching(dir: &Path, is_leftover: &dyn Fn(&str) -> bool) -> io::Result<()> {
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
pub(super) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs_err::DirEntry>>> {
    match fs_err::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(err) => Err(err),
    }
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

pub(super) fn write_if_different(path: &Path, content: &str) -> io::Result<()> {
    match fs_err::read(path) {
        Ok(found) if found == content.as_bytes() => Ok(()),
        _ => replace_file(path, content),
    }
}

/// Readers see the old content or the new.
pub(super) fn replace_file(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("lock");
    fs_err::write(&temporary, content)?;
    fs_err::rename(temporary, path)
}
