//! Replaces `ssh/mod.rs` without the feature `ssh`.

pub(crate) mod options;

use gix::protocol::transport::client::blocking_io::Transport;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::transport::not_built_in;
use crate::transport::proxy::Proxy;
use crate::transport::read_budget::ReadBudget;
use crate::transport::ssh::options::SshOptions;
use crate::url::ssh::SshUrl;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {}

pub(crate) enum Session {}

impl Session {
    pub(crate) fn is_good(&self) -> bool {
        match *self {}
    }
}

pub(crate) struct Failure;

impl Failure {
    pub(crate) fn into_error(self, step: String) -> Error {
        not_built_in(step, "ssh")
    }
}

pub(crate) fn run(
    _: &Sessions,
    _: &SshUrl,
    _: (&SshOptions, Option<&Proxy>),
    _: (&str, &str),
    _: &Interrupt,
) -> Result<ProgramOutput, Failure> {
    Err(Failure)
}

pub(crate) struct ProgramOutput {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) status: Option<u32>,
}

pub(crate) fn connect(
    _: &Sessions,
    _: &SshUrl,
    _: (&SshOptions, Option<&Proxy>),
    _: &Interrupt,
    _: &ReadBudget,
) -> Result<(Box<dyn Transport + Send>, Session), Failure> {
    Err(Failure)
}
