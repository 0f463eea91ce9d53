//! Which new commits to publish, and when.

use std::time::Duration;

use sync_core::CommitId;

use super::table::{Opt, Setting, options, parsed, switch, text, value};
use super::values;

options! {
    "Rules" {
        FORWARD_ONLY: Setting<bool> = switch("forward-only")
            .help("Publish only commits that descend from the published one, so that a rewind or a forced push is refused")
            .details("The server must support filters (uploadpack.allowFilter), or --depth must be 0. With --ref-semver \
                      or --ref-match, only a name that comes later in their order is published")
            .default("false");
        FORWARD_FROM: Opt<CommitId> = value("forward-from", "COMMIT", parsed)
            .help("While this commit is published, do not apply --forward-only: allow one move away from it");
        REF_ON: Opt<String> = text("ref-on", "BRANCH")
            .help("Publish a commit, tag or other reference only if it is on this branch")
            .details("The server must support filters (uploadpack.allowFilter)");
        MIN_AGE: Setting<Duration> = value("min-age", "DURATION", values::duration)
            .help("Publish a commit only after it has been at the reference for this long")
            .details("The time counts from when this root first saw the commit. The first commit is published at once")
            .default("0s");
        WATCH_PATHS: Opt<Vec<String>> = value("watch-paths", "PATTERN,PATTERN", values::list)
            .help("Publish a commit only if a path changed that matches one of these patterns, as in gitignore(5)");
        WATCH_PATHS_EXCEPT: Opt<Vec<String>> = value("watch-paths-except", "PATTERN,PATTERN", values::list)
            .help("Paths that --watch-paths does not watch");
    }
}
