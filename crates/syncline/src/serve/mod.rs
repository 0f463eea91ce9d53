//! The HTTP server for probes, Prometheus, people and consumers: read-only, nothing secret, no effect on the work.

mod changes;
mod family;
mod html;
mod json;
mod metrics;
mod process;
mod push_metrics;
mod relay_metrics;
mod shape;
mod text;
mod view;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
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
use family::Format;
use shape::Shape;
use view::{BoardView, RepoView};

pub use metrics::reference as metrics_reference;
pub use view::plain;

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
        .route("/status", get(status))
        .route("/v1/changes", get(changes::changes));
    if board.is_many() {
        router = router.route("/readyz/{name}", get(readyz_of)).route("/status/{name}", get(status_of));
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

async fn status(State(shared): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let board = &shared.board;
    let Some(shape) = Shape::asked(query.as_deref(), accept(&headers)) else { return Shape::unknown() };
    if !board.is_many() {
        return board.repo("").map_or_else(unknown, |entry| shape.repo("", &entry));
    }
    match shape {
        Shape::Json => shape.response(json::board(board)),
        Shape::Html => shape.response(html::board(&BoardView::of(board))),
        Shape::Text => shape.response(text::board(&BoardView::of(board))),
    }
}

async fn status_of(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(shape) = Shape::asked(query.as_deref(), accept(&headers)) else { return Shape::unknown() };
    shared.board.repo(&name).map_or_else(unknown, |entry| shape.repo(&name, &entry))
}

impl Shape {
    fn repo(self, name: &str, entry: &Entry) -> Response {
        self.response(match self {
            Shape::Json => json::repo(entry),
            Shape::Html => html::repo(&RepoView::of(name, entry)),
            Shape::Text => text::repo(&RepoView::of(name, entry)),
        })
    }

    fn response(self, body: String) -> Response {
        match self {
            Shape::Json => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Shape::Html => (html::HEADERS, body).into_response(),
            Shape::Text => body.into_response(),
        }
    }

    fn unknown() -> Response {
        (StatusCode::BAD_REQUEST, "format: there are html, json and text\n").into_response()
    }
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let format = Format::accepted(accept(&headers));
    let mut parts = metrics::render(&shared.board, format);
    let body = match shared.board.is_many() {
        true => Body::new(Parts(Box::new(parts))),
        false => parts.by_ref().collect::<String>().into(),
    };
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// What the client accepts.
fn accept(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
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

/// What is served of a repository, for `fuzz/`.
#[cfg(feature = "fuzzing")]
pub struct Pages {
    pub json: String,
    pub html: String,
    pub text: String,
    pub metrics: String,
}

#[cfg(feature = "fuzzing")]
impl Pages {
    pub fn of(facts: &crate::status::Facts) -> Pages {
        let entry = Entry::new(Status::with(facts.clone()), true, Duration::ZERO);
        let view = RepoView::of("", &entry);
        let (html, text) = (html::repo(&view), text::repo(&view));
        let metrics = metrics::render(&Board::of_one(entry.clone()), Format::Text).collect();
        Pages { json: json::repo(&entry), html, text, metrics }
    }
}

#[cfg(test)]
mod tests;
