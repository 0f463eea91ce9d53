//! Older names: options that were replaced, and older variables beside today's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use sync_core::Reference;

use super::table::{Opt, options, parsed, path, switch_or, value};
use super::{EXECHOOK_COMMAND, LINK, MAX_FAILURES, PERIOD, REF, Row, SYNC_TIMEOUT, VERBOSE, values};
use crate::environment::Environment;

options! {
    "Older names" {
        BRANCH: Opt<Reference> = value("branch", "REF", parsed).older(&["GIT_SYNC_BRANCH"]).replaced_by(REF.row());
        REV: Opt<Reference> = value("rev", "REF", parsed).older(&["GIT_SYNC_REV"]).replaced_by(REF.row());
        DEST: Opt<PathBuf> = path("dest", "PATH").older(&["GIT_SYNC_DEST"]).replaced_by(LINK.row());
        WAIT: Opt<Duration> = value("wait", "SECONDS", values::seconds)
            .older(&["GIT_SYNC_WAIT"])
            .replaced_by(PERIOD.row());
        TIMEOUT: Opt<Duration> = value("timeout", "SECONDS", values::whole_seconds)
            .older(&["GIT_SYNC_TIMEOUT"])
            .replaced_by(SYNC_TIMEOUT.row());
        MAX_SYNC_FAILURES: Opt<i64> = value("max-sync-failures", "N", values::integer)
            .older(&["GIT_SYNC_MAX_SYNC_FAILURES"])
            .replaced_by(MAX_FAILURES.row());
        SYNC_HOOK_COMMAND: Opt<PathBuf> = path("sync-hook-command", "PATH")
            .older(&["GIT_SYNC_HOOK_COMMAND"])
            .replaced_by(EXECHOOK_COMMAND.row());
        CHANGE_PERMISSIONS: Opt<i64> = value("change-permissions", "MODE", values::integer)
            .older(&["GIT_SYNC_PERMISSIONS"])
            .gone("it is no longer supported; use --group-write");
        // Charts set today's form of the variable, too, which git-sync never had.
        SSH: Opt<String> = switch_or("ssh", values::text)
            .older(&["GITSYNC_SSH", "GIT_SYNC_SSH"])
            .gone("it does nothing: the URL says how to connect");
        V: Opt<i64> = value("v", "LEVEL", values::integer).replaced_by(VERBOSE.row());
    }
}

/// Whether a name is an older one. Those of proxies are shared by many programs.
pub fn is_older(option: &Row, origin: &str) -> bool {
    !option.is_current() || origin.starts_with("GIT_")
}

/// Whether an older name in the environment only repeats what today's says: charts set both generations.
pub fn is_echo(option: &'static Row, value: &OsStr, environment: &Environment) -> bool {
    // It means something only without a branch.
    if option.name == REV.name && value == "HEAD" && environment.get("GIT_SYNC_BRANCH").is_some() {
        return true;
    }
    let Some(today) = option.today() else { return false };
    // Of times only the unit is new.
    environment
        .value(&today.variables()[0])
        .is_some_and(|today| today == value || today.as_bytes().strip_suffix(b"s") == Some(value.as_bytes()))
}
