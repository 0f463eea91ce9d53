//! A symbolic link to the tree, or to a directory in it, replaced by one rename(2).

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sync_core::{CommitId, Interrupt, Publisher, Store, Subdirectory, Worktree, relative_path, without_dots};

use super::{digits, parent, shown_part, temporary_prefix};

/// A symbolic link to the tree, or to a directory in it. Consumers see the old tree or the new one.
#[derive(Debug)]
pub struct Symlink {
    /// Absolute.
    path: PathBuf,
    /// The root of the store.
    root: PathBuf,
    subdirectory: Option<Subdirectory>,
    is_durable: bool,
    /// Whether the link has led to the configured directory in this process. If it leads to another one of the same
    /// tree then, no earlier process made it.
    has_shown: Cell<bool>,
}

impl Symlink {
    /// Publish `subdirectory` of each tree, or all of it, at `path`, an absolute path. Links that a killed process left
    /// beside it are removed.
    ///
    /// # Errors
    ///
    /// If its directory cannot be made or read, or is one of the store's own.
    pub fn open(
        store: &Store,
        path: PathBuf,
        subdirectory: Option<Subdirectory>,
        is_durable: bool,
    ) -> io::Result<Symlink> {
        let directory = parent(store, &path)?;
        let link = Symlink {
            path,
            root: store.root().to_owned(),
            subdirectory,
            is_durable,
            has_shown: Cell::new(false),
        };
        link.clear_leftovers(&directory)?;
        Ok(link)
    }

    /// Remove the temporary links that killed processes and failed updates left in the directory of the link.
    fn clear_leftovers(&self, directory: &Path) -> io::Result<()> {
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            // `tmp-link` is git-sync's. If it was left behind, git-sync could not publish again.
            let is_named_so = (entry.file_name() == "tmp-link" && !self.path.ends_with("tmp-link"))
                || entry.file_name().to_string_lossy().starts_with(&temporary_prefix(&self.path));
            let leads_home = |target: PathBuf| leads_home(&self.root, directory, &target);
            if is_named_so && fs_err::read_link(entry.path()).is_ok_and(leads_home) {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether a target is the configured directory of its tree.
    fn is_wanted(&self, target: &Target) -> bool {
        target.inside == self.subdirectory.as_ref().map_or(Path::new(""), AsRef::as_ref)
    }

    /// What the link names, wherever it points.
    fn target(&self) -> io::Result<Option<Target>> {
        match fs_err::read_link(&self.path) {
            Ok(target) => {
                let directory = fs_err::canonicalize(self.path.parent().unwrap_or(&self.path))?;
                Ok(Target::of(&self.root, &directory, &target))
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => {
                let text = format!("{} is not a symbolic link; move it away", self.path.display());
                Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
            }
            Err(err) => Err(err),
        }
    }
}

impl Publisher for Symlink {
    fn path(&self) -> &Path {
        &self.path
    }

    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        Ok(self.target()?.map(|target| target.commit))
    }

    /// The commit that the link shows; `None` if there is no link, or it points to no tree of this store. An earlier
    /// process may have shown another directory of the tree. After that, only a stranger leads the link to another one.
    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        let shown = fs_err::canonicalize(&self.path).ok();
        let is_shown = |target: &Target| {
            shown == Some(store.tree_path(target.commit).join(&target.inside))
                && (self.is_wanted(target) || !self.has_shown.get())
        };
        Ok(self.target()?.filter(is_shown).map(|target| target.commit))
    }

    /// Whether the link leads to the configured directory.
    fn is_intact(&self, _: &Path, _: &Interrupt) -> io::Result<bool> {
        let is_wanted = self.target()?.is_some_and(|target| self.is_wanted(&target));
        self.has_shown.set(is_wanted || self.has_shown.get());
        Ok(is_wanted)
    }

    /// Point the link to `tree` in one step: readers see the old tree or the new one.
    ///
    /// The target is relative, so that the volume may be mounted elsewhere, and its last component is the commit id,
    /// unless a subdirectory is shown: consumers rely on both. If durable, the link is on disk afterwards, so that the
    /// old tree may be removed.
    fn publish(&mut self, tree: &Worktree, _: &Interrupt) -> io::Result<()> {
        let directory = fs_err::canonicalize(self.path.parent().unwrap_or(&self.path))?;
        self.clear_leftovers(&directory)?;
        let target = relative_path(&directory, &shown_part(&tree.path, self.subdirectory.as_ref())?);
        let temporary = directory.join(format!("{}{}", temporary_prefix(&self.path), digits()));
        symlink(&target, &temporary).map_err(|err| {
            io::Error::new(err.kind(), format!("make the link {}: {err}", temporary.display()))
        })?;
        fs_err::rename(&temporary, &self.path).inspect_err(|_| {
            let _ = fs_err::remove_file(&temporary);
        })?;
        self.has_shown.set(true);
        if self.is_durable { fs_err::File::open(&directory)?.sync_all() } else { Ok(()) }
    }
}

/// What the target of a link names.
struct Target {
    commit: CommitId,
    /// The path inside the tree of the commit; empty for the tree itself.
    inside: PathBuf,
}

impl Target {
    /// The commit is the component below `.worktrees`. In a target outside of this root it can only be the last one.
    fn of(root: &Path, directory: &Path, target: &Path) -> Option<Target> {
        let commit = |name: &OsStr| name.to_str()?.parse().ok();
        let led_to = without_dots(&directory.join(target));
        let Ok(way) = led_to.strip_prefix(root.join(".worktrees")) else {
            return Some(Target { commit: commit(target.file_name()?)?, inside: PathBuf::new() });
        };
        let mut parts = way.components();
        Some(Target { commit: commit(parts.next()?.as_os_str())?, inside: parts.as_path().to_owned() })
    }
}

/// Whether a link in a directory points to a tree under the root, so that it was made for this store.
fn leads_home(root: &Path, directory: &Path, target: &Path) -> bool {
    Target::of(root, directory, target).is_some() && without_dots(&directory.join(target)).starts_with(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_link_names_the_commit_below_the_trees() {
        let [id, other] = ["a", "b"].map(|digit| digit.repeat(40));
        let nested = format!(".worktrees/{other}");
        for (target, expected) in [
            (format!(".worktrees/{id}"), Some((&id, ""))),
            (format!("/r/.worktrees/{id}"), Some((&id, ""))),
            (format!(".worktrees/{id}/site/public"), Some((&id, "site/public"))),
            (format!(".worktrees/{id}/{nested}"), Some((&id, &nested))),
            (format!(".worktrees/{id}/site/../.."), None),
            (format!(".worktrees/{id}/../{other}"), Some((&other, ""))),
            (format!(".worktrees/.tmp-old-{id}"), None),
            (format!(".worktrees/x/{id}"), None),
            (format!("../elsewhere/.worktrees/{id}"), Some((&id, ""))),
            (format!("../elsewhere/.worktrees/{id}/site"), None),
            (format!("rev-{id}"), None),
            ("elsewhere".into(), None),
        ] {
            let found = Target::of("/r".as_ref(), "/r".as_ref(), target.as_ref());
            let found = found.map(|found| (found.commit.to_string(), found.inside));
            let expected = expected.map(|(commit, inside)| (commit.clone(), PathBuf::from(inside)));
            assert_eq!(found, expected, "{target}");
        }
    }
}
