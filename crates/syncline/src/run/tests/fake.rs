//! What the loop drives in its tests: a worker, and a hook.

use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use sync_core::{
    CommitId, CommitInfo, Error, ErrorKind, Held, Interrupt, Permit, Progress, Stage, SyncOutcome,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::hooks::{Delivery, Event, Hook, What};
use crate::status::{Published, Status};
use crate::worker::{Looked, Worker};

/// How an update goes.
#[derive(Clone, Debug)]
pub enum Step {
    /// The commit of this letter is published, and was before.
    Succeed(char),
    Fail,
    /// The server asks for a pause.
    FailFor(Duration),
    /// Work on this until the interrupt is triggered.
    Work(Stage),
    /// Hang as long as the test holds the other end, whatever the interrupt says.
    Hang(Weak<()>),
    Panic,
}

/// What the loop asks of its worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Verify,
    Update,
    Describe(CommitId),
    Maintain(CommitId),
    MaintainAfterFailure,
}

/// Takes one step after the other, and repeats the last one.
pub struct Fake {
    pub steps: Vec<Step>,
    pub calls: UnboundedSender<(Instant, Call)>,
    pub interrupt: Interrupt,
    pub progress: Progress,
}

impl Fake {
    fn called(&self, call: Call) {
        let _ = self.calls.send((Instant::now(), call));
    }

    fn failure(&self) -> Error {
        Error::new(ErrorKind::Network, "fetch", "no answer")
    }
}

impl Worker for Fake {
    type Found = ();

    fn look(&mut self) -> sync_core::Result<Looked<()>> {
        Ok(Looked::Found(()))
    }

    fn publish_ready(&mut self, commit: CommitId) -> sync_core::Result<SyncOutcome> {
        Ok(SyncOutcome::Unchanged(commit))
    }

    fn pin(&mut self, _: CommitId) {}

    fn apply(&mut self, (): (), _: Permit) -> sync_core::Result<SyncOutcome> {
        assert!(!self.interrupt.is_triggered(), "no update begins interrupted");
        let step = if self.steps.len() > 1 { self.steps.remove(0) } else { self.steps[0].clone() };
        self.progress.enter(Stage::Connecting);
        if let Step::Work(stage) = step {
            self.progress.enter(stage);
        }
        self.called(Call::Update);
        match step {
            Step::Succeed(letter) => return Ok(SyncOutcome::Unchanged(commit(letter))),
            Step::Fail => {}
            Step::FailFor(pause) => return Err(self.failure().with_retry_after(Some(pause))),
            Step::Work(_) => {
                while !self.interrupt.is_triggered() {
                    std::thread::yield_now();
                }
            }
            Step::Hang(held) => {
                while held.strong_count() > 0 {
                    std::thread::yield_now();
                }
            }
            Step::Panic => panic!("as the test wants it"),
        }
        Err(self.failure())
    }

    fn event(&self, commit: CommitId) -> Event {
        let tree = Path::new("/trees").join(commit.to_string());
        Event::new(What::Commit(commit), tree)
    }

    fn held(&self) -> Option<Held> {
        None
    }

    fn describe(&mut self, commit: CommitId, status: &Status) {
        let info = CommitInfo { id: commit, time: 0, subject: String::new() };
        status.published(Published { info, reference: None, signer: None }, 0);
        self.called(Call::Describe(commit));
    }

    fn measure(&self, _: &Status) {}

    fn maintain(&mut self, commit: CommitId) {
        self.called(Call::Maintain(commit));
    }

    fn maintain_after_failure(&mut self) {
        self.called(Call::MaintainAfterFailure);
    }

    fn verify_next_time(&mut self) {
        self.called(Call::Verify);
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

/// A hook that says what it is told.
#[derive(Debug)]
pub struct Listener {
    pub heard: UnboundedSender<Event>,
    /// `None`: a delivery never ends.
    pub answer: Option<Result<(), String>>,
}

impl Hook for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn backoff(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn deliver<'a>(&'a self, event: &'a Event) -> Delivery<'a> {
        let _ = self.heard.send(event.clone());
        Box::pin(async {
            match &self.answer {
                Some(answer) => answer.clone(),
                None => std::future::pending().await,
            }
        })
    }
}

pub fn commit(letter: char) -> CommitId {
    letter.to_string().repeat(40).parse().unwrap()
}
