//! The HTTP server for probes, Prometheus and people: read-only, nothing secret, no effect on the work.

mod metrics;
mod page;
mod process;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::config::Http;
use crate::status::Status;

/// What the handlers look at.
#[derive(Clone)]
struct Shared {
    status: Status,
    stale_after: Duration,
}

/// Bind now, so that a fault is known before anything is synced.
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
    let mut router =
        Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/status", get(page));
    if http.metrics {
        router = router.route("/metrics", get(metrics));
    }
    let shared = Shared { status, stale_after: http.stale_after };
    axum::serve(listener, router.fallback(root).with_state(shared)).await
}

/// git-sync's: any other path and method; not ready until the first success, then ready for ever.
async fn root(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.status.is_ready() {
        (StatusCode::OK, String::new())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing was synced yet\n".into())
    }
}

/// That this is answered is the answer: the loop lives on the same thread.
async fn livez() -> &'static str {
    "ok\n"
}

/// Ready while the last success is fresh.
async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let limit = humantime::format_duration(shared.stale_after);
    match shared.status.age() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "nothing was synced yet\n".into()),
        Some(age) if shared.stale_after.is_zero() || age <= shared.stale_after => {
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

/// `syncline healthcheck`: ask a server of ours, for probes in an image without curl.
pub fn healthcheck(url: &str) -> Result<(), String> {
    let request = sync_core::HttpRequest {
        method: "GET".into(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        follow_redirects: false,
        timeout: Duration::from_secs(5),
    };
    match request.send(&sync_core::ConnectOptions::default(), &sync_core::Interrupt::new()) {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(format!("{url} answered HTTP {status}")),
        Err(err) => Err(format!("{url}: {err}")),
    }
}

/// The address under which a server bound to `bind` is reached from the same host.
pub fn local_url(bind: &str, path: &str) -> String {
    let host = match bind.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ if bind.starts_with(':') => format!("127.0.0.1{bind}"),
        _ => bind.to_owned(),
    };
    format!("http://{host}{path}")
}
