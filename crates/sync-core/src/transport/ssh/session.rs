//! A session with a server. It runs on a thread of its own, so that it answers the server and stays alive between uses.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use russh::SshId;
use russh::client::{self, Config, Handle};
use tokio::sync::oneshot;

use super::algorithms::offered;
use super::client::{Client, End, Trust};
use super::failure::Failure;
use super::files::WatchedFiles;
use super::keys;
use super::known_hosts::{KnownHost, all_algorithms, cannot_check};
use super::login::{Offers, log_in};
use super::options::{HostKeys, SshOptions};
use super::permits::Channels;
use crate::interrupt::Interrupt;
use crate::transport::dial::dial;
use crate::transport::proxy::Proxy;
use crate::transport::socket::{POLL_INTERVAL, WaitPolicy};
use crate::url::ssh::SshUrl;

/// Firewalls forget connections that are idle for some minutes.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES_UNANSWERED: usize = 3;

/// A session in which russh leaked this many channels is not used any longer.
const MAX_LEAKED: usize = 100;

/// A session of one user on one server.
#[derive(Clone)]
pub(crate) struct Session {
    pub(super) channels: Channels,
    pub(super) runtime: Runtime,
    pub(super) handle: Arc<Handle<Client>>,
    pub(super) end: End,
    /// How many channels we closed before the server did; russh never frees these.
    pub(super) leaked: Arc<AtomicUsize>,
    files: Arc<WatchedFiles>,
}

impl Session {
    /// Connect, check the host key, and log in.
    pub(super) fn start(
        url: &SshUrl,
        options: &SshOptions,
        proxy: Option<&Proxy>,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let files = Arc::new(WatchedFiles::of(options));
        let trust = trust(url, options).map_err(Failure::Refused)?;
        let (identities, faults) = keys::load(options);
        if identities.is_empty()
            && !options.keys.is_empty()
            && !options.keys_are_optional
            && options.agent.is_none()
        {
            return Err(Failure::Refused(faults.join("; ")));
        }
        let offers = Offers { user: url.user.clone(), identities, agent: options.agent.clone(), faults };
        let config = Arc::new(config(&trust));
        let stream = dial(&url.host, url.port, proxy, &WaitPolicy::new(interrupt))?.into_nonblocking()?;
        let runtime = Runtime::start()?;
        let end = End::default();
        let client = Client { trust, end: end.clone() };
        let ended = end.clone();
        let login = async move {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let mut handle = client::connect_stream(config, stream, client).await?;
            log_in(&mut handle, offers, ended).await?;
            Ok::<_, Failure>(handle)
        };
        let handle = Arc::new(runtime.wait(interrupt, login)??);
        Ok(Session { channels: Channels::new(), runtime, handle, end, leaked: Arc::default(), files })
    }

    pub(super) fn is_same(&self, other: &Session) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.handle.is_closed()
    }

    /// Whether the session can be used again: it works, and its files have not changed.
    pub(crate) fn is_good(&self) -> bool {
        self.is_open()
            && !self.runtime.is_stuck()
            && self.leaked.load(Ordering::Relaxed) < MAX_LEAKED
            && self.files.are_unchanged()
    }
}

fn config(trust: &Trust) -> Config {
    let mut config = Config {
        client_id: SshId::Standard(concat!("SSH-2.0-syncline_", env!("CARGO_PKG_VERSION")).into()),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_UNANSWERED,
        preferred: offered(),
        ..Config::default()
    };
    match trust {
        Trust::Any => config.preferred.key = all_algorithms().into(),
        Trust::Known(known) => {
            config.preferred.key = known.algorithms().into();
            config.preferred.host_key_certificates = known.certificate_algorithms().into();
        }
    }
    config
}

fn trust(url: &SshUrl, options: &SshOptions) -> Result<Trust, String> {
    match &options.host_keys {
        HostKeys::Any => Ok(Trust::Any),
        HostKeys::File(file) => {
            let known = KnownHost::read(file, &url.host, url.port, options.now.map(|now| now()))?;
            Ok(Trust::Known(Box::new(known)))
        }
        HostKeys::None => Err(cannot_check("no known_hosts file was given")),
    }
}

/// An async runtime on a thread of its own. It ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Runtime {
    handle: tokio::runtime::Handle,
    /// Whether an interrupt stopped a wait, and nothing came since: the session may hang.
    stuck: Arc<AtomicBool>,
    _running: Arc<oneshot::Sender<()>>,
}

impl Runtime {
    fn start() -> io::Result<Runtime> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel();
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("ssh".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Runtime { handle, stuck: Arc::default(), _running: Arc::new(running) })
    }

    /// Run a future and wait for its output, or fail soon after an interrupt.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        interrupt: &Interrupt,
        future: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        interrupt.check()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            let _ = sender.send(future.await);
        });
        loop {
            match receiver.recv_timeout(POLL_INTERVAL) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Timeout) => interrupt.check().inspect_err(|_| {
                    self.stuck.store(true, Ordering::Relaxed);
                    task.abort();
                })?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the SSH session failed"));
                }
            }
        }
    }

    /// Run a future in the background.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }

    /// Take note that something came from the server.
    pub(super) fn saw_life(&self) {
        self.stuck.store(false, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }
}
