//! A program of the user's: the only other program that is ever run.

use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tracing::debug;

use super::{Event, reap};
use crate::config::ExecHook;
use crate::options::{Kind, OPTIONS};

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
    for secret in
        OPTIONS.iter().filter(|option| option.kind == Kind::Secret).flat_map(|option| option.variables())
    {
        command.env_remove(secret);
    }
    let (child, _waited) =
        reap::spawn(&mut command).map_err(|err| format!("cannot run {}: {err}", hook.command.display()))?;
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    match tokio::time::timeout(hook.timeout, child.wait_with_output()).await {
        Ok(Ok(output)) => judge(hook, &output),
        Ok(Err(err)) => Err(format!("cannot wait for {}: {err}", hook.command.display())),
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

/// The end says most.
fn excerpt(bytes: &[u8]) -> String {
    const LIMIT: usize = 1000;
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LIMIT)..]).trim().to_owned()
}
