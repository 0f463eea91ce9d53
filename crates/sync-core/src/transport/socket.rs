//! TCP sockets whose waits end soon after an [`Interrupt`]. All transports use them.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, connect, recv, socket_with, sockopt};

use crate::interrupt::Interrupt;

/// How often a waiting socket checks the interrupt.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often one address is polled before the next is tried: for three seconds.
const POLLS_PER_ADDRESS: u32 = 30;

/// How long to wait: until the interrupt, or until a timeout that the caller measures.
#[derive(Clone, Default)]
pub(crate) struct WaitPolicy {
    interrupt: Interrupt,
    is_over: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl WaitPolicy {
    pub(crate) fn new(interrupt: &Interrupt) -> Self {
        WaitPolicy { interrupt: interrupt.clone(), is_over: None }
    }

    /// The same policy with a timeout, which has passed once `is_over` returns true.
    pub(crate) fn until(&self, is_over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        WaitPolicy { interrupt: self.interrupt.clone(), is_over: Some(Arc::new(is_over)) }
    }

    fn check(&self) -> io::Result<()> {
        self.interrupt.check()?;
        if self.is_over.as_ref().is_some_and(|is_over| is_over()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        Ok(())
    }
}

impl fmt::Debug for WaitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitPolicy")
    }
}

/// A connected socket. Nagle's algorithm is off: it would delay each git:// request by 40 ms.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    wait_policy: WaitPolicy,
}

impl Socket {
    /// Connect to the first address of `host` that answers.
    pub(crate) fn connect(host: &str, port: u16, wait_policy: &WaitPolicy) -> io::Result<Socket> {
        let addresses = resolve(host, port, wait_policy)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for (number, address) in addresses.iter().enumerate() {
            // An address that does not answer must not block the others. The last one has no such limit.
            let is_last = number + 1 == addresses.len();
            let polls = if is_last { u32::MAX } else { POLLS_PER_ADDRESS };
            match connect_one(*address, polls, wait_policy) {
                Ok(stream) => {
                    configure(&stream)?;
                    return Ok(Socket { stream, wait_policy: wait_policy.clone() });
                }
                Err(err) => {
                    wait_policy.check()?;
                    last = io::Error::new(err.kind(), format!("{address}: {err}"));
                }
            }
        }
        Err(last)
    }

    /// Set the wait policy for the following reads and writes.
    pub(crate) fn set_wait_policy(&mut self, wait_policy: &WaitPolicy) {
        self.wait_policy = wait_policy.clone();
    }

    /// Whether the connection is idle: the peer has neither closed it nor sent anything.
    pub(crate) fn is_open(&self) -> bool {
        let mut byte = [0];
        recv(&self.stream, byte.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT)
            .is_err_and(|err| err == rustix::io::Errno::WOULDBLOCK)
    }

    pub(crate) fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket { stream: self.stream.try_clone()?, wait_policy: self.wait_policy.clone() })
    }

    /// The socket for an async runtime, which waits by itself.
    pub(crate) fn into_nonblocking(self) -> io::Result<TcpStream> {
        self.stream.set_nonblocking(true)?;
        Ok(self.stream)
    }

    fn until_interrupted<T>(&self, mut io: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match io(&self.stream) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => self.wait_policy.check()?,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait_policy.check()?; // while a peer sends single bytes, no read times out
        self.until_interrupted(|mut stream| stream.read(buf))
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait_policy.check()?;
        self.until_interrupted(|mut stream| stream.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Set short timeouts, after which the interrupt is checked, and keepalive: a firewall may drop an idle connection
/// without telling either side.
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL_INTERVAL))?;
    stream.set_write_timeout(Some(POLL_INTERVAL))?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, 15_000)?;
    Ok(())
}

/// The addresses of `host`. The system's resolver cannot be stopped, so it runs on a thread of its own, which keeps
/// running after an interrupt.
fn resolve(host: &str, port: u16, wait_policy: &WaitPolicy) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    std::thread::Builder::new().name("resolve".into()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let _ = sender.send(found);
    })?;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(found) => {
                return found
                    .map_err(|err| io::Error::new(err.kind(), format!("cannot resolve {host}: {err}")));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => wait_policy.check()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other(format!("cannot resolve {host}: the resolver panicked")));
            }
        }
    }
}

fn connect_one(address: SocketAddr, polls: u32, wait_policy: &WaitPolicy) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&fd, &address) {
        Ok(()) => {}
        Err(rustix::io::Errno::INPROGRESS) => {
            let interval = Timespec::try_from(POLL_INTERVAL).map_err(io::Error::other)?;
            let mut left = polls;
            loop {
                match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&interval)) {
                    Ok(0) if left == 0 => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
                    Ok(0) => left -= 1,
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(_) => break,
                    Err(err) => return Err(err.into()),
                }
                wait_policy.check()?;
            }
            sockopt::socket_error(&fd)??;
        }
        Err(err) => return Err(err.into()),
    }
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
