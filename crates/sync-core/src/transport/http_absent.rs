//! Replaces `http.rs` without the feature `http`.

use gix::protocol::transport::client::blocking_io::Transport;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::transport::connections::Connections;
use crate::transport::not_built_in;
use crate::transport::options::ConnectOptions;
use crate::transport::read_budget::ReadBudget;
use crate::url::HttpUrl;

pub(crate) fn connect(
    _: &HttpUrl,
    _: Option<&str>,
    _: (&ConnectOptions, &Connections),
    _: &Interrupt,
    _: &ReadBudget,
    step: impl Fn() -> String,
) -> Result<Box<dyn Transport + Send>> {
    Err(not_built_in(step(), "http"))
}
