//! A program on the server whose output is short.

use russh::ChannelMsg;

use super::failure::Failure;
use super::permits::ChannelPermit;
use super::session::Session;
use crate::interrupt::Interrupt;
use crate::transport::server_messages::in_one_line;

/// The most bytes that a program may write.
const MAX_OUTPUT: usize = 64 << 10;

/// What a program wrote, and how it ended.
pub(crate) struct ProgramOutput {
    pub(crate) stdout: Vec<u8>,
    /// In one line.
    pub(crate) stderr: String,
    /// Its exit status, if the server tells it.
    pub(crate) status: Option<u32>,
}

/// Quote a path only if necessary: many servers take a command apart by themselves, and know no quotation marks.
pub(super) fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._~/+=:,@-".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { super::channel::quoted(path) }
}

/// Run a program, with no input, until it ends.
pub(super) fn run(
    session: &Session,
    permit: ChannelPermit,
    command: &str,
    interrupt: &Interrupt,
) -> Result<ProgramOutput, Failure> {
    let (handle, command, end) = (session.handle.clone(), command.to_owned(), session.end.clone());
    let running = async move {
        let _permit = permit;
        let mut channel = handle.channel_open_session().await?;
        channel.exec(true, command).await?;
        channel.eof().await?;
        let (mut stdout, mut stderr, mut status) = (Vec::new(), Vec::new(), None);
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => stdout.extend_from_slice(&data),
                Some(ChannelMsg::ExtendedData { data, .. }) => stderr.extend_from_slice(&data),
                Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(exit_status),
                Some(ChannelMsg::Failure) => {
                    // As a shell says that there is no such program.
                    return Ok(ProgramOutput {
                        stdout,
                        stderr: "the server refuses to run it".into(),
                        status: Some(127),
                    });
                }
                Some(ChannelMsg::Close) => {
                    return Ok(ProgramOutput { stdout, stderr: in_one_line(&stderr), status });
                }
                Some(_) => {}
                None => return Err(end.error().into()),
            }
            if stdout.len() + stderr.len() > MAX_OUTPUT {
                return Err(Failure::Refused("the server sends too much".into()));
            }
        }
    };
    session.runtime.wait(interrupt, running)?
}
