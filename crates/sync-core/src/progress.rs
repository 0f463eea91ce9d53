//! What long work is doing right now, as plain counters that another thread may read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use gix::progress::StepShared;

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing.
    #[default]
    Idle,
    /// Reaching the server and shaking hands.
    Connecting,
    /// Asking where the reference points.
    Listing,
    /// Waiting for the first byte of a pack, or finding out what is needed.
    Requesting,
    /// Receiving a pack; counts objects and bytes.
    Receiving,
    /// Resolving deltas and indexing; counts objects.
    Resolving,
    /// Making a tree; counts files and bytes.
    Writing,
    /// Repacking the store's packs together; counts objects.
    Repacking,
}

impl Stage {
    const ALL: [Stage; 8] = [
        Stage::Idle,
        Stage::Connecting,
        Stage::Listing,
        Stage::Requesting,
        Stage::Receiving,
        Stage::Resolving,
        Stage::Writing,
        Stage::Repacking,
    ];

    /// One word, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Idle => "idle",
            Stage::Connecting => "connect",
            Stage::Listing => "list",
            Stage::Requesting => "request",
            Stage::Receiving => "receive",
            Stage::Resolving => "resolve",
            Stage::Writing => "write",
            Stage::Repacking => "fold",
        }
    }

    /// A few words for people: `receiving objects`.
    pub fn describe(self) -> &'static str {
        match self {
            Stage::Idle => "idle",
            Stage::Connecting => "connecting",
            Stage::Listing => "listing references",
            Stage::Requesting => "waiting for a pack",
            Stage::Receiving => "receiving objects",
            Stage::Resolving => "resolving objects",
            Stage::Writing => "writing files",
            Stage::Repacking => "folding packs",
        }
    }
}

/// The counters of the current stage at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// What is being done.
    pub stage: Stage,
    /// Objects or files done.
    pub done: usize,
    /// How many there will be; 0 when unknown.
    pub total: usize,
    /// Bytes received or written.
    pub bytes: usize,
    /// How often work came to an end so far: the same number twice means the same piece of work.
    pub finished: usize,
}

/// Shared counters; cloning gives another handle to the same ones.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counters>);

/// Told of every change of stage: the counters of the one that ends, and the one that begins.
type Observer = Box<dyn Fn(Snapshot, Stage) + Send + Sync>;

#[derive(Default)]
struct Counters {
    observer: Option<Observer>,
    stage: AtomicU8,
    done: StepShared,
    total: AtomicUsize,
    bytes: StepShared,
    finished: AtomicUsize,
}

impl Progress {
    /// Counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with somebody who is told of every change of stage: the counters of the one that ends, and the
    /// one that begins.
    pub fn observed(observer: impl Fn(Snapshot, Stage) + Send + Sync + 'static) -> Self {
        Progress(Arc::new(Counters { observer: Some(Box::new(observer)), ..Counters::default() }))
    }

    /// The state right now. The fields are read one by one: close, not exact.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            stage: Stage::ALL[usize::from(self.0.stage.load(Ordering::Relaxed))],
            done: self.0.done.load(Ordering::Relaxed),
            total: self.0.total.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            finished: self.0.finished.load(Ordering::Relaxed),
        }
    }

    /// Begin a stage with its counters at zero.
    pub fn enter(&self, stage: Stage) {
        if let Some(observer) = &self.0.observer {
            observer(self.snapshot(), stage);
        }
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(0, Ordering::Relaxed);
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.stage.store(stage as u8, Ordering::Relaxed);
        if stage == Stage::Idle {
            self.0.finished.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_total(&self, total: usize) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn files(&self) -> Counter {
        Counter(self.0.done.clone())
    }

    pub(crate) fn bytes(&self) -> Counter {
        Counter(self.0.bytes.clone())
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// One counter, in the form gix increments.
pub(crate) struct Counter(StepShared);

impl gix::Count for Counter {
    fn set(&self, step: usize) {
        self.0.store(step, Ordering::Relaxed);
    }
    fn step(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
    fn inc_by(&self, step: usize) {
        self.0.fetch_add(step, Ordering::Relaxed);
    }
    fn counter(&self) -> StepShared {
        self.0.clone()
    }
}
