//! As process 1, the program inherits what its hooks leave behind, and has to take notice of its end: nobody else
//! does in a container without an init.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::processes;

/// The hooks that run now: whoever started them waits for them.
static WAITED_FOR: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn waited_for() -> MutexGuard<'static, BTreeSet<u32>> {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that somebody waits for a child, until dropped.
pub(super) struct Waited(u32);

impl Drop for Waited {
    fn drop(&mut self) {
        waited_for().remove(&self.0);
    }
}

/// Start a child that the caller waits for.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Waited)> {
    let mut known = waited_for(); // nobody reaps meanwhile
    let child = command.spawn()?;
    let id = child.id().unwrap_or_default();
    known.insert(id);
    Ok((child, Waited(id)))
}

/// Reap orphans for as long as the process lives, if it is process 1.
pub async fn orphans() {
    let Ok(mut children) = signal(SignalKind::child()) else { return std::future::pending().await };
    if std::process::id() != 1 {
        return std::future::pending().await;
    }
    loop {
        children.recv().await;
        let known = waited_for();
        for id in ended_children().into_iter().filter(|id| !known.contains(id)) {
            let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
            let _ = waitpid(pid, WaitOptions::NOHANG);
        }
    }
}

/// The children that have ended and that nobody has taken notice of. A container has few processes.
fn ended_children() -> Vec<u32> {
    let own = std::process::id();
    let ended = processes::all().filter(|process| process.is_zombie && process.parent == own);
    ended.map(|process| process.id).collect()
}
