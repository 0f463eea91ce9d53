//! What consumers read: what is shown there, showing the next tree, and removing trees shown long enough ago.

mod directory;
mod in_place;
mod link;
mod replica;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::{CommitId, Error, Interrupt, Store, Worktree};

use crate::clock::now;
use crate::config::Publish;

use directory::Directory;
use in_place::InPlace;
use link::Link;

/// The published path.
#[derive(Debug)]
pub enum Publication {
    /// A symbolic link to the tree.
    Link(Link),
    /// A directory with the tree's files, exchanged for the next one.
    Directory(Directory),
    /// A directory whose files are replaced one by one.
    InPlace(InPlace),
}

/// How files come to a published path that is no link.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// As hard links, where those are possible.
    pub shares_files: bool,
    /// On disk before they are shown, as is the change of what is shown afterwards.
    pub is_durable: bool,
}

impl Publication {
    /// `path` is absolute or relative to the root of `store`. Says what keeps it from being published in this way,
    /// and clears what a killed process left beside it.
    pub fn open(store: &Store, way: Publish, path: &Path, manner: Manner) -> io::Result<Publication> {
        let path = store.root().join(path);
        Ok(match way {
            Publish::Symlink => Publication::Link(Link::open(store, path, manner.is_durable)?),
            Publish::Directory => Publication::Directory(Directory::open(store, &path, manner)?),
            Publish::InPlace => Publication::InPlace(InPlace::open(store, &path, manner)?),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Publication::Link(link) => link.path(),
            Publication::Directory(directory) => directory.path(),
            Publication::InPlace(in_place) => in_place.path(),
        }
    }

    /// The commit that it names, whether that has a tree or not.
    pub fn named(&self, store: &Store) -> io::Result<Option<CommitId>> {
        match self {
            Publication::Link(link) => link.named(),
            Publication::Directory(directory) => directory.named(store),
            Publication::InPlace(in_place) => in_place.named(),
        }
    }

    /// The commit that is shown; `None` where that is nothing, something half-done, or no tree of this store.
    pub fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        match self {
            Publication::Link(link) => link.current(store),
            _ => Ok(self.named(store)?.filter(|id| store.tree_path(*id).is_dir())),
        }
    }

    /// Whether the files of `tree` are shown as they are, after [`Publication::current`] said that they are shown.
    pub fn is_whole(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        match self {
            Publication::Link(_) => Ok(true),
            Publication::Directory(directory) => directory.is_whole(tree, interrupt),
            Publication::InPlace(in_place) => in_place.is_whole(tree, interrupt),
        }
    }

    /// Show `tree` from now on.
    pub fn show(&self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        match self {
            Publication::Link(link) => link.flip(tree),
            Publication::Directory(directory) => directory.exchange(tree, interrupt),
            Publication::InPlace(in_place) => in_place.bring(tree, interrupt),
        }
    }

    /// Remove what was shown longer ago than `keep`, besides trees.
    pub fn prune(&self, keep: Duration) -> io::Result<()> {
        match self {
            Publication::Directory(directory) => directory.prune(keep),
            Publication::Link(_) | Publication::InPlace(_) => Ok(()),
        }
    }
}

/// The directory that a published path is in, created if need be.
fn parent(store: &Store, path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().unwrap_or(path);
    fs_err::create_dir_all(directory)?;
    let place = fs_err::canonicalize(directory)?;
    refuse_own(store, &place)?;
    Ok(place)
}

/// Nothing is published where the store keeps its own.
fn refuse_own(store: &Store, place: &Path) -> io::Result<()> {
    match [".git", ".worktrees"].iter().any(|own| place.starts_with(store.root().join(own))) {
        true => Err(io::Error::other("this is where syncline keeps its own files; choose another --link")),
        false => Ok(()),
    }
}

/// What the names begin with that are only for a while beside a published path.
fn temporary_prefix(path: &Path) -> String {
    format!(".{}.tmp-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Sixteen digits that nobody can foresee: a name with them is not a commit's, nor anybody else's.
fn digits() -> String {
    format!("{:016x}", fastrand::u64(..))
}

fn are_digits(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name for a while among files of others.
fn temporary_name() -> String {
    format!(".syncline-{}", digits())
}

fn is_temporary_name(name: &str) -> bool {
    name.strip_prefix(".syncline-").is_some_and(are_digits)
}

/// Start the time that a replaced tree is kept: by its directory's modification time, as git-sync does, so that
/// it outlives this process.
pub fn retire(store: &Store, id: CommitId) -> io::Result<()> {
    start_time(&store.tree_path(id))
}

fn start_time(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.set_modified(now())
}

/// Remove the trees that were replaced longer ago than `keep`; the newest of them stays without a name if
/// `keeps_spare`. Those `in_use` are never among them. One that cannot be removed does not keep the others.
pub fn prune(
    store: &mut Store,
    in_use: &[CommitId],
    keep: Duration,
    keeps_spare: bool,
) -> Result<usize, Error> {
    let trees = store.trees().map_err(|err| Error::io("list the old trees", &err))?;
    let others = trees.into_iter().filter(|id| !in_use.contains(id));
    let with_age = others.filter_map(|id| Some((age(&store.tree_path(id))?, id)));
    let mut old: Vec<_> = with_age.filter(|(age, _)| *age >= keep).collect();
    old.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    let mut first_failure = Ok(());
    for (at, (_, id)) in old.iter().enumerate() {
        let is_newest = at + 1 == old.len();
        let outcome = if is_newest && keeps_spare { store.keep_spare(*id) } else { store.remove_tree(*id) };
        first_failure = first_failure.and(outcome);
    }
    first_failure.map(|()| old.len())
}

/// How long ago a directory was retired; `None` if that cannot be told. The clock may have been ahead: the time begins
/// anew.
fn age(directory: &Path) -> Option<Duration> {
    let modified = fs_err::symlink_metadata(directory).and_then(|found| found.modified()).ok()?;
    now().duration_since(modified).inspect_err(|_| _ = start_time(directory)).ok()
}
