//! What to run or to notify when something is published.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::reader::OptionReader;
use crate::options::{
    EXECHOOK_ARG, EXECHOOK_BACKOFF, EXECHOOK_COMMAND, EXECHOOK_TIMEOUT, NOTIFY_PROCESS, NOTIFY_SIGNAL,
    PRE_PUBLISH_EXECHOOK_ARG, PRE_PUBLISH_EXECHOOK_BACKOFF, PRE_PUBLISH_EXECHOOK_COMMAND,
    PRE_PUBLISH_EXECHOOK_TIMEOUT, SYNC_HOOK_COMMAND, WEBHOOK_BACKOFF, WEBHOOK_JSON, WEBHOOK_METHOD,
    WEBHOOK_SECRET_FILE, WEBHOOK_SUCCESS_STATUS, WEBHOOK_TIMEOUT, WEBHOOK_URL,
};

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
    /// `None`: any.
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

pub fn exec(r: &mut OptionReader) -> Option<ExecHook> {
    let command = r.find(&SYNC_HOOK_COMMAND).or_else(|| r.find(&EXECHOOK_COMMAND))?;
    Some(ExecHook {
        command,
        arguments: r.list(&EXECHOOK_ARG),
        timeout: r.get(&EXECHOOK_TIMEOUT),
        backoff: r.get(&EXECHOOK_BACKOFF),
    })
}

pub fn pre_publish(r: &mut OptionReader) -> Option<ExecHook> {
    let command = r.find(&PRE_PUBLISH_EXECHOOK_COMMAND)?;
    Some(ExecHook {
        command,
        arguments: r.list(&PRE_PUBLISH_EXECHOOK_ARG),
        timeout: r.get(&PRE_PUBLISH_EXECHOOK_TIMEOUT),
        backoff: r.get(&PRE_PUBLISH_EXECHOOK_BACKOFF),
    })
}

pub fn web(r: &mut OptionReader) -> Option<WebHook> {
    if !r.is_set(&WEBHOOK_URL) {
        return None;
    }
    let url = r.find(&WEBHOOK_URL);
    let status = r.get(&WEBHOOK_SUCCESS_STATUS);
    let (timeout, backoff) = (r.get(&WEBHOOK_TIMEOUT), r.get(&WEBHOOK_BACKOFF));
    let (method, json) = (r.get(&WEBHOOK_METHOD), r.get(&WEBHOOK_JSON));
    let secret_file = r.find(&WEBHOOK_SECRET_FILE);
    let success_status = (status != 0).then_some(status);
    Some(WebHook { url: url?, method, json, secret_file, success_status, timeout, backoff })
}

pub fn notify(r: &mut OptionReader) -> Option<NotifyHook> {
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
