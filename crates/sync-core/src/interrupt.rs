//! How a caller stops long work. This crate owns no clock and no signal handler: the caller has both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fmt, io};

/// Stops every long operation that shares it: when it is triggered, or when its deadline has passed.
///
/// Work stops between steps, between chunks of a pack and between reads of a socket; a blocked network read notices
/// within a tenth of a second. A stopped operation fails with [`ErrorKind::Cancelled`](crate::ErrorKind) or
/// [`ErrorKind::TimedOut`](crate::ErrorKind) and leaves only temporary names behind, which the next operation cleans
/// up.
///
/// Clones share the state.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_triggered: AtomicBool,
    deadline: RwLock<Option<Deadline>>,
}

type Deadline = Box<dyn Fn() -> bool + Send + Sync>;

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

    /// Set a deadline for what is done from now on: `has_passed` is asked often, from several threads.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// let interrupt = sync_core::Interrupt::new();
    /// let end = Instant::now() + Duration::from_secs(120);
    /// interrupt.set_deadline(move || Instant::now() >= end);
    /// ```
    pub fn set_deadline(&self, has_passed: impl Fn() -> bool + Send + Sync + 'static) {
        *self.0.deadline.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(has_passed));
    }

    /// Stop all work that shares this interrupt.
    pub fn trigger(&self) {
        self.0.is_triggered.store(true, Ordering::SeqCst);
    }

    /// Make it usable for the next operation, without a deadline.
    pub fn clear(&self) {
        *self.0.deadline.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.is_triggered.store(false, Ordering::SeqCst);
    }

    /// Whether work is to stop.
    pub fn is_triggered(&self) -> bool {
        self.stopped().is_some()
    }

    fn stopped(&self) -> Option<Stopped> {
        if self.0.is_triggered.load(Ordering::Relaxed) {
            return Some(Stopped::Triggered);
        }
        let deadline = self.0.deadline.read().unwrap_or_else(PoisonError::into_inner);
        deadline.as_ref().is_some_and(|has_passed| has_passed()).then_some(Stopped::DeadlinePassed)
    }

    /// What gix looks at. It does not know of the deadline, which is looked at between its steps.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0.is_triggered
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
