//! Progress of long operations: a stage and plain counters that another thread may read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use gix::progress::StepShared;

/// The step of an operation. It says what [`Snapshot`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Stage {
    /// No operation is running.
    #[default]
    Idle,
    /// Connecting to the server, including TLS and logging in.
    Connecting,
    /// Asking the server where the reference points.
    Listing,
    /// Negotiating, and waiting for the first byte of a pack.
    Requesting,
    /// Receiving a pack. Counts objects and bytes.
    Receiving,
    /// Resolving deltas and writing the pack index. Counts objects.
    Resolving,
    /// Fetching objects of Git LFS. Counts objects and bytes.
    FetchingLfs,
    /// Writing a worktree. Counts files and bytes.
    Writing,
    /// Repacking the packs of the store into one. Counts objects.
    Repacking,
}

impl Stage {
    const ALL: [Stage; 9] = [
        Stage::Idle,
        Stage::Connecting,
        Stage::Listing,
        Stage::Requesting,
        Stage::Receiving,
        Stage::Resolving,
        Stage::FetchingLfs,
        Stage::Writing,
        Stage::Repacking,
    ];

    /// One word for programs, such as `receive`. It does not change between versions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Idle => "idle",
            Stage::Connecting => "connect",
            Stage::Listing => "list",
            Stage::Requesting => "request",
            Stage::Receiving => "receive",
            Stage::Resolving => "resolve",
            Stage::FetchingLfs => "lfs",
            Stage::Writing => "write",
            Stage::Repacking => "fold",
        }
    }

    /// A few words for people, such as `receiving objects`.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Stage::Idle => "idle",
            Stage::Connecting => "connecting",
            Stage::Listing => "listing references",
            Stage::Requesting => "waiting for a pack",
            Stage::Receiving => "receiving objects",
            Stage::Resolving => "resolving objects",
            Stage::FetchingLfs => "fetching Git LFS objects",
            Stage::Writing => "writing files",
            Stage::Repacking => "repacking",
        }
    }
}

/// The stage and its counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The current stage.
    pub stage: Stage,
    /// Objects or files done in this stage, as [`Stage`] says.
    pub done: usize,
    /// Objects or files in total; 0 if unknown.
    pub total: usize,
    /// Bytes received or written in this stage.
    pub bytes: usize,
    /// How many operations have ended. Two snapshots with the same number belong to the same operation.
    pub finished: usize,
}

/// The progress of the operations that share it. Clones share their state.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counters>);

/// Called at every change of stage, with the last counters of the old stage and the new stage.
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
    /// Progress in the stage [`Stage::Idle`], all counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with an observer. It is called at every change of stage, on the thread of the operation, with the last
    /// counters of the old stage and the new stage.
    pub fn observed(observer: impl Fn(Snapshot, Stage) + Send + Sync + 'static) -> Self {
        Progress(Arc::new(Counters { observer: Some(Box::new(observer)), ..Counters::default() }))
    }

    /// The current state. The counters are read one after the other, so they may belong to slightly different moments.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            stage: Stage::ALL[usize::from(self.0.stage.load(Ordering::Relaxed))],
            done: self.0.done.load(Ordering::Relaxed),
            total: self.0.total.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            finished: self.0.finished.load(Ordering::Relaxed),
        }
    }

    /// Begin a stage, its counters at zero. [`Stage::Idle`] ends the operation.
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

/// One counter, for gix to increment.
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
