//! The HTTP server for probes, Prometheus, people and consumers: read-only, nothing secret, no effect on the work.

mod changes;
mod metrics;
mod page;
mod process;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Http;
use crate::status::Status;

/// How many connections are kept at once.
const CONNECTIONS: usize = 128;

/// How long a request's header may take, how large it may be, and how long a connection may live.
const HEADER_TIME: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 16 * 1024;
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the handlers read.
#[derive(Clone)]
struct Shared {
    status: Status,
    readyz_max_age: Duration,
    /// Permits for requests that wait for changes.
    waiting: Arc<Semaphore>,
}

/// Bind now, so that an error is known before anything is synced.
pub async fn bind(http: &Http) -> std::io::Result<TcpListener> {
    // git-sync's form `:port` means all addresses.
    let address = if http.bind.starts_with(':') { format!("[::]{}", http.bind) } else { http.bind.clone() };
    match TcpListener::bind(&address).await {
        Err(_) if http.bind.starts_with(':') => TcpListener::bind(format!("0.0.0.0{}", http.bind)).await,
        bound => bound,
    }
}

/// Serve until the process ends.
pub async fn serve(listener: TcpListener, http: &Http, status: Status) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(page))
        .route("/v1/changes", get(changes::changes));
    if http.metrics {
        router = router.route("/metrics", get(metrics));
    }
    let waiting = Arc::new(Semaphore::new(changes::WAITING));
    let shared = Shared { status, readyz_max_age: http.readyz_max_age, waiting };
    answer_all(listener, TowerToHyperService::new(router.fallback(root).with_state(shared))).await
}

/// Clients that are slow or open many connections do not keep others from an answer: the newest connection replaces the
/// oldest.
async fn answer_all(listener: TcpListener, router: TowerToHyperService<Router>) -> std::io::Result<()> {
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(HEADER_BYTES);
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // For example no descriptors are left; syncs go on.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(answer_one(http1.clone(), stream, router.clone())));
    }
}

/// A connection has a limited life. New requests end early enough that even one that waits is answered.
async fn answer_one(http1: http1::Builder, stream: TcpStream, router: TowerToHyperService<Router>) {
    let connection = http1.serve_connection(TokioIo::new(stream), router);
    tokio::pin!(connection);
    let end = Instant::now() + CONNECTION_TIME;
    if timeout_at(end - 2 * changes::LONGEST, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout_at(end, connection).await;
    }
}

/// As in git-sync, any other path and method: 503 until the first success, 200 from then on.
async fn root(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.status.is_ready() {
        (StatusCode::OK, String::new())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing was synced yet\n".into())
    }
}

/// An answer is enough: the loop runs on the same thread.
async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while the last success is recent.
async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let limit = humantime::format_duration(shared.readyz_max_age);
    match shared.status.age() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "nothing was synced yet\n".into()),
        Some(age) if shared.readyz_max_age.is_zero() || age <= shared.readyz_max_age => {
            (StatusCode::OK, "ok\n".into())
        }
        Some(age) => {
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            (StatusCode::SERVICE_UNAVAILABLE, format!("the last success was {age} ago, more than {limit}\n"))
        }
    }
}

async fn page(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], page::render(&shared.status.facts()))
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        metrics::render(&shared.status.facts(), &process::Process::now()),
    )
}

/// Both pages, for `fuzz/`.
#[cfg(feature = "fuzzing")]
pub fn pages(facts: &crate::status::Facts) -> (String, String) {
    (page::render(facts), metrics::render(facts, &process::Process::now()))
}

#[cfg(test)]
mod tests;
