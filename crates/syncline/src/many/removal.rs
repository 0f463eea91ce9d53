//! What becomes of a repository or a group that is no longer in the file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{Resources, Store};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::Publish;
use crate::config::many::{Removed, RepoConfig};
use crate::groups::{Generations, Shelf};

/// How long to wait if a set of a group still leads to what is to be deleted.
const AGAIN: Duration = Duration::from_secs(5);

/// Removals that wait until nobody should read any more. A name that comes back cancels its own.
#[derive(Debug, Default)]
pub(super) struct Removals(BTreeMap<String, AbortHandle>);

impl Removals {
    pub(super) fn cancel(&mut self, name: &str) {
        if let Some(removal) = self.0.remove(name) {
            removal.abort();
        }
    }

    /// Remove what a repository had, or say where it is. Readers have the time that they would have for a replaced tree,
    /// and those of groups as long as a set leads to it.
    pub(super) fn repository(&mut self, config: RepoConfig, keep: Duration, shelf: &Shelf, removed: Removed) {
        let root = config.config.publishing.root.clone();
        if removed == Removed::Keep {
            info!(repo = config.name, root = %root.display(), "removed; its files stay");
            return;
        }
        info!(repo = config.name, root = %root.display(), "removed; its files are deleted");
        let keep = config.config.publishing.stale_worktree_timeout.max(keep);
        let (name, shelf, config) = (config.name.clone(), shelf.clone(), Arc::new(config));
        let task = tokio::spawn(async move {
            sleep(keep).await;
            loop {
                let (shelf, config) = (shelf.clone(), config.clone());
                let deleted = spawn_blocking(move || delete(&config, &shelf)).await;
                match deleted.unwrap_or_else(|err| Err(err.into())) {
                    Ok(true) => return,
                    Ok(false) => sleep(AGAIN).await,
                    Err(err) => {
                        warn!(root = %root.display(), error = %err, "cannot delete all files; remove them by hand");
                        return;
                    }
                }
            }
        });
        self.0.insert(name, task.abort_handle());
    }

    /// The same for a group.
    pub(super) fn group(&mut self, name: &str, keep: Duration, shelf: &Shelf, removed: Removed) {
        if removed == Removed::Keep {
            info!(group = name, "removed; its link stays");
            return;
        }
        info!(group = name, "removed; its link is deleted");
        let (group, shelf) = (name.to_owned(), shelf.clone());
        let task = tokio::spawn(async move {
            sleep(keep).await;
            let name = group.clone();
            let delete = move || Generations::open(shelf.root(), &name, false)?.remove();
            if let Err(err) = spawn_blocking(delete).await.unwrap_or_else(|err| Err(err.into())) {
                warn!(group, error = %err, "cannot delete the group; remove it by hand");
            }
        });
        self.0.insert(name.to_owned(), task.abort_handle());
    }
}

/// Delete what syncline made in a root, and the root if nothing else is in it; but nothing as long as a set of a group
/// leads there. The answer is whether it was deleted.
fn delete(config: &RepoConfig, shelf: &Shelf) -> io::Result<bool> {
    let publishing = &config.config.publishing;
    // Nobody else may own it.
    let store = Store::open(&publishing.root, Resources::default()).map_err(io::Error::other)?;
    if !shelf.in_use(&store)?.is_empty() {
        return Ok(false);
    }
    let root = store.root().to_owned();
    let link = root.join(&publishing.link);
    if publishing.mode == Publish::Symlink && leads_into(&link, &root) {
        fs_err::remove_file(&link)?;
    }
    for own in [".worktrees", ".git"] {
        fs_err::remove_dir_all(root.join(own))?;
    }
    match fs_err::remove_dir(&root) {
        Err(err) if err.kind() != io::ErrorKind::DirectoryNotEmpty => Err(err),
        _ => Ok(true),
    }
}

fn leads_into(link: &Path, root: &Path) -> bool {
    let led_to = fs_err::canonicalize(link);
    fs_err::symlink_metadata(link).is_ok_and(|found| found.is_symlink())
        && led_to.is_ok_and(|led_to| led_to.starts_with(root))
}
