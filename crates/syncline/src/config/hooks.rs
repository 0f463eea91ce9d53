//! Whom to tell, and how.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::faults::Reader;
use super::values;

/// A program to run.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecHook {
    pub command: PathBuf,
    pub arguments: Vec<OsString>,
    pub timeout: Duration,
    pub backoff: Duration,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq)]
pub struct WebHook {
    pub url: String,
    pub method: String,
    /// Send a JSON body.
    pub json: bool,
    /// The key to sign the body with.
    pub secret_file: Option<PathBuf>,
    /// `None`: any will do.
    pub success_status: Option<u16>,
    pub timeout: Duration,
    pub backoff: Duration,
}

/// A signal to send.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyHook {
    /// The name of the processes that get it.
    pub process: String,
    pub signal: Signal,
}

/// The shortest time that git-sync accepts for its hooks.
const SHORTEST_HOOK: Duration = Duration::from_secs(1);

pub fn exec(r: &mut Reader, name: &str, older: Option<&str>) -> Option<ExecHook> {
    let command = older.and_then(|older| r.path(older)).or_else(|| r.path(&format!("{name}-command")))?;
    Some(ExecHook {
        command,
        arguments: r.list(&format!("{name}-arg")),
        timeout: r.at_least(SHORTEST_HOOK, &format!("{name}-timeout"), Duration::from_secs(30)),
        backoff: r.at_least(SHORTEST_HOOK, &format!("{name}-backoff"), Duration::from_secs(3)),
    })
}

pub fn web(r: &mut Reader) -> Option<WebHook> {
    let url = r.set("webhook-url")?;
    let status = r.or("webhook-success-status", 200, |text| match values::integer(text)? {
        -1 => Ok(0),
        code => u16::try_from(code).map_err(|_| format!("{text:?} is no HTTP status")),
    });
    if let Err(fault) = values::http_url(&url) {
        r.fault("webhook-url", fault);
    }
    Some(WebHook {
        url,
        method: r.text("webhook-method").unwrap_or_else(|| "POST".into()),
        json: r.switch("webhook-json"),
        secret_file: r.path("webhook-secret-file"),
        success_status: (status != 0).then_some(status),
        timeout: r.at_least(SHORTEST_HOOK, "webhook-timeout", Duration::from_secs(1)),
        backoff: r.at_least(SHORTEST_HOOK, "webhook-backoff", Duration::from_secs(3)),
    })
}

pub fn notify(r: &mut Reader) -> Option<NotifyHook> {
    let signal = r.or("notify-signal", Signal::HUP, |text| {
        Signal::from_named_raw(values::signal(text)?).ok_or_else(|| format!("{text:?} is a real-time signal"))
    });
    let process = r.set("notify-process");
    match &process {
        Some(name) if name.contains('/') => {
            r.fault("notify-process", "is a path; give the program's name alone")
        }
        None if r.set("notify-signal").is_some() => r.fault("notify-signal", "needs --notify-process"),
        _ => {}
    }
    process.map(|process| NotifyHook { process, signal })
}
