//! Cancellation and deadlines. The crate has no clock and no signal handler; the caller provides both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fmt, io};

/// Stops every long operation that shares it, when it is triggered or its deadline passes.
///
/// Operations check it between steps, between chunks of a pack and between reads of a socket; a blocked network read
/// stops within 100 ms. A stopped operation fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or
/// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut). It leaves only temporary files behind, which the next operation
/// cleans up.
///
/// Clones share their state.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_triggered: AtomicBool,
    deadline: RwLock<Option<Deadline>>,
}

type Deadline = Box<dyn Fn() -> bool + Send + Sync>;

/// Why an operation was stopped. This is the innermost cause of its error, and decides the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Triggered,
    DeadlinePassed,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Triggered => "stopped",
            Stopped::DeadlinePassed => "stopped: the deadline passed",
        })
    }
}

impl std::error::Error for Stopped {}

impl Interrupt {
    /// An interrupt that is not triggered and has no deadline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Set the deadline, replacing an earlier one. `has_passed` is called often and from several threads.
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

    /// Stop all operations that share this interrupt.
    pub fn trigger(&self) {
        self.0.is_triggered.store(true, Ordering::SeqCst);
    }

    /// Reset this interrupt for the next operation: not triggered, no deadline.
    pub fn clear(&self) {
        *self.0.deadline.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.is_triggered.store(false, Ordering::SeqCst);
    }

    /// Whether operations have to stop: it was triggered, or the deadline has passed.
    #[must_use]
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

    /// The flag for gix, which checks it itself. It does not show the deadline; we check that between gix's steps.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0.is_triggered
    }

    /// Fail if operations have to stop.
    ///
    /// # Errors
    ///
    /// An error of kind [`io::ErrorKind::TimedOut`], both when triggered and after the deadline.
    /// [`Error::io`](crate::Error::io) turns it into `Cancelled` or `TimedOut`. It is never
    /// [`io::ErrorKind::Interrupted`], which readers retry.
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
