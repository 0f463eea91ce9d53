//! Many repositories in one process.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::table::{Opt, Setting, options, parsed, path, switch, value};
use super::{GiveUp, Removed, Scope, values};

options! {
    "Many repositories" {
        CONFIG: Opt<PathBuf> = path("config", "PATH")
            .of(Scope::Start)
            .help("Sync all repositories that a YAML or JSON file names, or the files of a directory (*.yaml and *.yml)")
            .details("Each repository in it takes the options of this manual as keys without their dashes. What is typed, \
                      or set in the environment, is the default for all of them");
        CONFIG_CHECK: Setting<bool> = switch("config-check")
            .of(Scope::Start)
            .help("Only judge the file of --config: print all its faults, and exit with 0 if there is none, or with 1")
            .default("false");
        CONFIG_HOOKS: Setting<bool> = switch("config-hooks")
            .of(Scope::Start)
            .help("Accept programs to run from a file of --config that is in a published tree")
            .details("Without this they are refused there, since whoever may push to that repository could run programs")
            .default("false");
        MAX_PARALLEL: Opt<NonZeroUsize> = value("max-parallel", "N", values::up_to_64)
            .of(Scope::Process)
            .otherwise("one for each thread")
            .help("How many repositories may be fetched and checked out at once, 1 to 64; polls do not count");
        REMOVED: Setting<Removed> = value("removed", "WHAT", parsed)
            .of(Scope::Process)
            .help("What becomes of a repository that is no longer in the file: keep (its files stay) or delete (what \
                   syncline made is removed)")
            .details("It is removed only after --stale-worktree-timeout")
            .default("keep");
        REQUIRED: Setting<bool> = switch("required")
            .help("Whether the process is ready only if this repository is")
            .default("true");
        ON_GIVE_UP: Setting<GiveUp> = value("on-give-up", "WHAT", parsed)
            .help("What happens when a repository has failed --max-failures times: park (it is not synced any more; the \
                   others are) or exit (the process ends)")
            .default("park");
    }
}
