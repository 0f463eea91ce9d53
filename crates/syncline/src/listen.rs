//! HTTP/1 on an address: what is common to all that this process answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How many connections are kept at once.
const CONNECTIONS: usize = 128;

/// How long a request's header may take, and how large it may be.
const HEADER_TIME: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection lives.
#[derive(Clone, Copy)]
pub struct Lifetime {
    /// From then on it takes no new requests.
    pub requests: Duration,
    pub whole: Duration,
}

/// Who sent a request: the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// `HOST:PORT`, or git-sync's form `:PORT`, which means all addresses.
pub async fn bind(address: &str) -> std::io::Result<TcpListener> {
    if !address.starts_with(':') {
        return TcpListener::bind(address).await;
    }
    match TcpListener::bind(format!("[::]{address}")).await {
        Err(_) => TcpListener::bind(format!("0.0.0.0{address}")).await,
        bound => bound,
    }
}

/// Answer until the process ends. Clients that are slow or open many connections do not keep others from an answer: the
/// newest connection replaces the oldest.
pub async fn answer_all(listener: TcpListener, router: Router, lifetime: Lifetime) -> std::io::Result<()> {
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(HEADER_BYTES);
    let router = TowerToHyperService::new(router);
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
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
        open.push_back(tokio::spawn(answer_one(http1.clone(), stream, peer, router.clone(), lifetime)));
    }
}

/// New requests end early enough that even one that waits is answered.
async fn answer_one(
    http1: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: TowerToHyperService<Router>,
    lifetime: Lifetime,
) {
    let router = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1.serve_connection(TokioIo::new(stream), router);
    tokio::pin!(connection);
    let began = Instant::now();
    if timeout_at(began + lifetime.requests, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout_at(began + lifetime.whole, connection).await;
    }
}
