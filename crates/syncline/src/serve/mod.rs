//! The HTTP server for probes, Prometheus, people and consumers: read-only, nothing secret, no effect on the work.

mod changes;
mod family;
mod metrics;
mod page;
mod process;
mod push_metrics;
mod relay_metrics;

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
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::board::{Board, Entry};
use crate::config::Http;
use crate::listen::{Lifetime, answer_all};
#[cfg(feature = "fuzzing")]
use crate::status::Status;

/// How long a connection lives: one that waits for a change is answered.
const LIFETIME: Lifetime = Lifetime {
    requests: CONNECTION_TIME.saturating_sub(changes::LONGEST.saturating_mul(2)),
    whole: CONNECTION_TIME,
};
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// What the handlers read.
#[derive(Clone)]
struct Shared {
    board: Board,
    /// Permits for requests that wait for changes.
    waiting: Arc<Semaphore>,
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
    answer_all(listener, router.fallback(root).with_state(shared), LIFETIME).await
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
