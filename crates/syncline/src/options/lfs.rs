//! Git LFS.

use std::num::NonZeroUsize;

use sync_core::{LfsConfig, MissingContent, PathPatterns, RemoteUrl};

use super::table::{Opt, Setting, options, parsed, value};
use super::values;

options! {
    "Git LFS" {
        LFS: Setting<bool> = value("lfs", "MODE", values::on_or_off)
            .help("Whether files of Git LFS get their content (on) or stay pointers (off)")
            .details("No git-lfs is needed. The content is fetched over HTTP; an SSH server is asked where, with \
                      git-lfs-authenticate; a repository on this machine has it itself")
            .default("off");
        LFS_URL: Opt<RemoteUrl> = value("lfs-url", "URL", parsed)
            .may_hold_secrets()
            .help("The LFS server, if it is not where git-lfs would look for it: <repo>.git/info/lfs");
        LFS_INCLUDE: Opt<PathPatterns> = value("lfs-include", "PATTERN,PATTERN", values::path_patterns)
            .help("Only these files get their content; patterns as in gitignore(5)");
        LFS_EXCLUDE: Opt<PathPatterns> = value("lfs-exclude", "PATTERN,PATTERN", values::path_patterns)
            .help("These files stay pointers");
        LFS_CONFIG: Setting<LfsConfig> = value("lfs-config", "MODE", parsed)
            .help(
                "What of the repository's .lfsconfig counts: same-origin (a URL on the server of the repository, and \
                 its lists of files) or ignore (nothing)",
            )
            .details("A URL on another server is refused; the error names the --lfs-url that allows it")
            .default("same-origin");
        LFS_MISSING: Setting<MissingContent> = value("lfs-missing", "MODE", parsed)
            .help("What to do if the LFS server does not have an object: refuse the commit, or leave the pointer")
            .details("With pointer, the server is asked again at the next commit, and at every check of the tree")
            .default("refuse");
        LFS_TRANSFERS: Setting<NonZeroUsize> = value("lfs-transfers", "N", values::up_to_64)
            .help("How many objects to download at once, 1 to 64")
            .default("8");
    }
}
