//! One connection to NATS. It lives on a thread of its own, which waits in an async runtime; all others block.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind};
use futures_util::future::{Either, select};
use sync_core::Interrupt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::health::{Health, NO_ANSWER};
use super::{Login, NatsUrl};
use crate::engine::access::{Access, LoginProvider};

/// How often a waiting caller checks its interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a connection may take, and an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection is not given up while it is this young: so a server that never answers is not connected to all the time.
const YOUNG: Duration = Duration::from_secs(30);

/// A connection that is kept up until it is dropped.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) health: Arc<Health>,
    runtime: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Connection {
    /// Begin to connect, after a pause if this is in place of another connection. That goes on until it succeeds.
    pub(super) fn start(url: &NatsUrl, access: &Access, is_renewed: bool) -> io::Result<Connection> {
        let health = Arc::new(Health::new(url.servers.join(","), is_renewed));
        let options = options(url, access, &health)?;
        let servers: Vec<async_nats::ServerAddr> =
            url.servers.iter().map(|server| server.parse()).collect::<Result<_, _>>()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let client = handle.block_on(async_nats::connect_with_options(servers, options));
        let client = client.map_err(io::Error::other)?;
        health.set_client(&client);
        thread::Builder::new().name("relay".into()).spawn(move || {
            let _ = runtime.block_on(stopped); // an error: the connection was dropped
        })?;
        Ok(Connection { client, health, runtime: handle, _stop: stop })
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected && !self.health.is_broken()
    }

    /// Wait on the caller's thread, until the interrupt at most.
    pub(super) fn wait<T>(
        &self,
        interrupt: &Interrupt,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        self.runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                interrupt.check()?;
                if let Ok(done) = timeout(POLL_INTERVAL, &mut work).await {
                    return done;
                }
            }
        })
    }

    /// Send a request, and wait for its answer.
    pub(super) async fn request(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Vec<u8>,
        patience: Duration,
    ) -> io::Result<Message> {
        let request =
            Request { payload: Some(payload.into()), timeout: Some(Some(patience)), ..Request::new() };
        let request = if headers.is_empty() { request } else { request.headers(headers) };
        let answer = self.client.send_request(subject.to_owned(), request);
        self.unless_refused(subject, async {
            answer.await.map_err(|err| match err.kind() {
                RequestErrorKind::TimedOut => self.gave_up(patience),
                RequestErrorKind::NoResponders => self.health.silence(NO_ANSWER),
                RequestErrorKind::MaxPayloadExceeded => self
                    .health
                    .error(io::ErrorKind::FileTooLarge, "the record is larger than the server allows"),
                _ => {
                    self.health.note_broken();
                    self.health.error(io::ErrorKind::NotConnected, &err.to_string())
                }
            })
        })
        .await
    }

    /// The result of work, unless the server refuses the subject.
    pub(super) async fn unless_refused<T>(
        &self,
        subject: &str,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        self.connected().await?;
        let refusal = self.health.refusal_of(subject);
        match select(pin!(work), pin!(refusal)).await {
            Either::Left((done, _)) => done.inspect(|_| self.health.heard()),
            Either::Right((refused, _)) => Err(refused),
        }
    }

    /// Wait for the connection for a while.
    async fn connected(&self) -> io::Result<()> {
        let mut changes = self.health.changes();
        let decided = async {
            while !self.is_connected() && !self.health.is_login_refused() {
                let _ = changes.changed().await; // no error: the sender is here
            }
        };
        let _ = timeout(PATIENCE, decided).await;
        if self.is_connected() { Ok(()) } else { Err(self.health.disconnected()) }
    }

    /// The error after a wait. A connection on which nothing comes may be dead, which TCP notices late.
    pub(super) fn gave_up(&self, patience: Duration) -> io::Error {
        if !self.is_connected() {
            return self.health.disconnected();
        }
        if self.health.is_deaf(YOUNG) {
            let client = self.client.clone();
            self.runtime.spawn(async move { client.force_reconnect().await });
        }
        self.health.silence(&format!("no answer within {} s", patience.as_secs()))
    }
}

fn options(url: &NatsUrl, access: &Access, health: &Arc<Health>) -> io::Result<ConnectOptions> {
    let (login, auth_health) = (access.login.clone(), health.clone());
    let (events, attempts, delays) = (health.clone(), health.clone(), health.clone());
    let servers = u32::try_from(url.servers.len()).unwrap_or(u32::MAX);
    let options = ConnectOptions::with_auth_callback(move |_| std::future::ready(auth(&login, &auth_health)));
    let options = options
        .name(concat!("syncline/", env!("CARGO_PKG_VERSION")))
        .custom_inbox_prefix(inbox_prefix(&access.login))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(PATIENCE)
        .ping_interval(Duration::from_secs(120))
        .ignore_discovered_servers()
        .subscription_capacity(64)
        .client_capacity(64)
        .reconnect_delay_callback(move |attempt| delays.pause(attempt, servers))
        .reconnect_to_server_callback(move |servers, _| {
            attempts.note_attempts(&servers);
            std::future::ready(None)
        })
        .event_callback(move |event| {
            note(&events, event);
            std::future::ready(())
        });
    if !url.requires_tls && !has_certificates(&access.connect) {
        return Ok(options); // the certificates that are trusted would take a MiB
    }
    let place = url.servers.first().and_then(|server| server.split_once("://")).unwrap_or_default().1;
    let tls = access.connect.tls_client_config(&format!("https://{place}/"))?;
    Ok(options.tls_client_config(tls).require_tls(url.requires_tls))
}

/// Whether the user named certificates. A server may demand TLS although the URL does not.
fn has_certificates(connect: &sync_core::ConnectOptions) -> bool {
    use sync_core::HttpSetting::{CaDirectory, CaFile, ClientCert, ClientKey};
    let settings = connect.http.iter().map(|(_, setting)| setting).chain(&connect.http_overrides);
    settings
        .into_iter()
        .any(|setting| matches!(setting, CaFile(_) | CaDirectory(_) | ClientCert(_) | ClientKey(_)))
}

/// Where answers come. With a name in it an administrator can give each user its own, so that none hears the answers of
/// others.
fn inbox_prefix(login: &LoginProvider) -> String {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match login() {
        Ok(Login::Password { username, .. }) if is_token(&username) => format!("_INBOX.{username}"),
        _ => "_INBOX".into(),
    }
}

fn auth(login: &LoginProvider, health: &Health) -> Result<async_nats::Auth, async_nats::AuthError> {
    let mut auth = async_nats::Auth::new();
    let fault = match login() {
        Ok(Login::None) => return Ok(auth),
        Ok(Login::Password { username, password }) => {
            auth.username = Some(username);
            auth.password = Some(password.expose().to_owned());
            return Ok(auth);
        }
        Ok(Login::Token(token)) => {
            auth.token = Some(token.expose().to_owned());
            return Ok(auth);
        }
        Ok(Login::Keys(_)) => "keys of S3 are no login for NATS".to_owned(),
        Err(err) => err.to_string(),
    };
    health.note_fault(&fault);
    Err(async_nats::AuthError::new(fault))
}

fn note(health: &Arc<Health>, event: Event) {
    match event {
        Event::Connected => health.note_connected(),
        Event::Disconnected => health.note_fault("the connection was lost"),
        Event::ServerError(async_nats::ServerError::Other(text)) => health.note_server_error(&text),
        Event::LameDuckMode => move_away(health),
        _ => {}
    }
}

/// The server will end soon: go to another one, not all clients at once.
fn move_away(health: &Health) {
    if let Some(client) = health.client() {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..10_000))).await;
            let _ = client.force_reconnect().await; // it is gone already
        });
    }
}
