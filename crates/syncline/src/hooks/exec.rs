//! A program of the user's: the only other program that is ever run.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tracing::debug;

use super::Event;
use super::reap::Leader;
use crate::config::ExecHook;
use crate::options::options;
use crate::systemd;

/// How many bytes of a hook's output are kept.
const LIMIT: usize = 1000;

/// Run the program in the tree until it ends or its time is over. Then, or when nobody waits for this any more, it is
/// killed with all that it started.
#[expect(clippy::disallowed_methods, reason = "the user names this program")]
pub(super) async fn run(hook: &ExecHook, event: &Event) -> Result<(), String> {
    let mut command = Command::from(std::process::Command::new(&hook.command));
    command
        .args(&hook.arguments)
        .current_dir(&event.tree)
        .env("GITSYNC_HASH", event.commit.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
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
        // Its end is noticed last: what still writes may have to be killed, as its group.
        tokio::join!(tail(pipes.0, &mut stdout), tail(pipes.1, &mut stderr));
        leader.wait().await
    };
    match tokio::time::timeout(hook.timeout, end).await {
        Ok(Ok(status)) => judge(hook, &Output { status, stdout, stderr }),
        Ok(Err(err)) => Err(format!("cannot wait for {}: {err}", hook.command.display())),
        Err(_) => Err(killed(hook, leader.has_ended(), &stdout, &stderr)),
    }
}

/// The error of the system does not say whether the program or the directory is meant.
fn cannot_run(hook: &ExecHook, event: &Event, err: &io::Error) -> String {
    format!("cannot run {} in {}: {err}", hook.command.display(), event.tree.display())
}

fn killed(hook: &ExecHook, has_ended: bool, stdout: &[u8], stderr: &[u8]) -> String {
    let (command, limit) = (hook.command.display(), humantime::format_duration(hook.timeout));
    let (stdout, stderr) = (excerpt(stdout), excerpt(stderr));
    let what = match has_ended {
        true => {
            format!("{command} ended, but what it started kept its output open and was killed after {limit}")
        }
        false => format!("{command} was killed after {limit}, its time-out"),
    };
    format!("{what}; stdout: {stdout:?}, stderr: {stderr:?}")
}

fn judge(hook: &ExecHook, output: &Output) -> Result<(), String> {
    let (stdout, stderr) = (excerpt(&output.stdout), excerpt(&output.stderr));
    let command = hook.command.display();
    if output.status.success() {
        debug!(%command, stdout, stderr, "the hook ended well");
        return Ok(());
    }
    let end = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no exit code".into(),
    };
    Err(format!("{command} ended with {end}; stdout: {stdout:?}, stderr: {stderr:?}"))
}

/// The end of what is printed: it says most, and a hook may print without end.
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
