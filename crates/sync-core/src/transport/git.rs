//! git:// over our own sockets: gix's would wait forever for a server that does not answer.

use std::io;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use super::dial::dial;
use super::options::ConnectOptions;
use super::read_budget::ReadBudget;
use super::socket::WaitPolicy;
use crate::interrupt::Interrupt;

pub(crate) fn connect(
    host: &str,
    port: u16,
    path: &str,
    options: &ConnectOptions,
    interrupt: &Interrupt,
    budget: &ReadBudget,
) -> io::Result<Box<dyn Transport + Send>> {
    let socket = dial(host, port, options.tunnel_for(host, port), &WaitPolicy::new(interrupt))?;
    let writer = io::BufWriter::new(socket.try_clone()?);
    Ok(Box::new(Connection::new(
        budget.of(socket),
        writer,
        Protocol::V2,
        path,
        Some((host.to_owned(), Some(port))),
        ConnectMode::Daemon,
        false,
    )))
}
