//! Connections to servers, directly or through a proxy, and with TLS where it is wanted.

use std::io;

use super::proxy::{Kind, Proxy, connect, socks5};
use super::socket::{Socket, WaitPolicy};
use super::tls::Tls;
use crate::transport::stream::Stream;

/// A socket to a server, perhaps through a proxy that needs no TLS of its own.
pub(crate) fn dial(
    host: &str,
    port: u16,
    proxy: Option<&Proxy>,
    wait_policy: &WaitPolicy,
) -> io::Result<Socket> {
    let Some(proxy) = proxy else { return Socket::connect(host, port, wait_policy) };
    through(proxy, |proxy| {
        let mut socket = Socket::connect(&proxy.host, proxy.port, wait_policy)?;
        match proxy.kind {
            Kind::Http => connect(&mut socket, proxy, host, port)?,
            Kind::Socks5 => socks5(&mut socket, proxy, host, port)?,
            Kind::Https => return Err(io::Error::other("carries http:// and https:// only")),
        }
        Ok(socket)
    })
}

/// A stream to the proxy itself, ready for requests or for a tunnel.
pub(super) fn reach(proxy: &Proxy, tls: &Tls, wait_policy: &WaitPolicy) -> io::Result<Stream> {
    through(proxy, |proxy| {
        let socket = Stream::Plain(Socket::connect(&proxy.host, proxy.port, wait_policy)?);
        if proxy.kind == Kind::Https { tls.wrap(socket, &proxy.host) } else { Ok(socket) }
    })
}

/// A stream to a server through whatever proxy.
pub(super) fn tunnel(
    host: &str,
    port: u16,
    proxy: &Proxy,
    tls: &Tls,
    wait_policy: &WaitPolicy,
) -> io::Result<Stream> {
    if proxy.kind != Kind::Https {
        return dial(host, port, Some(proxy), wait_policy).map(Stream::Plain);
    }
    let mut stream = reach(proxy, tls, wait_policy)?;
    through(proxy, |proxy| connect(&mut stream, proxy, host, port))?;
    Ok(stream)
}

fn through<T>(proxy: &Proxy, work: impl FnOnce(&Proxy) -> io::Result<T>) -> io::Result<T> {
    work(proxy).map_err(|err| io::Error::new(err.kind(), format!("the proxy {proxy}: {err}")))
}
