//! The wall clock, for what is compared with files or told to others. Everything else uses tokio's.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sync_core::Clock;
use tokio::time::{Instant, sleep_until};

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The time since this was first asked, by tokio's clock: tests can pause it.
pub fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Both, for the library.
pub const CLOCK: Clock = Clock { wall: now, monotonic };

/// The time since 1970; 0 for a clock before that.
pub fn since_1970() -> Duration {
    now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in seconds, with fractions.
pub fn unix_time() -> f64 {
    since_1970().as_secs_f64()
}

/// A time in seconds since 1970 by the calendar. `None` for times that RFC 3339 cannot express: a commit may have any
/// date.
pub fn rfc3339(unix: f64) -> Option<String> {
    const YEAR_10000: f64 = 253_402_300_800.0;
    let since = Duration::try_from_secs_f64(unix).ok().filter(|_| unix < YEAR_10000)?;
    Some(humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string())
}

/// Completes at this time; never for `None`.
pub async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
