//! A byte stream to a server, over TCP or TLS.

use std::io::{self, Read, Write};

use rustls::{ClientConnection, StreamOwned};

use crate::transport::socket::{Socket, WaitPolicy};
use crate::transport::tls_errors::explain;

/// TCP, or TLS over another stream: an `https://` server behind an `https://` proxy has two layers of it.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Stream::Plain(socket) => socket.is_open(),
            Stream::Tls(tls) => tls.sock.is_open(),
        }
    }

    /// Set the wait policy for the following reads and writes.
    pub(crate) fn set_wait_policy(&mut self, wait_policy: &WaitPolicy) {
        match self {
            Stream::Plain(socket) => socket.set_wait_policy(wait_policy),
            Stream::Tls(tls) => tls.sock.set_wait_policy(wait_policy),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buf),
            Stream::Tls(tls) => tls.read(buf).map_err(explain),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(buf),
            Stream::Tls(tls) => tls.write(buf).map_err(explain),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush().map_err(explain),
        }
    }
}
