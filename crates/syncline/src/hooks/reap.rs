//! The processes of hooks: none outlives its purpose, and none stays a zombie. As process 1, the program also inherits
//! orphans of its hooks and must reap them: a container without an init has no other process that does.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, waitid, waitpid,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::processes;

/// The hooks that were started and not yet reaped: as long as an ID is in here, no other process or group has it.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that leads a process group; if this is dropped before the child is reaped, the whole group is killed.
pub(super) struct Leader {
    pub(super) child: Child,
    id: u32,
}

impl Leader {
    pub(super) fn spawn(command: &mut Command) -> io::Result<Leader> {
        let mut running = running(); // so that nothing is reaped meanwhile
        let child = command.process_group(0).spawn()?;
        let id = child.id().unwrap_or_default();
        running.insert(id);
        Ok(Leader { child, id })
    }

    /// Wait for its end and reap it. Then another process may get its ID, so it leaves `RUNNING` in the same step.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let id = self.id;
        let mut wait = std::pin::pin!(self.child.wait());
        poll_fn(|context| {
            let mut running = running();
            let ended = wait.as_mut().poll(context);
            if ended.is_ready() {
                running.remove(&id);
            }
            ended
        })
        .await
    }

    /// Whether it has ended; it is not reaped.
    pub(super) fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        pid(self.id).is_some_and(|pid| waitid(WaitId::Pid(pid), look).is_ok_and(|status| status.is_some()))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut running = running();
        if running.remove(&self.id) {
            end(self.id);
        }
    }
}

/// Kill everything that hooks started, before the process ends. No hook starts afterwards.
pub fn end_all() {
    let mut running = running();
    std::mem::take(&mut *running).into_iter().for_each(end);
    std::mem::forget(running);
}

fn end(id: u32) {
    let Some(pid) = pid(id) else { return };
    let _ = kill_process(pid, Signal::KILL); // it may have gone to another group
    let _ = kill_process_group(pid, Signal::KILL);
}

pub(super) fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Reap orphans as long as the process lives, if it is process 1.
pub async fn orphans() {
    let Ok(mut children) = signal(SignalKind::child()) else { return std::future::pending().await };
    if std::process::id() != 1 {
        return std::future::pending().await;
    }
    loop {
        children.recv().await;
        let known = running();
        for id in ended_children().into_iter().filter(|id| !known.contains(id)) {
            let _ = waitpid(pid(id), WaitOptions::NOHANG);
        }
    }
}

/// The children that are zombies. A container has few processes.
fn ended_children() -> Vec<u32> {
    let own = std::process::id();
    let ended = processes::all().filter(|process| process.is_zombie && process.parent == own);
    ended.map(|process| process.id).collect()
}
