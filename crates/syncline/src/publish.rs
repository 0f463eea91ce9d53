//! The link that consumers read: what it shows, flipping it, and removing trees it showed long enough ago.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::{CommitId, Store, Worktree, relative_path};

use crate::clock::now;

/// The published symlink.
#[derive(Clone, Debug)]
pub struct Link {
    /// Absolute.
    path: PathBuf,
}

impl Link {
    /// `link` is absolute or relative to the root of `store`. Clears what a killed process left beside it.
    pub fn open(store: &Store, link: &Path) -> io::Result<Link> {
        let link = Link { path: store.root().join(link) };
        let directory = link.directory();
        fs_err::create_dir_all(directory)?;
        let place = fs_err::canonicalize(directory)?;
        if [".git", ".worktrees"].iter().any(|own| place.starts_with(store.root().join(own))) {
            return Err(io::Error::other("this is where syncline keeps its own files; choose another link"));
        }
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            // `tmp-link` is git-sync's; left behind, it would have stopped git-sync for good.
            let is_leftover = (name == "tmp-link" && !link.path.ends_with("tmp-link"))
                || name.to_string_lossy().starts_with(&link.temporary_prefix());
            if is_leftover && entry.file_type()?.is_symlink() {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(link)
    }

    /// Where the link is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that the link shows; `None` where there is no link or it shows no tree of this store.
    pub fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        let target = match fs_err::read_link(&self.path) {
            Ok(target) => target,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => {
                let text = format!("{} is not a symbolic link; move it away", self.path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(err) => return Err(err),
        };
        let id = target.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let shown = fs_err::canonicalize(&self.path).ok();
        Ok(id.filter(|id| shown.as_deref() == Some(&store.tree_path(*id))))
    }

    /// Where the link leads, whatever that is.
    pub fn target(&self) -> Option<PathBuf> {
        fs_err::canonicalize(&self.path).ok()
    }

    /// Make the link show `tree`, in one step: readers see the old tree or the new one.
    ///
    /// The target is relative, so that the volume may be mounted elsewhere, and its last component is the
    /// commit's id: consumers rely on both. `is_durable`: the link is on disk afterwards, so that what it showed
    /// before may go.
    pub fn flip(&self, tree: &Worktree, is_durable: bool) -> io::Result<()> {
        let directory = fs_err::canonicalize(self.directory())?;
        let target = relative_path(&directory, &tree.path);
        let temporary = directory.join(format!("{}{:016x}", self.temporary_prefix(), fastrand::u64(..)));
        symlink(&target, &temporary).map_err(|err| {
            io::Error::new(err.kind(), format!("make the link {}: {err}", temporary.display()))
        })?;
        fs_err::rename(&temporary, &self.path).inspect_err(|_| {
            let _ = fs_err::remove_file(&temporary);
        })?;
        if is_durable { fs_err::File::open(&directory)?.sync_all() } else { Ok(()) }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn temporary_prefix(&self) -> String {
        format!(".{}.tmp-", self.path.file_name().unwrap_or_default().to_string_lossy())
    }
}

/// Start the time that a replaced tree is kept: by its directory's modification time, as git-sync does, so that
/// it outlives this process.
pub fn retire(store: &Store, id: CommitId) -> io::Result<()> {
    fs_err::File::open(store.tree_path(id))?.set_modified(now())
}

/// Remove the trees that were replaced longer ago than `keep`; the newest of them stays without a name if
/// `keeps_spare`. `current` is never one of them. One that cannot be removed does not keep the others.
pub fn prune(
    store: &mut Store,
    current: CommitId,
    keep: Duration,
    keeps_spare: bool,
) -> Result<usize, sync_core::Error> {
    let others = store.trees().unwrap_or_default().into_iter().filter(|id| *id != current);
    let with_age = others.filter_map(|id| Some((age(store, id)?, id)));
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

/// How long ago a tree was retired; `None` if that cannot be told. The clock may have been ahead: the time begins anew.
fn age(store: &Store, id: CommitId) -> Option<Duration> {
    let modified = fs_err::symlink_metadata(store.tree_path(id)).and_then(|found| found.modified()).ok()?;
    now().duration_since(modified).inspect_err(|_| _ = retire(store, id)).ok()
}
