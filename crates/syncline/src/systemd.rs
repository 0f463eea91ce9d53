//! Reports to a service manager by the protocol of sd_notify(3): `Type=notify` and `WatchdogSec=`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sync_core::{Snapshot, Stage};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::board::{Board, Entry};
use crate::environment::Environment;
use crate::status::{Facts, STATES};

/// Variables that a manager sets for this process, not for its hooks.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How often to check whether the status has changed.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait for a manager that does not read.
const SEND_TIME: Duration = Duration::from_secs(1);

/// How many characters of a status are sent.
const LIMIT: usize = 250;

/// The service manager that wants reports, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    line: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// How often to send the watchdog's keep-alive.
    pulse: Option<Duration>,
}

impl Manager {
    /// The one that the environment names.
    pub fn new(environment: &Environment) -> Manager {
        let Some(name) = environment.path("NOTIFY_SOCKET") else { return Manager::default() };
        let [_, timeout, process] =
            VARIABLES.map(|name| environment.get(name)?.to_str()?.parse::<u64>().ok());
        let is_meant = process.is_none_or(|process| process == u64::from(std::process::id()));
        let pulse = timeout.filter(|microseconds| is_meant && *microseconds > 1);
        match open(name.as_os_str()) {
            Ok(line) => Manager {
                line: Some(Arc::new(line)),
                pulse: pulse.map(|microseconds| Duration::from_micros(microseconds / 2)),
            },
            Err(err) => {
                warn!(error = %err, socket = ?name, "cannot use NOTIFY_SOCKET; the service manager gets no reports");
                Manager::default()
            }
        }
    }

    /// Everything that is required has succeeded once.
    fn ready(&self) {
        if let Err(err) = self.send("READY=1") {
            warn!(error = %err, "cannot send READY=1 to NOTIFY_SOCKET");
        }
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Report without end that the process lives, and what it does.
    pub async fn report(&self, board: &Board) {
        match self.line {
            Some(_) => tokio::join!(self.beat(), self.describe(board)),
            None => pending().await,
        };
    }

    /// On the thread of the loop, so that this ends when the loop hangs.
    async fn beat(&self) {
        let Some(pulse) = self.pulse else { return };
        let mut ticks = interval(pulse);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    async fn describe(&self, board: &Board) {
        let (mut said, mut before) = (String::new(), Snapshot::default());
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let text = match board.repos().as_slice() {
                [(_, entry)] if !board.is_many() => {
                    let now = entry.progress.snapshot();
                    // Work that ends before the next check is not reported.
                    let is_long = std::mem::replace(&mut before, now).finished == now.finished;
                    describe(&entry.status.facts(), if is_long { now.stage } else { Stage::Idle })
                }
                repos => describe_many(repos),
            };
            if text != said {
                self.tell(&format!("STATUS={text}"));
                said = text;
            }
        }
    }

    fn tell(&self, text: &str) {
        if let Err(err) = self.send(text) {
            debug!(error = %err, text, "cannot send to NOTIFY_SOCKET");
        }
    }

    fn send(&self, text: &str) -> io::Result<()> {
        let Some((socket, address)) = self.line.as_deref() else { return Ok(()) };
        socket.send_to_addr(text.as_bytes(), address).map(drop)
    }
}

/// Who has to succeed before the manager is told that the process is ready. Clones share this.
#[derive(Clone, Debug)]
pub struct Readiness {
    manager: Manager,
    /// The names of those that have not succeeded yet; `None` once the manager was told.
    missing: Arc<Mutex<Option<BTreeSet<String>>>>,
}

impl Readiness {
    pub fn new(manager: &Manager, required: BTreeSet<String>) -> Readiness {
        let readiness = Readiness { manager: manager.clone(), missing: Arc::new(Mutex::new(Some(required))) };
        readiness.tell();
        readiness
    }

    /// The one that reports the first success of `name`.
    pub fn of(&self, name: &str) -> Ready {
        Ready { readiness: self.clone(), name: name.to_owned() }
    }

    /// No longer wait for `name`.
    pub fn forget(&self, name: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = missing.as_mut() {
            names.remove(name);
        }
        drop(missing);
        self.tell();
    }

    fn tell(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.take_if(|names| names.is_empty()).is_some() {
            self.manager.ready();
        }
    }
}

/// Reports the first success of a repository.
#[derive(Clone, Debug)]
pub struct Ready {
    readiness: Readiness,
    name: String,
}

impl Ready {
    pub fn succeeded(&self) {
        self.readiness.forget(&self.name);
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("it is neither a path nor @ and a name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIME))?;
    Ok((socket, address))
}

/// One line: what is published, what is in progress, what failed.
fn describe(facts: &Facts, stage: Stage) -> String {
    let mut text = match &facts.published {
        Some(published) => {
            let id = published.info.id.to_string();
            format!("{id:.12} is published")
        }
        None => "nothing was synced yet".into(),
    };
    if stage != Stage::Idle {
        text.push_str(&format!("; {}", stage.describe()));
    }
    if let Some(error) = facts.last_error() {
        text.push_str(&format!("; failed syncs in a row: {}; {error}", facts.consecutive_failures));
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LIMIT).collect()
}

/// One line: how many repositories are in which state, and the names of those that fail.
fn describe_many(repos: &[(String, Entry)]) -> String {
    let states: Vec<_> =
        repos.iter().map(|(name, entry)| (name.as_str(), entry.status.read(Facts::state))).collect();
    let of = |wanted: &str| {
        states.iter().filter(|(_, state)| *state == wanted).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let counts = STATES.iter().map(|state| (state, of(state))).filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = counts
        .map(|(state, names)| match *state {
            "ok" | "starting" => format!("{state}: {}", names.len()),
            _ => format!("{state}: {} ({})", names.len(), names.join(" ")),
        })
        .collect();
    let text = if parts.is_empty() { "no repositories".into() } else { parts.join(", ") };
    text.chars().take(LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use sync_core::CommitInfo;

    use super::*;
    use crate::status::Published;
    use crate::status::{Attempt, Outcome};

    fn pulse(variables: &[(&str, &str)]) -> Option<Duration> {
        Manager::new(&Environment::of(&[&[("NOTIFY_SOCKET", "@none")], variables].concat())).pulse
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_if_it_is_ours() {
        let own = std::process::id().to_string();
        let half = Some(Duration::from_millis(1500));
        assert_eq!(pulse(&[("WATCHDOG_USEC", "3000000")]), half);
        assert_eq!(pulse(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &own)]), half);
        assert_eq!(pulse(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")]), None);
        for nonsense in ["", "0", "1", "-5", "soon"] {
            assert_eq!(pulse(&[("WATCHDOG_USEC", nonsense)]), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_status_is_one_short_line() {
        let mut facts = Facts::default();
        assert_eq!(describe(&facts, Stage::Receiving), "nothing was synced yet; receiving objects");
        let id = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let info = CommitInfo { id, time: 0, subject: "READY=0".into() };
        facts.published = Some(Published { info, reference: None, signer: None });
        assert_eq!(describe(&facts, Stage::Idle), "0123456789ab is published");
        let error = Some(format!("no answer\nMAINPID=1{}", "x".repeat(1000)));
        facts.attempts.push_front(Attempt { at: 0.0, outcome: Outcome::Error, seconds: 0.0, error });
        let text = describe(&facts, Stage::Idle);
        assert!(text.contains("; failed syncs in a row: 0; no answer MAINPID=1"), "{text}");
        assert!(!text.contains('\n') && text.len() == LIMIT, "{text}");
    }
}
