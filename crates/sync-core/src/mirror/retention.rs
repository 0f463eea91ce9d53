//! How long replaced trees are kept, by the caller's clock.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The caller's clocks. The crate has none of its own.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The current time, which is compared with modification times of files; usually `SystemTime::now`.
    pub wall: fn() -> SystemTime,
    /// The time since any fixed moment. It never decreases.
    pub monotonic: fn() -> Duration,
}

impl Clock {
    /// Record that a directory is replaced now. Like git-sync, we set its modification time, so that the next process
    /// knows it, too.
    ///
    /// # Errors
    ///
    /// If the time cannot be set.
    pub fn record_replacement(&self, dir: &Path) -> io::Result<()> {
        fs_err::File::open(dir)?.set_modified((self.wall)())
    }

    /// How long ago a directory was replaced; `None` if the time cannot be read. If it is in the future, because the
    /// clock was wrong, it is set to the current time.
    #[must_use]
    pub fn time_since_replacement(&self, dir: &Path) -> Option<Duration> {
        let modified = fs_err::symlink_metadata(dir).and_then(|found| found.modified()).ok()?;
        (self.wall)().duration_since(modified).inspect_err(|_| _ = self.record_replacement(dir)).ok()
    }
}

/// How long replaced trees are kept.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// How long a replaced tree is kept at its path. The default is zero: the next maintenance removes it.
    pub keep: Duration,
    /// How long after `keep` a retired tree stays unchanged before it may be updated in place. A process that still has
    /// it open sees the changes. The default is one minute.
    pub reuse_delay: Duration,
    /// The caller's clocks.
    pub clock: Clock,
}

impl Retention {
    /// The defaults, with the caller's clocks.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Retention { keep: Duration::ZERO, reuse_delay: Duration::from_secs(60), clock }
    }
}
