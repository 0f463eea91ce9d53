//! The HTTP server for probes, Prometheus, people and consumers: read-only, nothing secret, no effect on the work.

mod changes;
mod metrics;
mod page;
mod process;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::board::{Board, Entry};
use crate::config::Http;
#[cfg(feature = "fuzzing")]
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
    board: Board,
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
pub async fn serve(listener: TcpListener, http: &Http, board: Board) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(page))
        .route("/v1/changes", get(changes::changes));
    if board.is_many() {
        router = router.route("/readyz/{name}", get(readyz_of)).route("/status/{name}", get(page_of));
    }
    if http.metrics {
        router = router.route("/metrics", get(metrics));
    }
    let waiting = Arc::new(Semaphore::new(changes::WAITING));
    let shared = Shared { board, waiting };
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

/// As in git-sync, any other path and method: 503 until the first success of all that are required, 200 from then on.
async fn root(State(shared): State<Shared>) -> Response {
    let is_ready = |(_, entry): &(String, Entry)| !entry.is_required || entry.status.is_ready();
    let unready: Vec<_> = shared.board.repos().into_iter().filter(|repo| !is_ready(repo)).collect();
    if unready.is_empty() {
        return StatusCode::OK.into_response();
    }
    let text =
        unready.iter().fold(String::new(), |text, (name, _)| text + &reason(name, "nothing was synced yet"));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// An answer is enough: the loop runs on the same thread.
async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while the last success of all that are required is recent.
async fn readyz(State(shared): State<Shared>) -> Response {
    ready(shared.board.repos().into_iter().filter(|(_, entry)| entry.is_required))
}

async fn readyz_of(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match shared.board.repo(&name) {
        Some(entry) => ready(std::iter::once((name, entry))),
        None => unknown(),
    }
}

fn ready(repos: impl Iterator<Item = (String, Entry)>) -> Response {
    let reasons: String = repos.filter_map(|(name, entry)| Some(reason(&name, &entry.unready()?))).collect();
    match reasons.is_empty() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response(),
    }
}

/// A line, with the name of the repository if it has one.
fn reason(name: &str, text: &str) -> String {
    if name.is_empty() { format!("{text}\n") } else { format!("{name}: {text}\n") }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "there is no such repository\n").into_response()
}

async fn page(State(shared): State<Shared>) -> Response {
    let text = match shared.board.is_many() {
        true => page::render_many(&shared.board),
        false => shared.board.repo("").map(|entry| page::render(&entry.status.facts())).unwrap_or_default(),
    };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn page_of(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match shared.board.repo(&name) {
        Some(entry) => ([(header::CONTENT_TYPE, "application/json")], page::render(&entry.status.facts()))
            .into_response(),
        None => unknown(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut parts = metrics::render(&shared.board);
    let body = match shared.board.is_many() {
        true => Body::new(Parts(Box::new(parts))),
        false => parts.by_ref().collect::<String>().into(),
    };
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response()
}

/// A body whose parts are made when they are sent.
struct Parts(Box<dyn Iterator<Item = String> + Send>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.0.find(|part| !part.is_empty());
        Poll::Ready(part.map(|part| Ok(Frame::data(part.into()))))
    }
}

/// Both pages, for `fuzz/`.
#[cfg(feature = "fuzzing")]
pub fn pages(facts: &crate::status::Facts) -> (String, String) {
    let status = Status::with(facts.clone());
    let board = Board::of_one(Entry::new(status, true, Duration::ZERO));
    (page::render(facts), metrics::render(&board).collect())
}

#[cfg(test)]
mod tests;
