//! Connections to servers, directly or through a proxy, and with TLS where it is wanted.

use std::io::{self, Read, Write};

use rustls::{ClientConnection, StreamOwned};

use super::proxy::{Kind, Proxy, connect, socks5};
use super::refusal::explain;
use super::socket::{Patience, Socket};
use super::tls::Tls;

/// A connection, with as much TLS around it as there is.
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

    /// Wait like this from now on.
    pub(crate) fn set_patience(&mut self, patience: &Patience) {
        match self {
            Stream::Plain(socket) => socket.set_patience(patience),
            Stream::Tls(tls) => tls.sock.set_patience(patience),
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

/// A socket to a server, perhaps through a proxy that needs no TLS of its own.
pub(crate) fn dial(host: &str, port: u16, proxy: Option<&Proxy>, patience: &Patience) -> io::Result<Socket> {
    let Some(proxy) = proxy else { return Socket::connect(host, port, patience) };
    through(proxy, |proxy| {
        let mut socket = Socket::connect(&proxy.host, proxy.port, patience)?;
        match proxy.kind {
            Kind::Http => connect(&mut socket, proxy, host, port)?,
            Kind::Socks5 => socks5(&mut socket, proxy, host, port)?,
            Kind::Https => return Err(io::Error::other("carries http:// and https:// only")),
        }
        Ok(socket)
    })
}

/// A stream to the proxy itself, ready for requests or for a tunnel.
pub(super) fn reach(proxy: &Proxy, tls: &Tls, patience: &Patience) -> io::Result<Stream> {
    through(proxy, |proxy| {
        let socket = Stream::Plain(Socket::connect(&proxy.host, proxy.port, patience)?);
        if proxy.kind == Kind::Https { tls.wrap(socket, &proxy.host) } else { Ok(socket) }
    })
}

/// A stream to a server through whatever proxy.
pub(super) fn tunnel(
    host: &str,
    port: u16,
    proxy: &Proxy,
    tls: &Tls,
    patience: &Patience,
) -> io::Result<Stream> {
    if proxy.kind != Kind::Https {
        return dial(host, port, Some(proxy), patience).map(Stream::Plain);
    }
    let mut stream = reach(proxy, tls, patience)?;
    through(proxy, |proxy| connect(&mut stream, proxy, host, port))?;
    Ok(stream)
}

fn through<T>(proxy: &Proxy, work: impl FnOnce(&Proxy) -> io::Result<T>) -> io::Result<T> {
    work(proxy).map_err(|err| io::Error::new(err.kind(), format!("the proxy {proxy}: {err}")))
}
