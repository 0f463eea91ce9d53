//! What to sync, and how large it may be.

use std::path::PathBuf;

use sync_core::{
    Depth, Filter, RefPattern, Reference, SparsePatterns, SubmoduleMode, SymlinkPolicy, TagPrefix,
    VersionRange,
};

use super::table::{Opt, Setting, options, parsed, path, text, value};
use super::{RefOrder, values};

options! {
    "Source" {
        REPO: Opt<String> = text("repo", "URL")
            .older(&["GIT_SYNC_REPO", "GIT_REPO"])
            .may_hold_secrets()
            .help("The repository: an https, http, ssh, git or file URL, user@host:path, or a path");
        REF: Setting<Reference> = value("ref", "REF", parsed)
            .help("The branch, tag, full reference or full commit ID to sync")
            .default("HEAD");
        REF_SEMVER: Opt<VersionRange> = value("ref-semver", "RANGE", parsed)
            .help("Instead of --ref: sync the tag with the highest version in a range, such as ~3.1 or \">=1.2 <3\"")
            .details(
                "Ranges mean what they mean to Flux, Argo CD and Helm: comparators side by side must all take a \
                 version, || stands between alternatives, and only a range with a prerelease takes prereleases (*-0 \
                 takes all versions). A tag names a version if it has three numbers, with or without a v before \
                 them. Between equal versions, build data decides, and then the name",
            );
        REF_TAG_PREFIX: Opt<TagPrefix> = value("ref-tag-prefix", "PREFIX", parsed)
            .help("What stands before the version in the name of a tag, such as app1/; other tags do not count");
        REF_MATCH: Opt<RefPattern> = value("ref-match", "GLOB", parsed)
            .help("Instead of --ref: sync the last reference that matches; with --ref-semver, tags must match, too")
            .details(
                "A glob that does not begin with refs/ is one of tags. * stands for any text, also with slashes, ? for \
                 one character, [a-z] for one of a set; up to 16 of them. Of Gerrit's refs/changes/ only patch sets \
                 count",
            );
        REF_ORDER: Opt<RefOrder> = value("ref-order", "ORDER", parsed)
            .help(
                "Which reference that matches --ref-match is the last one: by semver (the highest version; the default \
                 for tags) or by name (with the numbers in it compared by value)",
            );
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
