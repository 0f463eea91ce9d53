//! Where and how to publish.

use std::path::PathBuf;
use std::time::Duration;

use sync_core::Subdirectory;

use super::choices::{FileReuse, Fsync, GitGc, Publish};
use super::table::{Opt, Setting, options, parsed, path, switch, value};
use super::{Scope, values};

options! {
    "Publishing" {
        ROOT: Opt<PathBuf> = path("root", "DIR")
            .of(Scope::Both)
            .older(&["GIT_SYNC_ROOT"])
            .help("The directory for the repository and the trees; created if it does not exist");
        LINK: Opt<PathBuf> = path("link", "PATH")
            .older(&["GIT_SYNC_LINK"])
            .otherwise("the last part of the URL")
            .help("The path to publish (see --publish), absolute or relative to the root");
        PUBLISH: Setting<Publish> = value("publish", "MODE", parsed)
            .help(
                "How to publish: symlink (switch a link), directory (exchange a directory in one step) or in-place \
                 (replace files one by one)",
            )
            .details("With in-place the files go to the root itself, unless --link names another directory")
            .default("symlink");
        SUBDIRECTORY: Opt<Subdirectory> = value("subdirectory", "DIR", parsed)
            .otherwise("the whole tree")
            .help("The directory of the commit to publish, such as site/public; the rest of the tree is not published")
            .details("A commit in which it is no directory is refused. With --publish=symlink the target of the link \
                      then ends in DIR, no longer in the commit ID: consumers that read the ID there need a hook or \
                      /status. Hooks run in the whole tree. --symlinks=inside means inside DIR for the links in it. \
                      With --sparse-dirs=DIR, too, the rest is not even checked out");
        STALE_WORKTREE_TIMEOUT: Setting<Duration> = value("stale-worktree-timeout", "DURATION", values::duration)
            .help("How long to keep a tree after it was replaced; 0 removes it at once")
            .default("0");
        WORKTREE_REUSE_DELAY: Setting<Duration> = value("worktree-reuse-delay", "DURATION", values::duration)
            .help("How long a replaced tree stays unchanged before its files may be reused for the next tree")
            .details("Until then, a process that still has the tree open reads its old files and never those of another \
                      commit")
            .default("1m");
        GROUP_WRITE: Setting<bool> = switch("group-write")
            .of(Scope::Process)
            .older(&["GIT_SYNC_GROUP_WRITE"])
            .help("Make files and directories writable for the group (umask 0002)")
            .default("false");
        TOUCH_FILE: Opt<PathBuf> = path("touch-file", "PATH")
            .older(&["GIT_SYNC_TOUCH_FILE"])
            .help("A file to touch after each publication, absolute or relative to the root");
        ERROR_FILE: Opt<PathBuf> = path("error-file", "PATH")
            .older(&["GIT_SYNC_ERROR_FILE"])
            .help("A file for the last error, absolute or relative to the root; removed after a success");
        FILE_REUSE: Setting<FileReuse> = value("file-reuse", "MODE", parsed)
            .aliases(&["checkout"])
            .help("How unchanged files get into a new tree: hardlink (shared with the last tree) or none (written again)")
            .details("Use none if consumers write to published files. The older words link and copy are accepted, too")
            .default("hardlink");
        FSYNC: Setting<Fsync> = value("fsync", "MODE", parsed)
            .aliases(&["durability"])
            .help("What to flush to disk before the link is switched: off (nothing) or all (everything)")
            .details("With all, the link leads to a complete tree even after a power failure. The older words none and data \
                      are accepted, too")
            .default("off");
        GIT_GC: Setting<GitGc> = value("git-gc", "MODE", parsed)
            .older(&["GIT_SYNC_GIT_GC"])
            .help("When to repack the store: auto or always (when it has many packs), aggressive (after every change) or off")
            .details("With all history (a depth of 0), when there are many packs, only the small ones are copied into one, unless a forced push replaced commits. Git is not run for this")
            .default("always");
        WAIT_FOR_LOCK: Setting<bool> = switch("wait-for-lock")
            .help("Wait while another process uses the root, instead of giving up")
            .default("false");
        ADD_USER: Setting<bool> = switch("add-user")
            .ignored("no entry in /etc/passwd is needed")
            .older(&["GIT_SYNC_ADD_USER"])
            .help("Accepted for compatibility with git-sync; no entry in /etc/passwd is needed")
            .default("false");
    }
}
