//! What is known of a connection: why it is not there, what the server refuses, and who wants to hear of it.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, io};

use async_nats::{Client, Server};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// The pauses between attempts to connect are random, from the first of these on, up to a bound that grows from the
/// second to the third.
const PAUSES: (Duration, Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(2), Duration::from_secs(30));

/// JetStream has nobody who answers a request.
pub(super) const NO_ANSWER: &str =
    "JetStream does not answer: it has no such bucket yet (a feeder makes it), or elects a leader now";

/// How async-nats says it.
const LOGIN_REFUSED: &str = "authorization violation";

/// Who is called after each connect.
pub(super) trait Listener: Send + Sync {
    /// There is a connection, and news may have been missed.
    fn connected(&self);
}

pub(super) struct Health {
    servers: String,
    client: OnceLock<Client>,
    state: Mutex<State>,
    /// What the server refuses, in its words.
    refusals: broadcast::Sender<String>,
    /// Changes with each connect and each fault.
    changes: watch::Sender<()>,
    has_tried: AtomicBool,
    is_broken: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Why there is no connection.
    fault: Option<String>,
    listeners: Vec<Weak<dyn Listener>>,
    connected_at: Option<Instant>,
    /// How many requests in a row had no answer.
    unanswered: u32,
}

/// JetStream did not answer: it has no leader now, or there is no such bucket, or no right to read it.
#[derive(Debug)]
pub(super) struct Silence(String);

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Silence {}

impl Health {
    /// With `waits` there is a pause before the first attempt, too.
    pub(super) fn new(servers: String, waits: bool) -> Health {
        Health {
            servers,
            client: OnceLock::new(),
            state: Mutex::default(),
            refusals: broadcast::Sender::new(16),
            changes: watch::Sender::default(),
            has_tried: AtomicBool::new(waits),
            is_broken: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_client(&self, client: &Client) {
        let _ = self.client.set(client.clone()); // it is set once
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.client.get().cloned()
    }

    pub(super) fn listen(&self, listener: Weak<dyn Listener>) {
        let mut state = self.lock();
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(listener);
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn note_connected(&self) {
        let mut state = self.lock();
        (state.fault, state.connected_at, state.unanswered) = (None, Some(Instant::now()), 0);
        let listeners: Vec<Arc<dyn Listener>> = state.listeners.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        self.changes.send_replace(());
        listeners.iter().for_each(|listener| listener.connected());
    }

    pub(super) fn note_fault(&self, fault: &str) {
        self.lock().fault = Some(bounded(fault));
        self.changes.send_replace(());
    }

    /// Take note of what the last attempts failed of.
    pub(super) fn note_attempts(&self, servers: &[Server]) {
        let fault = servers.iter().filter_map(|server| server.last_error.as_deref()).next_back();
        if let Some(fault) = fault.filter(|fault| !fault.starts_with("failed signing nonce")) {
            self.note_fault(fault);
        }
    }

    pub(super) fn note_server_error(&self, text: &str) {
        if text.to_ascii_lowercase().starts_with("permissions violation") {
            let _ = self.refusals.send(bounded(text)); // nobody may wait
        } else {
            self.note_fault(text);
        }
    }

    /// The client gave up: it connects no more.
    pub(super) fn note_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Note an answer.
    pub(super) fn heard(&self) {
        self.lock().unanswered = 0;
    }

    /// Whether several requests in a row had no answer on a connection that is not young.
    pub(super) fn is_deaf(&self, young: Duration) -> bool {
        let mut state = self.lock();
        state.unanswered += 1;
        let is_old = state.connected_at.is_some_and(|since| since.elapsed() >= young);
        state.unanswered > 1 && is_old
    }

    /// The pause before an attempt. Many clients that lost a server at once do not come back at once.
    pub(super) fn pause(&self, attempt: usize, servers: u32) -> Duration {
        if !self.has_tried.swap(true, Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let (least, first, most) = PAUSES;
        let round = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX) / servers.max(1);
        let bound = first.saturating_mul(1 << round.min(8)).min(most);
        least + (bound - least).mul_f64(fastrand::f64())
    }

    /// The error when the server refuses to let us use a subject from now on; it never comes otherwise.
    pub(super) fn refusal_of(&self, subject: &str) -> impl Future<Output = io::Error> {
        let mut refusals = self.refusals.subscribe();
        let quoted = format!("\"{subject}\"");
        async move {
            loop {
                match refusals.recv().await {
                    Ok(text) if text.contains(&quoted) || text.contains("\"_INBOX") => {
                        return self.error(io::ErrorKind::PermissionDenied, &text);
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => pending().await,
                }
            }
        }
    }

    /// Whether the server does not accept our login.
    pub(super) fn is_login_refused(&self) -> bool {
        self.lock().fault.as_ref().is_some_and(|fault| fault.contains(LOGIN_REFUSED))
    }

    /// The error while there is no connection.
    pub(super) fn disconnected(&self) -> io::Error {
        let fault = self.lock().fault.clone().unwrap_or_else(|| "there is no answer".into());
        if fault.contains(LOGIN_REFUSED) {
            let text = "the server refuses the login; check --relay-username and --relay-password-file, or the token";
            return self.error(io::ErrorKind::PermissionDenied, text);
        }
        self.error(io::ErrorKind::NotConnected, &format!("cannot connect: {fault}"))
    }

    pub(super) fn silence(&self, text: &str) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, Silence(format!("{}: {text}", self.servers)))
    }

    pub(super) fn error(&self, kind: io::ErrorKind, text: &str) -> io::Error {
        io::Error::new(kind, format!("{}: {}", self.servers, bounded(text)))
    }
}

/// What a server said, on one line and not long.
pub(super) fn bounded(text: &str) -> String {
    let text = text.strip_prefix("nats: ").unwrap_or(text);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
