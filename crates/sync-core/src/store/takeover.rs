//! Take over an existing root, but refuse if it may hold unsaved work.

use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use super::git_sync_v3::is_v3_tree;
use super::layout::BRANCH;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::fs_ext::{entries, if_there};
use crate::objects::packs::packs;
use crate::spec::reference::CommitId;

/// Refuse a root that holds another repository; the error names the work found there. A `.git` that is not a
/// directory is removed if nothing is lost with it.
pub(super) fn take_over(root: &Path) -> Result<()> {
    let (git, step) = (root.join(".git"), || format!("open {}", root.display()));
    let Some(found) = if_there(fs_err::symlink_metadata(&git)).step(step)? else { return Ok(()) };
    if is_ours(root).step(step)? {
        return if git.is_dir() { Ok(()) } else { fs_err::remove_file(&git).step(step) };
    }
    let (description, work) = if git.is_dir() {
        ("a Git repository", work_in(&git).step(step)?)
    } else if found.is_symlink() {
        ("a .git link", None)
    } else {
        ("a .git file", None)
    };
    let work = match work {
        None if is_repository(&git) || !git.is_dir() => file_beside(root).step(step)?,
        work => work,
    };
    match work {
        Some(work) => {
            let text = format!(
                "it holds {description} that neither syncline nor git-sync made, and {work}; nothing was \
                 changed: choose another root, or move .git away if it is not needed"
            );
            Err(Error::new(ErrorKind::Configuration, step(), text))
        }
        None if git.is_dir() => Ok(()),
        None => fs_err::remove_file(&git).step(step),
    }
}

/// Whether the root contains files that only syncline and git-sync create. `.worktrees` alone proves nothing: other
/// programs use that name too.
fn is_ours(root: &Path) -> io::Result<bool> {
    let git = root.join(".git");
    let head = fs_err::read_to_string(git.join("HEAD")).unwrap_or_default();
    if git.join("syncline-owner").exists()
        || git.join(BRANCH).exists()
        || head.trim_end() == format!("ref: {BRANCH}")
    {
        return Ok(true);
    }
    let trees = root.join(".worktrees");
    for entry in entries(&trees)? {
        if is_tree(&entry?.path()) {
            return Ok(true);
        }
    }
    for entry in entries(root)? {
        let path = entry?.path();
        let is_link = || {
            fs_err::read_link(&path)
                .is_ok_and(|to| to.parent() == Some(".worktrees".as_ref()) && id_of(&to).is_some())
        };
        if is_v3_tree(root, &path) || is_link() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The commit that a path is named after.
fn id_of(path: &Path) -> Option<CommitId> {
    path.file_name()?.to_str()?.parse().ok()
}

/// Whether a directory is a tree of git-sync's layout.
fn is_tree(path: &Path) -> bool {
    id_of(path).is_some_and(|id| {
        let pointer = fs_err::read_to_string(path.join(".git")).unwrap_or_default();
        Path::new(pointer.trim_end()).ends_with(format!(".git/worktrees/{id}"))
    })
}

fn is_repository(git: &Path) -> bool {
    ["HEAD", "objects", "refs"].iter().any(|part| git.join(part).exists())
}

/// Work in a repository that would be lost, as a phrase for the error; `None` if there is none.
fn work_in(git: &Path) -> io::Result<Option<String>> {
    for (file, description) in [
        ("index", "an index"),
        ("commondir", "a link to another repository"),
        ("reftable/tables.list", "references"),
    ] {
        if git.join(file).exists() {
            return Ok(Some(format!("{description} (.git/{file})")));
        }
    }
    if let Some(admin) = entries(&git.join("worktrees"))?.next() {
        return Ok(Some(format!("a worktree (.git/worktrees/{})", admin?.file_name().display())));
    }
    let commit = references(git)?.into_iter().find(|(_, id)| has_object(git, id));
    Ok(commit.map(|(name, id)| format!("commits ({name} is {id})")))
}

/// Every reference that names an object, even a missing one.
fn references(git: &Path) -> io::Result<Vec<(String, ObjectId)>> {
    let id = |text: &str| ObjectId::from_hex(text.trim_end().as_bytes()).ok();
    let (mut found, mut pending) = (Vec::new(), vec![git.join("refs")]);
    let mut add = |name: &str, text: &str| found.extend(id(text).map(|id| (name.to_owned(), id)));
    add("HEAD", &fs_err::read_to_string(git.join("HEAD")).unwrap_or_default());
    for line in fs_err::read_to_string(git.join("packed-refs")).unwrap_or_default().lines() {
        if let Some((id, name)) = line.split_once(' ') {
            add(name, id);
        }
    }
    while let Some(dir) = pending.pop() {
        for entry in entries(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(git).unwrap_or(&path).display().to_string();
                add(&name, &fs_err::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    Ok(found)
}

/// Whether an object exists. If in doubt, yes: then nothing is lost.
fn has_object(git: &Path, id: &ObjectId) -> bool {
    let (objects, hex) = (git.join("objects"), id.to_string());
    let in_pack = |pack: PathBuf| {
        let index = gix_pack::index::File::at(pack.with_extension("idx"), id.kind());
        index.map_or(true, |index| index.lookup(id).is_some())
    };
    objects.join("info/alternates").exists()
        || objects.join(&hex[..2]).join(&hex[2..]).exists()
        || packs(&objects.join("pack")).map_or(true, |packs| packs.into_iter().any(in_pack))
}

/// A file in the root outside `.git`, as a phrase for the error. Empty directories and `lost+found` do not count.
fn file_beside(root: &Path) -> io::Result<Option<String>> {
    let mut pending = Vec::new();
    for entry in entries(root)? {
        let entry = entry?;
        if entry.file_name() != ".git" && entry.file_name() != "lost+found" {
            pending.push(entry);
        }
    }
    while let Some(entry) = pending.pop() {
        if !entry.file_type()?.is_dir() {
            let path = entry.path();
            return Ok(Some(format!(
                "files beside it ({})",
                path.strip_prefix(root).unwrap_or(&path).display()
            )));
        }
        for inside in entries(&entry.path())? {
            pending.push(inside?);
        }
    }
    Ok(None)
}
