//! When to sync.

use std::time::Duration;

use crate::options::{
    INIT_MAX_FAILURES, INIT_PERIOD, MAX_FAILURES, MAX_SYNC_FAILURES, ONE_TIME, PERIOD, SYNC_ON_SIGNAL,
    SYNC_TIMEOUT, TIMEOUT, WAIT, WORKTREE_CHECK_PERIOD,
};
use crate::reader::OptionReader;
use crate::schedule::Policy;

/// How often to sync, and for how long.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The pauses, and the failures to accept.
    pub policy: Policy,
    /// The longest that a sync may take.
    pub sync_timeout: Duration,
    /// The number of the signal that starts a sync.
    pub sync_on_signal: Option<i32>,
    /// `None`: only at start.
    pub worktree_check_period: Option<Duration>,
}

pub fn timing(r: &mut OptionReader) -> Timing {
    let policy = policy(r);
    let timeout = r.given(&TIMEOUT).filter(|timeout| !timeout.is_zero());
    let check_period = r.get(&WORKTREE_CHECK_PERIOD);
    Timing {
        policy,
        sync_timeout: timeout.unwrap_or_else(|| r.get(&SYNC_TIMEOUT)),
        sync_on_signal: r.find(&SYNC_ON_SIGNAL),
        worktree_check_period: (!check_period.is_zero()).then_some(check_period),
    }
}

fn policy(r: &mut OptionReader) -> Policy {
    let wait = r.given(&WAIT).filter(|wait| !wait.is_zero());
    let period = wait.unwrap_or_else(|| r.get(&PERIOD));
    let init_period = r.get(&INIT_PERIOD);
    let older = r.given(&MAX_SYNC_FAILURES).filter(|limit| *limit != 0);
    Policy {
        period,
        idle_period: None,
        init_period: (!init_period.is_zero()).then_some(init_period),
        one_time: r.get(&ONE_TIME),
        max_failures: older.or_else(|| r.given(&MAX_FAILURES)),
        init_max_failures: r.given(&INIT_MAX_FAILURES),
    }
}
