//! A program of the user's, the only kind of program that is ever run.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tracing::debug;

use super::reap::Leader;
use super::{Delivery, Event, Hook, Moment, What};
use crate::options::{
    EXECHOOK_ARG, EXECHOOK_BACKOFF, EXECHOOK_COMMAND, EXECHOOK_TIMEOUT, PRE_PUBLISH_EXECHOOK_ARG,
    PRE_PUBLISH_EXECHOOK_BACKOFF, PRE_PUBLISH_EXECHOOK_COMMAND, PRE_PUBLISH_EXECHOOK_TIMEOUT,
    SYNC_HOOK_COMMAND, options,
};
use crate::reader::OptionReader;
use crate::systemd;

/// A program to run.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecHook {
    name: &'static str,
    moment: Moment,
    command: PathBuf,
    arguments: Vec<OsString>,
    timeout: Duration,
    backoff: Duration,
}

/// The exechook, if there is one.
pub(crate) fn exechook(r: &mut OptionReader) -> Option<ExecHook> {
    let command = r.find(&SYNC_HOOK_COMMAND).or_else(|| r.find(&EXECHOOK_COMMAND))?;
    Some(ExecHook {
        name: "exechook",
        moment: Moment::Published,
        command,
        arguments: r.list(&EXECHOOK_ARG),
        timeout: r.get(&EXECHOOK_TIMEOUT),
        backoff: r.get(&EXECHOOK_BACKOFF),
    })
}

/// The pre-publish exechook, if there is one.
pub(super) fn pre_publish(r: &mut OptionReader) -> Option<ExecHook> {
    let command = r.find(&PRE_PUBLISH_EXECHOOK_COMMAND)?;
    Some(ExecHook {
        name: "pre-publish-exechook",
        moment: Moment::BeforePublishing,
        command,
        arguments: r.list(&PRE_PUBLISH_EXECHOOK_ARG),
        timeout: r.get(&PRE_PUBLISH_EXECHOOK_TIMEOUT),
        backoff: r.get(&PRE_PUBLISH_EXECHOOK_BACKOFF),
    })
}

impl ExecHook {
    /// The program.
    pub(super) fn command(&self) -> &Path {
        &self.command
    }
}

impl Hook for ExecHook {
    fn name(&self) -> &'static str {
        self.name
    }

    fn moment(&self) -> Moment {
        self.moment
    }

    fn backoff(&self) -> Duration {
        self.backoff
    }

    fn deliver<'a>(&'a self, event: &'a Event) -> Delivery<'a> {
        Box::pin(run(self, event))
    }
}

/// How many bytes of a hook's output are kept.
const LIMIT: usize = 1000;

/// Run the program in the tree until it ends or times out. Then, or when this future is dropped, it is killed with
/// everything that it started.
#[expect(clippy::disallowed_methods, reason = "the user names this program")]
pub(super) async fn run(hook: &ExecHook, event: &Event) -> Result<(), String> {
    let mut command = Command::from(std::process::Command::new(&hook.command));
    command
        .args(&hook.arguments)
        .current_dir(&event.tree)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (variable, value) in variables(event) {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    for secret in options().flat_map(|option| option.secret_variables()) {
        command.env_remove(secret);
    }
    for variable in systemd::VARIABLES {
        command.env_remove(variable);
    }
    let mut leader = Leader::spawn(&mut command).map_err(|err| cannot_run(hook, event, &err))?;
    let pipes = (leader.child.stdout.take(), leader.child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let end = async {
        // Wait for the program last: whatever still writes may have to be killed with its group.
        tokio::join!(tail(pipes.0, &mut stdout), tail(pipes.1, &mut stderr));
        leader.wait().await
    };
    match tokio::time::timeout(hook.timeout, end).await {
        Ok(Ok(status)) => result(hook, &Output { status, stdout, stderr }),
        Ok(Err(err)) => Err(format!("cannot wait for {}: {err}", hook.command.display())),
        Err(_) => Err(killed(hook, leader.has_ended(), &stdout, &stderr)),
    }
}

/// What the program is told; what is `None` is not set.
fn variables(event: &Event) -> [(&'static str, Option<String>); 6] {
    let (group, generation) = match &event.what {
        What::Commit(_) => (None, None),
        What::Generation { group, id } => (Some(group.clone()), Some(id.clone())),
    };
    [
        ("GITSYNC_HASH", event.commit().map(|commit| commit.to_string())),
        ("SYNCLINE_REPO", event.repo.clone()),
        ("SYNCLINE_REF", event.reference.clone()),
        ("SYNCLINE_SIGNER", event.signer.clone()),
        ("SYNCLINE_GROUP", group),
        ("SYNCLINE_GENERATION", generation),
    ]
}

/// The system's error does not say whether it means the program or the directory.
fn cannot_run(hook: &ExecHook, event: &Event, err: &io::Error) -> String {
    format!("cannot run {} in {}: {err}", hook.command.display(), event.tree.display())
}

fn killed(hook: &ExecHook, has_ended: bool, stdout: &[u8], stderr: &[u8]) -> String {
    let (command, limit) = (hook.command.display(), humantime::format_duration(hook.timeout));
    let (stdout, stderr) = (excerpt(stdout), excerpt(stderr));
    let text = match has_ended {
        true => {
            format!(
                "{command} ended, but its child processes kept the output open and were killed after {limit}"
            )
        }
        false => format!("{command} was killed after {limit}, its timeout"),
    };
    format!("{text}; stdout: {stdout:?}, stderr: {stderr:?}")
}

fn result(hook: &ExecHook, output: &Output) -> Result<(), String> {
    let (stdout, stderr) = (excerpt(&output.stdout), excerpt(&output.stderr));
    let command = hook.command.display();
    if output.status.success() {
        debug!(%command, stdout, stderr, "the hook succeeded");
        return Ok(());
    }
    let end = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no exit code".into(),
    };
    Err(format!("{command} ended with {end}; stdout: {stdout:?}, stderr: {stderr:?}"))
}

/// The end of the output: it says most, and a hook may print without limit.
async fn tail(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    let Some(mut pipe) = pipe else { return };
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        kept.drain(..kept.len().saturating_sub(LIMIT));
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::read;

    #[test]
    fn a_hook_is_read_only_if_it_has_a_command() {
        let times = ["--exechook-timeout=1ms", "--exechook-backoff=1ms"];
        assert_eq!(read(&times, &[], exechook), Ok(None));
        let errors = read(&[&times[..], &["--exechook-command=/x"]].concat(), &[], exechook).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        let older = read(&[], &[("GIT_SYNC_HOOK_COMMAND", "/hook")], exechook).unwrap().unwrap();
        assert_eq!(older.command, Path::new("/hook"));
    }
}
