//! A bound on how many work at once. Who has waited longest is next.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::interrupt::Interrupt;

/// How often a waiting thread checks the interrupt.
const INTERRUPT_CHECK: Duration = Duration::from_millis(100);

/// A number of permits. Clones share them.
#[derive(Clone)]
pub(crate) struct Permits(Arc<Shared>);

struct Shared {
    total: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    /// Who waits, the longest first.
    queue: VecDeque<Waiter>,
    next_number: u64,
}

struct Waiter {
    number: u64,
    waker: Option<Waker>,
}

impl Permits {
    pub(crate) fn new(total: NonZeroUsize) -> Self {
        let total = total.get();
        let state = State { free: total, queue: VecDeque::new(), next_number: 0 };
        Permits(Arc::new(Shared { total, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Queue for a permit.
    pub(crate) fn request(&self) -> PermitRequest {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.queue.push_back(Waiter { number, waker: None });
        PermitRequest { permits: self.clone(), number }
    }

    /// A permit, if one is free and nobody waits.
    pub(crate) fn take_free(&self) -> Option<Permit> {
        let mut state = self.lock();
        if state.free == 0 || !state.queue.is_empty() {
            return None;
        }
        state.free -= 1;
        Some(Permit(self.clone()))
    }

    pub(crate) fn total(&self) -> usize {
        self.0.total
    }

    /// How many have a permit.
    pub(crate) fn taken(&self) -> usize {
        self.0.total - self.lock().free
    }

    /// How many wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake whoever is next, if a permit is free.
    fn wake_next(&self, mut state: MutexGuard<'_, State>) {
        let has_free = state.free > 0;
        let waker = state.queue.front_mut().filter(|_| has_free).and_then(|first| first.waker.take());
        drop(state);
        self.0.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A place in the queue. It is given up when this is dropped.
///
/// To wait on a thread, call [`PermitRequest::wait`]. In an async runtime, await it.
#[must_use = "the place in the queue is given up when this is dropped"]
pub struct PermitRequest {
    permits: Permits,
    number: u64,
}

impl PermitRequest {
    /// Block until the permit is free.
    ///
    /// # Errors
    ///
    /// That of [`Interrupt::check`].
    pub fn wait(self, interrupt: &Interrupt) -> io::Result<Permit> {
        let permits = self.permits.clone();
        let mut state = permits.lock();
        loop {
            interrupt.check()?;
            if let Some(permit) = self.take(&mut state) {
                permits.wake_next(state);
                return Ok(permit);
            }
            let waited = permits.0.changed.wait_timeout(state, INTERRUPT_CHECK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take(&self, state: &mut State) -> Option<Permit> {
        let is_next = state.queue.front().is_some_and(|first| first.number == self.number);
        if state.free == 0 || !is_next {
            return None;
        }
        state.free -= 1;
        state.queue.pop_front();
        Some(Permit(self.permits.clone()))
    }
}

impl Future for PermitRequest {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let mut state = self.permits.lock();
        if let Some(permit) = self.take(&mut state) {
            self.permits.wake_next(state);
            return Poll::Ready(permit);
        }
        if let Some(waiter) = state.queue.iter_mut().find(|waiter| waiter.number == self.number) {
            waiter.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for PermitRequest {
    fn drop(&mut self) {
        let mut state = self.permits.lock();
        state.queue.retain(|waiter| waiter.number != self.number);
        self.permits.wake_next(state);
    }
}

impl fmt::Debug for PermitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitRequest").finish_non_exhaustive()
    }
}

/// The right to do work that takes memory, until it is dropped.
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit(Permits);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        self.0.wake_next(state);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn permits(total: usize) -> Permits {
        Permits::new(NonZeroUsize::new(total).unwrap())
    }

    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_one_that_has_waited_longest_is_next() {
        let permits = permits(1);
        let first = permits.request().wait(&Interrupt::new()).unwrap();
        let (second, third) = (permits.request(), permits.request());
        assert_eq!((permits.taken(), permits.waiting()), (1, 2));
        drop(first);
        assert!(third.take(&mut permits.lock()).is_none(), "the second has waited longer");
        assert!(permits.take_free().is_none(), "others wait");
        let second = second.wait(&Interrupt::new()).unwrap();
        drop(second);
        drop(third.wait(&Interrupt::new()).unwrap());
        assert_eq!((permits.taken(), permits.waiting()), (0, 0));
        assert!(permits.take_free().is_some());
    }

    #[test]
    fn a_task_is_woken_when_it_is_next_also_because_others_give_up() {
        let permits = permits(1);
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        let waker = Waker::from(counter.clone());
        let mut context = Context::from_waker(&waker);
        let held = permits.take_free().unwrap();
        let (ahead, mut waits) = (permits.request(), permits.request());
        assert!(Pin::new(&mut waits).poll(&mut context).is_pending());
        drop(held);
        assert_eq!(counter.0.load(Ordering::SeqCst), 0);
        drop(ahead);
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        assert!(Pin::new(&mut waits).poll(&mut context).is_ready());
    }

    #[test]
    fn never_more_work_at_once_than_there_are_permits() {
        let (permits, working, most) = (permits(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _permit = permits.request().wait(&Interrupt::new()).unwrap();
                        most.fetch_max(1 + working.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                        std::thread::yield_now();
                        working.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(permits.taken(), 0);
    }

    #[test]
    fn an_interrupt_ends_the_wait_and_frees_the_place() {
        let permits = permits(1);
        let held = permits.take_free();
        let interrupt = Interrupt::new();
        interrupt.trigger();
        assert!(permits.request().wait(&interrupt).is_err());
        assert_eq!(permits.waiting(), 0);
        drop(held);
    }
}
