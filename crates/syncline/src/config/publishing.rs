//! Where and how to publish.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::RemoteUrl;

use crate::options::{
    DEST, ERROR_FILE, FILE_REUSE, FSYNC, FileReuse, Fsync, GIT_GC, GROUP_WRITE, GitGc, LINK, PUBLISH,
    Publish, ROOT, STALE_WORKTREE_TIMEOUT, TOUCH_FILE, WAIT_FOR_LOCK, WORKTREE_REUSE_DELAY,
};
use crate::reader::OptionReader;

/// The directory to work in, and what is published of it.
#[derive(Clone, Debug)]
pub struct Publishing {
    /// Absolute.
    pub root: PathBuf,
    /// What the published path is.
    pub mode: Publish,
    /// The path to publish. Absolute, or relative to the root once its symbolic links are resolved.
    pub link: PathBuf,
    /// How unchanged files get into a new tree.
    pub file_reuse: FileReuse,
    /// What to flush before publishing.
    pub fsync: Fsync,
    /// When to repack.
    pub git_gc: GitGc,
    /// How long to keep a replaced tree.
    pub stale_worktree_timeout: Duration,
    /// How long a replaced tree stays unchanged before its files may be reused.
    pub worktree_reuse_delay: Duration,
    /// Whether the group may write.
    pub group_write: bool,
    /// Whether to wait for another process that uses the root.
    pub wait_for_lock: bool,
    /// Absolute.
    pub touch_file: Option<PathBuf>,
    /// Absolute.
    pub error_file: Option<PathBuf>,
}

/// `None` without a root; then there is an error.
pub fn publishing(r: &mut OptionReader, url: Option<&RemoteUrl>) -> Option<Publishing> {
    let root = r.required(&ROOT).map(|root| r.absolute(root));
    if root.as_deref() == Some(Path::new("/git")) && r.environment.has_v3_volume {
        r.error(
            &ROOT,
            "is /git, which is not a volume, but /tmp/git is, the root of git-sync v3; set GITSYNC_ROOT=/tmp/git or \
             mount the volume at /git",
        );
    }
    let mode = r.get(&PUBLISH);
    let link = link(r, url, mode);
    let file = |path: Option<PathBuf>| Some(root.as_ref()?.join(path?));
    let (touch_file, error_file) = (file(r.find(&TOUCH_FILE)), file(r.find(&ERROR_FILE)));
    let (file_reuse, fsync, git_gc) = (r.get(&FILE_REUSE), r.get(&FSYNC), r.get(&GIT_GC));
    let stale_worktree_timeout = r.get(&STALE_WORKTREE_TIMEOUT);
    let worktree_reuse_delay = r.get(&WORKTREE_REUSE_DELAY);
    let (group_write, wait_for_lock) = (r.get(&GROUP_WRITE), r.get(&WAIT_FOR_LOCK));
    Some(Publishing {
        root: root?,
        mode,
        link,
        file_reuse,
        fsync,
        git_gc,
        stale_worktree_timeout,
        worktree_reuse_delay,
        group_write,
        wait_for_lock,
        touch_file,
        error_file,
    })
}

fn link(r: &mut OptionReader, url: Option<&RemoteUrl>, mode: Publish) -> PathBuf {
    let link = match (r.find(&DEST).or_else(|| r.find(&LINK)), url) {
        (Some(link), _) => link,
        (None, _) if mode == Publish::InPlace => PathBuf::from("."),
        (None, Some(url)) => PathBuf::from(url.last_component()),
        (None, None) => return PathBuf::new(),
    };
    let first = link.components().next().map(|part| part.as_os_str().to_owned());
    if link.file_name().is_none() && mode != Publish::InPlace {
        r.error(&LINK, "must be given, since the URL does not end in a name");
    } else if first.is_some_and(|first| first == ".git" || first == ".worktrees") {
        r.error(&LINK, format!("{} is where syncline keeps its own files", link.display()));
    }
    link
}
