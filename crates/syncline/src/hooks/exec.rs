//! A program of the user's: the only other program that is ever run.

use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tracing::debug;

use super::{Event, reap};
use crate::config::ExecHook;
use crate::options::options;
use crate::systemd;

/// How many bytes of a hook's output are kept.
const LIMIT: usize = 1000;

/// Run the program in the tree until it ends or its time is over; then it is killed with
/// all that it started.
#[expect(clippy::disallowed_methods, reason = "the user names this program")]
pub(super) async fn run(hook: &ExecHook, event: &Event) -> Result<(), String> {
    let mut command = Command::from(std::process::Command::new(&hook.command));
    command
        .args(&hook.arguments)
        .current_dir(&event.tree)
        .env("GITSYNC_HASH", event.commit.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0);
    for secret in options().flat_map(|option| option.secret_variables()) {
        command.env_remove(secret);
    }
    for variable in systemd::VARIABLES {
        command.env_remove(variable);
    }
    let (mut child, _waited) =
        reap::spawn(&mut command).map_err(|err| format!("cannot run {}: {err}", hook.command.display()))?;
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let end = async { tokio::join!(child.wait(), tail(stdout), tail(stderr)) };
    match tokio::time::timeout(hook.timeout, end).await {
        Ok((Ok(status), stdout, stderr)) => judge(hook, &Output { status, stdout, stderr }),
        Ok((Err(err), ..)) => Err(format!("cannot wait for {}: {err}", hook.command.display())),
        Err(_) => {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let limit = humantime::format_duration(hook.timeout);
            Err(format!("{} was killed after {limit}", hook.command.display()))
        }
    }
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
async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    let Some(mut pipe) = pipe else { return kept };
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        kept.drain(..kept.len().saturating_sub(LIMIT));
    }
    kept
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
