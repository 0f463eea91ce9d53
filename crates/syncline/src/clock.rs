//! The wall clock, for what is compared with files or told to others. Everything else uses tokio's.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970, with fractions; 0 for a clock before that.
pub fn unix_time() -> f64 {
    now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
