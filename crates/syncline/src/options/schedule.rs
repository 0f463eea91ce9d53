//! When to sync.

use std::time::Duration;

use super::table::{Opt, Setting, options, switch, value};
use super::{Scope, values};

options! {
    "Schedule" {
        PERIOD: Setting<Duration> = value("period", "DURATION", values::period)
            .older(&["GIT_SYNC_PERIOD"])
            .help("How long to wait between two syncs, on average")
            .details("So that many processes do not sync at the same moment, each pause is up to a tenth shorter or \
                      longer, and the first one after a start or a failure up to a half")
            .default("10s");
        INIT_PERIOD: Setting<Duration> = value("init-period", "DURATION", values::period_or_none)
            .help("Like --period, but until the first success; 0 means the same as --period")
            .default("0");
        ONE_TIME: Setting<bool> = switch("one-time")
            .of(Scope::Process)
            .older(&["GIT_SYNC_ONE_TIME"])
            .help("Exit after the first successful sync")
            .default("false");
        SYNC_TIMEOUT: Setting<Duration> = value("sync-timeout", "DURATION", values::period)
            .older(&["GIT_SYNC_SYNC_TIMEOUT"])
            .help("How long one sync may take before it is stopped and counts as failed")
            .default("2m");
        SYNC_ON_SIGNAL: Opt<i32> = value("sync-on-signal", "SIGNAL", values::signal)
            .of(Scope::Process)
            .older(&["GIT_SYNC_SYNC_ON_SIGNAL"])
            .help("A signal, by name or number, that starts a sync at once");
        MAX_FAILURES: Opt<i64> = value("max-failures", "N", values::integer)
            .older(&["GIT_SYNC_MAX_FAILURES"])
            .help("How many syncs in a row may fail before the process gives up; a negative number means no limit")
            .details("If it is not given, the first sync must succeed, unless an earlier tree is still published; later \
                      failures are retried without limit, with growing pauses, and the last good tree stays published");
        INIT_MAX_FAILURES: Opt<i64> = value("init-max-failures", "N", values::integer)
            .help("Like --max-failures, but until the first success");
        WORKTREE_CHECK_PERIOD: Setting<Duration> = value("worktree-check-period", "DURATION", values::duration)
            .help("How often to compare the published files with what was written, and repair them; 0 checks only at start")
            .default("10m");
    }
}
