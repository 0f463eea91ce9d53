//! The three ways to publish: a symbolic link, a directory that is exchanged, and a directory that is updated in place.
//! Each is a [`Publisher`], for any [`Mirror`](sync_core::Mirror).
//!
//! To add one, write a file with a type that implements [`Publisher`], and add a line to [`open`].

mod directory;
mod in_place;
mod replica;
mod state;
mod symlink;

use std::io;
use std::path::{Path, PathBuf};

use sync_core::{Publisher, Store, Subdirectory};

use crate::config::Publish;

pub use directory::Directory;
pub use in_place::InPlace;
pub use symlink::Symlink;

/// How files come to a published path that is not a symbolic link.
#[derive(Clone, Copy, Debug)]
pub struct CopyOptions {
    /// As hard links where the file system allows it; otherwise, or if false, as copies.
    pub shares_files: bool,
    /// Whether they are on disk before they are shown, and the change itself before the publisher returns.
    pub is_durable: bool,
}

/// A publisher at `path`, which is absolute or relative to the root of `store`. It shows `subdirectory` of each tree;
/// the whole tree if `None`.
///
/// # Errors
///
/// If that path cannot be published in this way. What a killed process left beside it is removed.
pub fn open(
    store: &Store,
    way: Publish,
    path: &Path,
    subdirectory: Option<Subdirectory>,
    options: CopyOptions,
) -> io::Result<Box<dyn Publisher>> {
    let path = store.root().join(path);
    Ok(match way {
        Publish::Symlink => Box::new(Symlink::open(store, path, subdirectory, options.is_durable)?),
        Publish::Directory => Box::new(Directory::open(store, &path, subdirectory, options)?),
        Publish::InPlace => Box::new(InPlace::open(store, &path, subdirectory, options)?),
    })
}

/// The directory of a tree that is shown. A tree in which somebody put a symbolic link on the way to it is an error.
pub(crate) fn shown_part(tree: &Path, subdirectory: Option<&Subdirectory>) -> io::Result<PathBuf> {
    let Some(subdirectory) = subdirectory else { return Ok(tree.to_owned()) };
    let part = fs_err::canonicalize(tree)?.join(subdirectory);
    if fs_err::canonicalize(&part)? == part && part.is_dir() {
        return Ok(part);
    }
    Err(io::Error::other(format!("{} is not the directory that was checked out", part.display())))
}

/// The directory that contains a published path. It is created if it does not exist.
fn parent(store: &Store, path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().unwrap_or(path);
    fs_err::create_dir_all(directory)?;
    let place = fs_err::canonicalize(directory)?;
    refuse_own(store, &place)?;
    Ok(place)
}

/// Refuse the directories in which the store keeps its own files.
fn refuse_own(store: &Store, place: &Path) -> io::Result<()> {
    match [".git", ".worktrees"].iter().any(|own| place.starts_with(store.root().join(own))) {
        true => Err(io::Error::other("this is where syncline keeps its own files; choose another --link")),
        false => Ok(()),
    }
}

/// The beginning of temporary names beside a published path.
pub(crate) fn temporary_prefix(path: &Path) -> String {
    format!(".{}.tmp-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Sixteen random digits: a name with them belongs neither to a commit nor to another program.
pub(crate) fn digits() -> String {
    format!("{:016x}", fastrand::u64(..))
}

fn are_digits(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A temporary name among the files of other programs.
fn temporary_name() -> String {
    format!(".syncline-{}", digits())
}

fn is_temporary_name(name: &str) -> bool {
    name.strip_prefix(".syncline-").is_some_and(are_digits)
}
