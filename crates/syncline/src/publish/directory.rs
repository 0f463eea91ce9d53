//! A published directory, for consumers that cannot follow links. The next one is built beside it and exchanged with it
//! in one step.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, RenameFlags, StatxAttributes, StatxFlags, renameat_with, statx};
use sync_core::{CommitId, Interrupt, Publisher, Store, Subdirectory, Worktree, relative_path, without_dots};

use super::replica::{Replica, list};
use super::{CopyOptions, are_digits, digits, parent, shown_part, temporary_prefix};
use crate::clock::CLOCK;

/// A directory with the files of the tree, or of a directory in it, exchanged for the next one in one step. Consumers
/// that stay inside see the old one until it is pruned.
#[derive(Debug)]
pub struct Directory {
    /// Absolute, without symbolic links except in its last component.
    path: PathBuf,
    /// The root of the store.
    root: PathBuf,
    subdirectory: Option<Subdirectory>,
    options: CopyOptions,
}

impl Directory {
    /// Publish `subdirectory` of each tree, or all of it, at `path`, an absolute path.
    ///
    /// # Errors
    ///
    /// If it is a mount point, the file system cannot exchange directories, or something else is there.
    pub fn open(
        store: &Store,
        path: &Path,
        subdirectory: Option<Subdirectory>,
        options: CopyOptions,
    ) -> io::Result<Directory> {
        let path = parent(store, path)?.join(path.file_name().unwrap_or_default());
        let directory = Directory { path, root: store.root().to_owned(), subdirectory, options };
        if directory.is_mount_point() {
            return Err(io::Error::other(
                "it is a mount point, which nothing can take the place of; mount the directory above it, or give --publish=in-place",
            ));
        }
        directory.remove(is_new)?;
        directory.try_exchange()?;
        directory.content()?;
        Ok(directory)
    }

    fn is_mount_point(&self) -> bool {
        let found = statx(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
        found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// Check that the file system can exchange directories.
    fn try_exchange(&self) -> io::Result<()> {
        let names = [self.beside(NEW), self.beside(NEW)];
        for name in &names {
            fs_err::create_dir(name)?;
        }
        let exchanged = exchange(&names[0], &names[1]);
        for name in &names {
            fs_err::remove_dir_all(name)?;
        }
        exchanged.map_err(|err| {
            let text =
                format!("this file system cannot exchange directories ({err}); give another --publish");
            io::Error::new(err.kind(), text)
        })
    }

    /// An unused temporary name beside the directory.
    fn beside(&self, kind: &str) -> PathBuf {
        self.path.with_file_name(format!("{}{kind}{}", temporary_prefix(&self.path), digits()))
    }

    /// Keep the replaced directory for processes that are still inside it.
    fn set_aside(&self, old: &Path) -> io::Result<()> {
        if fs_err::symlink_metadata(old)?.is_symlink() {
            return fs_err::remove_file(old);
        }
        CLOCK.record_replacement(old)?;
        fs_err::rename(old, self.beside(OLD))
    }

    /// Remove the directories of ours beside it for which `is_due` returns true, by the last part of their names.
    fn remove(&self, is_due: impl Fn(&str, &Path) -> bool) -> io::Result<()> {
        let prefix = temporary_prefix(&self.path);
        for entry in fs_err::read_dir(self.path.parent().unwrap_or(&self.path))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
            if is_due(name, &entry.path()) {
                match entry.file_type()?.is_dir() {
                    true => fs_err::remove_dir_all(entry.path())?,
                    false => fs_err::remove_file(entry.path())?,
                }
            }
        }
        Ok(())
    }

    /// The commit that the `.git` file of the directory names. An empty directory and a symbolic link name none; any
    /// other content is an error.
    fn content(&self) -> io::Result<Option<CommitId>> {
        let found = match fs_err::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        if found.is_symlink() {
            return Ok(None);
        }
        let text = fs_err::read_to_string(self.path.join(".git")).unwrap_or_default();
        let admin =
            text.strip_prefix("gitdir: ").map(|admin| without_dots(&self.path.join(admin.trim_end())));
        let named = admin.as_ref().and_then(|admin| admin.strip_prefix(self.admins()).ok());
        if named.is_none() && fs_err::read_dir(&self.path)?.next().is_some() {
            let text = format!("{} is not syncline's; move it away", self.path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(named.and_then(|named| named.components().next()?.as_os_str().to_str()?.parse().ok()))
    }

    /// Where the store keeps the admin directories of its trees.
    fn admins(&self) -> PathBuf {
        self.root.join(".git/worktrees")
    }

    /// The text of the `.git` file beside the files of a subdirectory. It names the commit and the subdirectory, and no
    /// repository: the index of the tree does not fit these files, so git must not work on them.
    fn marker(&self, tree: &Path, subdirectory: &Subdirectory) -> String {
        let named = self.admins().join(tree.file_name().unwrap_or_default()).join(subdirectory);
        format!("gitdir: {}\n", relative_path(&self.path, &named).display())
    }

    /// Whether the `.git` file of the directory names the configured subdirectory, if there is one.
    fn shows_part_of(&self, tree: &Path) -> bool {
        self.subdirectory.as_ref().is_none_or(|subdirectory| {
            let found = fs_err::read_to_string(self.path.join(".git"));
            found.is_ok_and(|found| found == self.marker(tree, subdirectory))
        })
    }
}

impl Publisher for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn named(&self, _: &Store) -> io::Result<Option<CommitId>> {
        self.content()
    }

    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        if !self.shows_part_of(tree) {
            return Ok(false);
        }
        let Ok(part) = shown_part(tree, self.subdirectory.as_ref()) else { return Ok(false) };
        Replica::new(&part, &self.path, self.options, interrupt)?.has_all(&list(&part)?)
    }

    /// Build a directory with the files of `tree`, or of its subdirectory, beside this one, and exchange the two.
    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        self.remove(is_new)?;
        let part = shown_part(&tree.path, self.subdirectory.as_ref())?;
        let new = self.beside(NEW);
        fs_err::create_dir(&new)?;
        let mut replica = Replica::new(&part, &new, self.options, interrupt)?;
        for path in list(&part)? {
            replica.put(&path)?;
        }
        if let Some(subdirectory) = &self.subdirectory {
            fs_err::write(new.join(".git"), self.marker(&tree.path, subdirectory))?;
        }
        let directory = fs_err::File::open(self.path.parent().unwrap_or(&self.path))?;
        if self.options.is_durable {
            rustix::fs::syncfs(&directory)?;
        }
        if fs_err::symlink_metadata(&self.path).is_ok() {
            exchange(&new, &self.path)
                .map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", self.path.display())))?;
            self.set_aside(&new)?;
        } else {
            fs_err::rename(&new, &self.path)?;
        }
        if self.options.is_durable { directory.sync_all() } else { Ok(()) }
    }

    /// Remove the directories that were replaced longer ago than `keep`.
    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        self.remove(|name, path| {
            is_of(OLD, name) && CLOCK.time_since_replacement(path).is_some_and(|age| age >= keep)
        })
    }
}

/// In the name of a directory that is being built.
const NEW: &str = "new-";

/// In the name of a directory that was replaced.
const OLD: &str = "old-";

fn is_of(kind: &str, name: &str) -> bool {
    name.strip_prefix(kind).is_some_and(are_digits)
}

fn is_new(name: &str, _: &Path) -> bool {
    is_of(NEW, name)
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}
