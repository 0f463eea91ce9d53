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

    /// Record that a tree is replaced now. Like git-sync, we set the modification time of its directory, so that the
    /// next process knows it, too.
    pub(super) fn start(&self, tree: &Path) -> io::Result<()> {
        fs_err::File::open(tree)?.set_modified((self.clock.wall)())
    }

    /// How long ago a tree was replaced; `None` if the time cannot be read. If it is in the future, because the clock
    /// was wrong, it is set to the current time.
    pub(super) fn age(&self, tree: &Path) -> Option<Duration> {
        let modified = fs_err::symlink_metadata(tree).and_then(|found| found.modified()).ok()?;
        (self.clock.wall)().duration_since(modified).inspect_err(|_| _ = self.start(tree)).ok()
    }
}
