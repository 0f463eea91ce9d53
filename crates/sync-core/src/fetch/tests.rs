//! Connections that repositories share, against a server that counts them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::transport::options::HttpSetting;

const ID: &str = "1111111111111111111111111111111111111111";

/// A server whose repositories all have one branch. In its URLs, `/slow` gets no answer to a list, `/endless` no end of
/// it, `/broken` none at all, and `/moved` leads to another one.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server { port, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (stream, requests) = (stream.unwrap(), requests.clone());
                std::thread::spawn(move || serve(&stream, &requests));
            }
        });
        server
    }

    fn fetcher(&self, path: &str, shared: &Shared) -> Fetcher {
        let source = Source::new(
            format!("http://127.0.0.1:{}/{path}", self.port).parse().unwrap(),
            "refs/heads/main".parse().unwrap(),
        );
        let Shared { options, interrupt, connections } = shared.clone();
        Fetcher::with_connections(source, options, interrupt, Progress::new(), connections)
    }

    /// How many connections and requests there were.
    fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Default)]
struct Shared {
    options: ConnectOptions,
    interrupt: Interrupt,
    connections: Connections,
}

impl Shared {
    fn with(&self, setting: HttpSetting) -> Shared {
        let mut options = self.options.clone();
        options.http.push((None, setting));
        Shared { options, ..self.clone() }
    }
}

fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

fn serve(stream: &TcpStream, requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    while let Some((line, body_length)) = head(&mut reader) {
        requests.fetch_add(1, Ordering::Relaxed);
        reader.read_exact(&mut vec![0; body_length]).unwrap();
        let is_list = line.starts_with("POST");
        if !is_list && line.contains("/moved/") {
            let place = "/there/info/refs?service=git-upload-pack";
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
            (&mut &*stream).write_all(answer.as_bytes()).unwrap();
            continue;
        }
        if is_list && line.contains("/slow") {
            continue;
        }
        let body = if is_list {
            packet(&format!("{ID} refs/heads/main\n")) + "0000"
        } else {
            packet("version 2\n") + &packet("ls-refs\n") + &packet("fetch=shallow\n") + "0000"
        };
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let end = match () {
            () if is_list && line.contains("/endless") => "",
            () if is_list && line.contains("/broken") => return,
            () => "0\r\n\r\n",
        };
        let answer = format!("{head}{:x}\r\n{body}\r\n{end}", body.len());
        let _ = (&mut &*stream).write_all(answer.as_bytes());
    }
}

/// The first line of a request, and the length of its body.
fn head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let mut lines = reader.lines().map_while(std::io::Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let length =
        lines.filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    Some((first, length.last().unwrap_or_default()))
}

#[test]
fn repositories_of_one_server_are_polled_over_one_connection() {
    let (server, shared) = (Server::start(), Shared::default());
    let (mut one, mut two) = (server.fetcher("one", &shared), server.fetcher("two", &shared));
    for fetcher in [&mut one, &mut two] {
        assert_eq!(fetcher.resolve().unwrap().commit.to_string(), ID);
    }
    assert_eq!(server.counts(), (1, 4), "a handshake and a list for each");
    for polls in 1..=3 {
        one.resolve().unwrap();
        two.resolve().unwrap();
        assert_eq!(server.counts(), (1, 4 + 2 * polls), "a poll is one request");
    }
    server.fetcher("three", &Shared::default()).resolve().unwrap();
    assert_eq!(server.counts().0, 2, "one that shares nothing");
}

#[test]
fn a_redirect_is_remembered_between_polls() {
    let server = Server::start();
    let mut moved = server.fetcher("moved", &Shared::default());
    moved.resolve().unwrap();
    assert_eq!(server.counts(), (1, 3), "a redirect, a handshake and a list");
    moved.resolve().unwrap();
    assert_eq!(server.counts(), (1, 4));
}

#[test]
fn connections_are_not_shared_under_other_settings() {
    let (server, shared) = (Server::start(), Shared::default());
    let proxy = format!("http://127.0.0.1:{}", server.port).parse().unwrap();
    let others = [
        HttpSetting::CaFile("ca".into()),
        HttpSetting::ClientCert("one".into()),
        HttpSetting::ClientCert("two".into()),
        HttpSetting::Verify(false),
        HttpSetting::Proxy(Some(proxy)),
        HttpSetting::UserAgent("git/other".into()),
    ];
    let mut all: Vec<_> = others.map(|setting| server.fetcher("x", &shared.with(setting))).into();
    all.push(server.fetcher("x", &shared));
    for _ in 0..2 {
        all.iter_mut().for_each(|fetcher| _ = fetcher.resolve().unwrap());
        assert_eq!(server.counts().0, all.len());
    }
    let header = HttpSetting::Header("A: b".into());
    server.fetcher("x", &shared.with(header)).resolve().unwrap();
    assert_eq!(server.counts().0, all.len(), "headers are of a request");
}

#[test]
fn an_interrupt_stops_only_its_own_repository() {
    let (server, shared) = (Server::start(), Shared::default());
    let mut other = server.fetcher("other", &shared);
    other.resolve().unwrap();
    let stopped = Shared { interrupt: Interrupt::new(), ..shared.clone() };
    let mut slow = server.fetcher("slow", &stopped);
    let waiting = std::thread::spawn(move || slow.resolve().unwrap_err().kind());
    while server.counts().1 < 4 {
        std::thread::yield_now();
    }
    other.resolve().unwrap();
    stopped.interrupt.trigger();
    assert_eq!(waiting.join().unwrap(), ErrorKind::Cancelled);
    let before = server.counts();
    for polls in 1..=2 {
        other.resolve().unwrap();
        assert_eq!(server.counts(), (before.0, before.1 + polls));
    }
    assert_eq!(before.0, 2, "the one that hung is not used again");
}

#[test]
fn a_connection_with_a_failed_or_unfinished_answer_is_not_used_again() {
    for (path, connections) in [("endless", 2), ("broken", 3)] {
        let (server, shared) = (Server::start(), Shared::default());
        let listed = server.fetcher(path, &shared).resolve();
        assert_eq!(listed.is_ok(), path == "endless", "{listed:?}");
        server.fetcher("x", &shared).resolve().unwrap();
        assert_eq!(server.counts().0, connections, "{path}");
    }
}

#[test]
#[ignore = "measures the memory of the process"]
fn a_repository_keeps_little_between_polls() {
    const COUNT: usize = 200;
    let resident = || -> usize {
        let statm = fs_err::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let (server, shared) = (Server::start(), Shared::default());
    server.fetcher("x", &shared).resolve().unwrap();
    let before = resident();
    let mut all: Vec<_> = (0..COUNT).map(|number| server.fetcher(&number.to_string(), &shared)).collect();
    for _ in 0..2 {
        all.iter_mut().for_each(|fetcher| _ = fetcher.resolve().unwrap());
    }
    let each = resident().saturating_sub(before) / COUNT;
    assert_eq!(server.counts().0, 1);
    assert!(each < 8 << 10, "{each} bytes");
}
