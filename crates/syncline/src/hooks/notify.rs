//! A signal to the processes of a name, in the PID namespace that is shared with them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use tokio::task::spawn_blocking;

use super::reap::pid;
use super::{Delivery, Event, Hook};
use crate::options::{NOTIFY_PROCESS, NOTIFY_SIGNAL};
use crate::processes;
use crate::reader::OptionReader;

/// How long to wait before a signal is sent again: the default of the other hooks.
const BACKOFF: Duration = Duration::from_secs(3);

/// A signal to send.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NotifyHook {
    /// The name of the processes that get it.
    process: String,
    signal: Signal,
}

/// The hook that sends a signal, if there is one.
pub(super) fn notify(r: &mut OptionReader) -> Option<NotifyHook> {
    let (process, signal) = (r.find(&NOTIFY_PROCESS), r.get(&NOTIFY_SIGNAL));
    match &process {
        Some(name) if name.contains('/') => {
            r.error(&NOTIFY_PROCESS, "must be the name of a program, not a path");
        }
        None if r.is_set(&NOTIFY_SIGNAL) => r.error(&NOTIFY_SIGNAL, "needs --notify-process"),
        _ => {}
    }
    process.map(|process| NotifyHook { process, signal })
}

impl Hook for NotifyHook {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn backoff(&self) -> Duration {
        BACKOFF
    }

    fn deliver<'a>(&'a self, _: &'a Event) -> Delivery<'a> {
        let hook = self.clone();
        Box::pin(async move { spawn_blocking(move || send(&hook)).await.map_err(|err| err.to_string())? })
    }
}

/// Signal the topmost processes of the name: their children are up to them.
fn send(hook: &NotifyHook) -> Result<(), String> {
    let own = std::process::id();
    let of_name = processes::all()
        .filter(|process| process.id != own && !process.is_zombie && has_name(process.id, &hook.process))
        .map(|process| (process.id, process.parent));
    let (mut sent, mut refusal) = (0, None);
    for id in topmost(&of_name.collect()) {
        let Some(pid) = pid(id) else { continue };
        match kill_process(pid, hook.signal) {
            Ok(()) => sent += 1,
            Err(Errno::SRCH) => {} // it has just ended
            Err(err) => refusal = Some(refused(&hook.process, id, err)),
        }
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None if sent == 0 => Err(not_found(&hook.process)),
        None => Ok(()),
    }
}

/// Of processes and their parents, those whose parent is none of them.
fn topmost(parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let is_topmost = |(id, parent): (&u32, &u32)| (!parents.contains_key(parent)).then_some(*id);
    parents.iter().filter_map(is_topmost).collect()
}

/// Either by the kernel's name for it (15 bytes at most) or by the name of its program; a process can change both.
fn has_name(id: u32, name: &str) -> bool {
    let read = |file: &str| fs_err::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    let (comm, arguments) = (read("comm"), read("cmdline"));
    let program = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = Path::new(OsStr::from_bytes(program)).file_name();
    comm.strip_suffix(b"\n") == Some(name.as_bytes()) || program == Some(OsStr::new(name))
}

fn not_found(name: &str) -> String {
    format!(
        "no process is named {name:?} here; in a pod, set shareProcessNamespace: true, and see /proc/PID/comm for names"
    )
}

fn refused(name: &str, id: u32, err: Errno) -> String {
    format!(
        "cannot signal {name:?} (process {id}): {err}; run both as the same user, or give syncline CAP_KILL"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::read;

    #[test]
    fn only_those_are_told_whose_parent_is_not() {
        for (parents, expected) in [
            (vec![], vec![]),
            (vec![(7, 1)], vec![7]),
            (vec![(7, 1), (8, 7), (9, 7), (10, 9)], vec![7]),
            (vec![(7, 1), (8, 7), (20, 1), (21, 20)], vec![7, 20]),
            // The parent of the second is of another name.
            (vec![(7, 1), (9, 8)], vec![7, 9]),
        ] {
            assert_eq!(topmost(&BTreeMap::from_iter(parents.clone())), expected, "{parents:?}");
        }
    }

    #[test]
    fn a_signal_needs_a_process_to_send_it_to() {
        let hook = |argv: &[&str]| read(argv, &[], notify);
        assert_eq!(hook(&["--notify-process="]), Ok(None));
        let nginx = |signal| Ok(Some(NotifyHook { process: "nginx".into(), signal }));
        assert_eq!(hook(&["--notify-process=nginx"]), nginx(Signal::HUP));
        assert_eq!(hook(&["--notify-process=nginx", "--notify-signal=SIGUSR1"]), nginx(Signal::USR1));
        assert_eq!(
            hook(&["--notify-signal=HUP"]),
            Err(vec!["--notify-signal: needs --notify-process".into()])
        );
        for wrong in ["--notify-signal=NOPE", "--notify-signal=40", "--notify-process=/usr/sbin/nginx"] {
            assert_eq!(hook(&["--notify-process=nginx", wrong]).unwrap_err().len(), 1, "{wrong}");
        }
    }
}
