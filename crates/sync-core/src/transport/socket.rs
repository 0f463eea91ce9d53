//! TCP sockets whose every wait ends soon after an [`Interrupt`]: the base of all transports.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, connect, recv, socket_with, sockopt};

use crate::Interrupt;

/// How often a waiting socket looks at the flag.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// How long one of several addresses may stay silent.
const FOR_ONE_OF_SEVERAL: Duration = Duration::from_secs(3);

/// How long to wait: until the flag is set, and perhaps not longer than a time.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    interrupt: Interrupt,
    slices: Option<u32>,
}

impl Patience {
    pub(crate) fn new(interrupt: &Interrupt) -> Self {
        Patience { interrupt: interrupt.clone(), slices: None }
    }

    /// The same, but from now on not longer than `time`, if one is given.
    pub(crate) fn within(&self, time: Option<Duration>) -> Self {
        let slices = time.map(|time| u32::try_from(time.as_millis().div_ceil(100)).unwrap_or(u32::MAX));
        Patience { interrupt: self.interrupt.clone(), slices }
    }

    fn at_most(&self, time: Duration) -> Self {
        let limited = self.within(Some(time));
        let slices = limited.slices.into_iter().chain(self.slices).min();
        Patience { slices, ..limited }
    }

    /// A slice of time is over.
    fn spend(&mut self) -> io::Result<()> {
        self.interrupt.check()?;
        match &mut self.slices {
            Some(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A connected socket without Nagle's delay, which would cost git:// 40 ms a request.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    patience: Patience,
}

impl Socket {
    /// Connect to the first address of a name that answers.
    pub(crate) fn connect(host: &str, port: u16, patience: &Patience) -> io::Result<Socket> {
        let addresses = resolve(host, port, patience.clone())?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for (number, address) in addresses.iter().enumerate() {
            // A silent address must not keep the others from their turn; the last may take its time.
            let is_last = number + 1 == addresses.len();
            let limited = if is_last { patience.clone() } else { patience.at_most(FOR_ONE_OF_SEVERAL) };
            match connect_one(*address, limited) {
                Ok(stream) => {
                    configure(&stream)?;
                    return Ok(Socket { stream, patience: patience.clone() });
                }
                Err(err) => {
                    patience.interrupt.check()?;
                    last = io::Error::new(err.kind(), format!("{address}: {err}"));
                }
            }
        }
        Err(last)
    }

    /// Wait no longer than this for each of what follows.
    pub(crate) fn set_time(&mut self, time: Option<Duration>) {
        self.patience = self.patience.within(time);
    }

    /// Whether the peer neither closed the connection nor sent something unasked.
    pub(crate) fn is_open(&self) -> bool {
        let mut byte = [0];
        recv(&self.stream, byte.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT)
            .is_err_and(|err| err == rustix::io::Errno::WOULDBLOCK)
    }

    pub(crate) fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket { stream: self.stream.try_clone()?, patience: self.patience.clone() })
    }

    /// For a runtime that waits by itself.
    pub(crate) fn into_nonblocking(self) -> io::Result<TcpStream> {
        self.stream.set_nonblocking(true)?;
        Ok(self.stream)
    }

    fn until_interrupted<T>(&self, mut io: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        let mut patience = self.patience.clone();
        loop {
            match io(&self.stream) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => patience.spend()?,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.patience.interrupt.check()?; // a peer that drips bytes never lets a read time out
        self.until_interrupted(|mut stream| stream.read(buf))
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.patience.interrupt.check()?;
        self.until_interrupted(|mut stream| stream.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads and writes that look at the flag, and a kernel that notices a peer which is silently gone: a
/// middlebox may forget an idle connection without telling either side.
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SLICE))?;
    stream.set_write_timeout(Some(SLICE))?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, 15_000)?;
    Ok(())
}

/// The addresses of a name. The system's resolver cannot be stopped, so it runs on a thread of its own, which
/// is left behind when the flag is set.
fn resolve(host: &str, port: u16, mut patience: Patience) -> io::Result<Vec<SocketAddr>> {
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
        match receiver.recv_timeout(SLICE) {
            Ok(found) => {
                return found
                    .map_err(|err| io::Error::new(err.kind(), format!("cannot resolve {host}: {err}")));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => patience.spend()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other(format!("cannot resolve {host}: the resolver died")));
            }
        }
    }
}

fn connect_one(address: SocketAddr, mut patience: Patience) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&fd, &address) {
        Ok(()) => {}
        Err(rustix::io::Errno::INPROGRESS) => {
            let slice = Timespec::try_from(SLICE).map_err(io::Error::other)?;
            loop {
                match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&slice)) {
                    Ok(0) => patience.spend()?,
                    Err(rustix::io::Errno::INTR) => patience.interrupt.check()?,
                    Ok(_) => break,
                    Err(err) => return Err(err.into()),
                }
            }
            sockopt::socket_error(&fd)??;
        }
        Err(err) => return Err(err.into()),
    }
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
