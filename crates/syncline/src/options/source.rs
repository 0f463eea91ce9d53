//! What to sync, and how large it may be.

use std::path::PathBuf;

use sync_core::{Depth, Filter, Reference, SparsePatterns, SubmoduleMode, SymlinkPolicy};

use super::table::{Opt, Setting, options, parsed, path, text, value};
use super::values;

options! {
    "Source" {
        REPO: Opt<String> = text("repo", "URL")
            .older(&["GIT_SYNC_REPO", "GIT_REPO"])
            .may_hold_secrets()
            .help("The repository: an https, http, ssh, git or file URL, user@host:path, or a path");
        REF: Setting<Reference> = value("ref", "REF", parsed)
            .help("The branch, tag, full reference or full commit ID to sync")
            .default("HEAD");
        DEPTH: Setting<Depth> = value("depth", "N", values::depth)
            .older(&["GIT_SYNC_DEPTH"])
            .help("How many commits of history to keep; 0 keeps all")
            .default("1");
        SUBMODULES: Setting<SubmoduleMode> = value("submodules", "MODE", values::submodules)
            .older(&["GIT_SYNC_SUBMODULES"])
            .help("Which submodules to sync: recursive, shallow (not those of submodules) or off")
            .default("recursive");
        SPARSE_CHECKOUT_FILE: Opt<PathBuf> = path("sparse-checkout-file", "PATH")
            .older(&["GIT_SYNC_SPARSE_CHECKOUT_FILE"])
            .help("A file of patterns as in git-sparse-checkout(1); only matching files are checked out");
        SPARSE_DIRS: Opt<Option<SparsePatterns>> = value("sparse-dirs", "DIR,DIR", values::sparse_directories)
            .aliases(&["sparse"])
            .help("A list of directories; only these, and the files in the directories above them, are checked out");
        FILTER: Opt<Filter> = value("filter", "FILTER", parsed)
            .help("Objects that the server may leave out of a fetch: blob:none, blob:limit=N or tree:N")
            .details("Missing objects that the checkout needs are fetched with one more request");
        SYMLINKS: Setting<SymlinkPolicy> = value("symlinks", "MODE", parsed)
            .help(
                "Which symbolic links a commit may contain: keep (any), inside (none that lead out of the tree) or \
                 refuse (none)",
            )
            .details("A commit with other links is not published. A change applies from the next commit on")
            .default("keep");
    }
    "Limits" {
        MAX_FILES: Setting<u64> = value("max-files", "N", values::count)
            .help("Refuse commits with more files and directories than this, submodules included; none for no limit")
            .default("1000000");
        MAX_TREE_SIZE: Setting<u64> = value("max-tree-size", "SIZE", values::size)
            .help("Refuse commits whose files total more than this, such as 500MiB; none for no limit")
            .default("100GiB");
        MAX_BLOB_SIZE: Setting<u64> = value("max-blob-size", "SIZE", values::size)
            .help("Refuse commits with a file larger than this")
            .default("10GiB");
        MAX_PACK_SIZE: Setting<u64> = value("max-pack-size", "SIZE", values::size)
            .help("Stop a fetch that receives more than this for one commit")
            .default("100GiB");
        MAX_SUBMODULES: Setting<u64> = value("max-submodules", "N", values::count)
            .help("Refuse commits with more submodules than this, nested ones included")
            .default("1000");
    }
}
