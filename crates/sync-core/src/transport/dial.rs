//! Connections to servers, directly or through a proxy.

use std::io;

use super::proxy::{Kind, Proxy, connect, socks5};
use super::socket::{Socket, WaitPolicy};

/// A socket to a server, directly or through a proxy that is not `https://`.
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
            Kind::Https => return Err(io::Error::other("can be used for http:// and https:// URLs only")),
        }
        Ok(socket)
    })
}

/// Connect through a proxy; errors name it.
pub(super) fn through<T>(proxy: &Proxy, work: impl FnOnce(&Proxy) -> io::Result<T>) -> io::Result<T> {
    work(proxy).map_err(|err| io::Error::new(err.kind(), format!("the proxy {proxy}: {err}")))
}
