//! SSH without an `ssh` program. A session runs on a thread of its own and is kept between polls. Each run of
//! `git-upload-pack` opens a new channel in it.
//!
//! The SSH client needs an async runtime. Only this module knows of it: [`session`] waits for it like a socket.

mod algorithms;
mod channel;
mod client;
mod failure;
mod files;
pub(crate) mod keys;
pub(crate) mod known_hosts;
mod login;
pub(crate) mod options;
mod permits;
mod program;
pub(crate) mod session;
mod sessions;
#[cfg(test)]
mod tests;

use gix::protocol::transport::client::blocking_io::Transport;

use crate::transport::proxy::Proxy;
use crate::transport::ssh::failure::Failure;
use crate::transport::ssh::options::SshOptions;

pub(crate) use program::ProgramOutput;
pub(crate) use session::Session;
pub(crate) use sessions::Sessions;

use super::read_budget::ReadBudget;
use crate::interrupt::Interrupt;
use crate::url::ssh::SshUrl;

/// Run `<program> <path> <argument>` in a kept session to the server, or else in a new one, which is then kept.
pub(crate) fn run(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    (program, argument): (&str, &str),
    interrupt: &Interrupt,
) -> Result<ProgramOutput, Failure> {
    let command = format!("{program} {} {argument}", program::quoted(&url.decoded_path()));
    let ran = sessions.with_channel(url, (options, proxy), interrupt, |session, permit| {
        program::run(session, permit, &command, interrupt)
    });
    ran.map(|(output, _)| output)
}

/// Run `git-upload-pack` in a kept session to the server, or else in a new one, which is then kept.
pub(crate) fn connect(
    sessions: &Sessions,
    url: &SshUrl,
    (options, proxy): (&SshOptions, Option<&Proxy>),
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> Result<(Box<dyn Transport + Send>, Session), Failure> {
    sessions.with_channel(url, (options, proxy), interrupt, |session, permit| {
        channel::open(session, permit, &url.path, interrupt, budget)
    })
}
