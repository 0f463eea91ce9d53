//! A symbolic link to the tree, replaced by one rename(2).

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sync_core::{CommitId, Interrupt, Publisher, Store, Worktree, relative_path, without_dots};

use super::{digits, parent, temporary_prefix};

/// A symbolic link to the tree. Consumers see the old tree or the new one.
#[derive(Debug)]
pub struct Symlink {
    /// Absolute.
    path: PathBuf,
    /// The root of the store.
    root: PathBuf,
    is_durable: bool,
}

impl Symlink {
    /// Publish at `path`, an absolute path. Links that a killed process left beside it are removed.
    ///
    /// # Errors
    ///
    /// If its directory cannot be made or read, or is one of the store's own.
    pub fn open(store: &Store, path: PathBuf, is_durable: bool) -> io::Result<Symlink> {
        let directory = parent(store, &path)?;
        let link = Symlink { path, root: store.root().to_owned(), is_durable };
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

    /// The commit that the link names, wherever it points.
    fn target(&self) -> io::Result<Option<CommitId>> {
        match fs_err::read_link(&self.path) {
            Ok(target) => Ok(commit_in(&target)),
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
        self.target()
    }

    /// The commit that the link shows; `None` if there is no link, or it points to no tree of this store.
    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        let shown = fs_err::canonicalize(&self.path).ok();
        Ok(self.target()?.filter(|id| shown.as_deref() == Some(&store.tree_path(*id))))
    }

    /// Point the link to `tree` in one step: readers see the old tree or the new one.
    ///
    /// The target is relative, so that the volume may be mounted elsewhere, and its last component is the commit id:
    /// consumers rely on both. If durable, the link is on disk afterwards, so that the old tree may be removed.
    fn publish(&mut self, tree: &Worktree, _: &Interrupt) -> io::Result<()> {
        let directory = fs_err::canonicalize(self.path.parent().unwrap_or(&self.path))?;
        self.clear_leftovers(&directory)?;
        let target = relative_path(&directory, &tree.path);
        let temporary = directory.join(format!("{}{}", temporary_prefix(&self.path), digits()));
        symlink(&target, &temporary).map_err(|err| {
            io::Error::new(err.kind(), format!("make the link {}: {err}", temporary.display()))
        })?;
        fs_err::rename(&temporary, &self.path).inspect_err(|_| {
            let _ = fs_err::remove_file(&temporary);
        })?;
        if self.is_durable { fs_err::File::open(&directory)?.sync_all() } else { Ok(()) }
    }
}

/// The commit that the target of a link names.
fn commit_in(target: &Path) -> Option<CommitId> {
    target.file_name()?.to_str()?.parse().ok()
}

/// Whether a link in a directory points to a tree under the root, so that it was made for this store.
fn leads_home(root: &Path, directory: &Path, target: &Path) -> bool {
    commit_in(target).is_some() && without_dots(&directory.join(target)).starts_with(root)
}
