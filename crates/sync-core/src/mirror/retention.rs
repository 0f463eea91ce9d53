//! How long replaced trees stay, by the caller's clock.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The caller's clocks: this crate reads none.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time of day, which is compared with times of files: `SystemTime::now`.
    pub wall: fn() -> SystemTime,
    /// The time since any fixed moment, which never goes back.
    pub monotonic: fn() -> Duration,
}

/// How long replaced trees stay.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long a replaced tree is kept under its name.
    pub keep: Duration,
    /// How long a replaced tree stays untouched after that before the next one may be made from its files: a process
    /// that still has it open would see them change.
    pub reuse_delay: Duration,
    /// The caller's clocks.
    pub clock: Clock,
}

impl Retention {
    /// Start the time that a replaced tree is kept: by its directory's modification time, as git-sync does, so that it
    /// outlives this process.
    pub(super) fn start(&self, tree: &Path) -> io::Result<()> {
        fs_err::File::open(tree)?.set_modified((self.clock.wall)())
    }

    /// How long ago a tree was replaced; `None` if that cannot be told. Where the clock was ahead then, the time starts
    /// again.
    pub(super) fn age(&self, tree: &Path) -> Option<Duration> {
        let modified = fs_err::symlink_metadata(tree).and_then(|found| found.modified()).ok()?;
        (self.clock.wall)().duration_since(modified).inspect_err(|_| _ = self.start(tree)).ok()
    }
}
