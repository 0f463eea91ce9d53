//! Older names in the environment, beside those of today or alone.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::Opt;

/// Those of proxies are everybody's.
pub fn is_older(option: &Opt, origin: &str) -> bool {
    !option.is_current() || origin.starts_with("GIT_")
}

/// Whether an older name in the environment only repeats what today's says: charts set both generations.
pub fn is_echo(option: &Opt, value: &OsString, environment: impl Fn(&str) -> Option<OsString>) -> bool {
    const TODAYS: [(&str, &str); 7] = [
        ("branch", "GITSYNC_REF"),
        ("rev", "GITSYNC_REF"),
        ("dest", "GITSYNC_LINK"),
        ("wait", "GITSYNC_PERIOD"),
        ("timeout", "GITSYNC_SYNC_TIMEOUT"),
        ("max-sync-failures", "GITSYNC_MAX_FAILURES"),
        ("sync-hook-command", "GITSYNC_EXECHOOK_COMMAND"),
    ];
    // It means something only without a branch.
    if option.name == "rev" && value == "HEAD" && environment("GIT_SYNC_BRANCH").is_some() {
        return true;
    }
    let today = match TODAYS.iter().find(|(older, _)| *older == option.name) {
        Some((_, today)) => environment(today),
        None if option.is_current() => environment(&option.variables()[0]),
        None => None,
    };
    // Of times only the unit is new.
    today
        .is_some_and(|today| today == *value || today.as_bytes().strip_suffix(b"s") == Some(value.as_bytes()))
}
