//! How a caller stops long work. This crate owns no clock and no signal handler: the caller has both.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops every long operation that shares it: when it is triggered, or when its deadline has passed.
///
/// Work stops between steps, between chunks of a pack and between reads of a socket; a blocked network read notices
/// within a tenth of a second. A stopped operation fails with [`ErrorKind::Cancelled`](crate::ErrorKind) or
/// [`ErrorKind::TimedOut`](crate::ErrorKind) and leaves only temporary names behind, which the next operation cleans
/// up.
///
/// Clones share the state.
#[derive(Clone, Default)]
pub struct Interrupt {
    is_triggered: Arc<AtomicBool>,
    deadline: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

/// Why work was stopped: the innermost cause of the error that it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Triggered,
    DeadlinePassed,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Triggered => "stopped",
            Stopped::DeadlinePassed => "stopped: it took longer than it may",
        })
    }
}

impl std::error::Error for Stopped {}

impl Interrupt {
    /// An interrupt that is not triggered and has no deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// An interrupt with a deadline: `has_passed` is asked often, from several threads.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// let end = Instant::now() + Duration::from_secs(120);
    /// let interrupt = sync_core::Interrupt::with_deadline(move || Instant::now() >= end);
    /// ```
    pub fn with_deadline(has_passed: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Interrupt { deadline: Some(Arc::new(has_passed)), ..Self::default() }
    }

    /// Stop all work that shares this interrupt.
    pub fn trigger(&self) {
        self.is_triggered.store(true, Ordering::SeqCst);
    }

    /// Make it usable for the next operation.
    pub fn clear(&self) {
        self.is_triggered.store(false, Ordering::SeqCst);
    }

    /// Whether work is to stop.
    pub fn is_triggered(&self) -> bool {
        self.stopped().is_some()
    }

    fn stopped(&self) -> Option<Stopped> {
        if self.is_triggered.load(Ordering::Relaxed) {
            return Some(Stopped::Triggered);
        }
        self.deadline.as_ref().is_some_and(|has_passed| has_passed()).then_some(Stopped::DeadlinePassed)
    }

    /// What gix looks at. It does not know of the deadline, which is looked at between its steps.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.is_triggered
    }

    /// Continue, or stop.
    ///
    /// # Errors
    ///
    /// An error of kind `TimedOut` if work is to stop; never `Interrupted`, which readers retry.
    pub fn check(&self) -> io::Result<()> {
        match self.stopped() {
            Some(stopped) => Err(io::Error::new(io::ErrorKind::TimedOut, stopped)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("is_triggered", &self.is_triggered()).finish()
    }
}
