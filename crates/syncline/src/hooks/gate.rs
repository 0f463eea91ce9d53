//! What runs before something is published, and may refuse it.

use std::io;
use std::path::Path;
use std::time::Duration;

use sync_core::{CommitId, Error, ErrorKind, Interrupt, Progress, Publisher, Result, Stage, Store, Worktree};
use tokio::sync::watch;

use super::{Event, ExecHook, ask};

/// A publisher that is asked for only after the pre-publish exechook was told, or had to agree.
pub struct Gated {
    /// The publisher behind it.
    pub inner: Box<dyn Publisher>,
    /// Told, without waiting for it.
    pub told: Vec<watch::Sender<Option<Event>>>,
    /// Has to agree.
    pub gate: Option<ExecHook>,
    /// Idle while the program runs.
    pub progress: Progress,
}

impl Publisher for Gated {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn named(&self, store: &Store) -> io::Result<Option<CommitId>> {
        self.inner.named(store)
    }

    fn current(&self, store: &Store) -> io::Result<Option<CommitId>> {
        self.inner.current(store)
    }

    fn is_intact(&self, tree: &Path, interrupt: &Interrupt) -> io::Result<bool> {
        self.inner.is_intact(tree, interrupt)
    }

    fn prepare(&mut self, tree: &Worktree, interrupt: &Interrupt) -> Result<()> {
        self.inner.prepare(tree, interrupt)?;
        let event = Event { commit: tree.commit, tree: tree.path.clone() };
        for told in &self.told {
            told.send_replace(Some(event.clone()));
        }
        let Some(gate) = &self.gate else { return Ok(()) };
        self.progress.enter(Stage::Idle); // the hook's time is not ours
        // This thread may wait: it is not one of the runtime's.
        let asked = ask(gate, &event, interrupt);
        tokio::runtime::Handle::current().block_on(asked).map_err(|refusal| {
            let step = format!("ask the pre-publish exechook about {}", tree.commit);
            Error::new(ErrorKind::Rejected, step, refusal)
        })
    }

    fn publish(&mut self, tree: &Worktree, interrupt: &Interrupt) -> io::Result<()> {
        self.inner.publish(tree, interrupt)
    }

    fn prune(&mut self, keep: Duration) -> io::Result<()> {
        self.inner.prune(keep)
    }
}
