//! Trouble on the wire: a proxy that spoils what a real server answers, and a server of canned answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to the bytes that a server sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    None,
    /// Say nothing more after this many bytes.
    Stall(usize),
    /// Hang up after this many bytes.
    Cut(usize),
    /// One byte at a time after this many, ten a second.
    Drip(usize),
    /// Flip a bit of the byte at this place.
    Flip(usize),
    /// Hang up after this many bytes as a machine does that knows nothing of the connection any more.
    Reset(usize),
    /// After this many bytes, bytes that mean nothing.
    Garbage(usize),
    /// Hang up when more is asked after the first answer.
    HangUp,
    /// Take the protocol version out of git://'s first request: the server then speaks version 0.
    Old,
    /// Ask for version 1 there.
    Version1,
}

/// A proxy before a real server. Its trouble can be changed while it runs.
pub struct Meddler {
    port: u16,
    trouble: Arc<Mutex<Trouble>>,
    connections: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

impl Meddler {
    pub fn start(server: u16, trouble: Trouble) -> Meddler {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let trouble = Arc::new(Mutex::new(trouble));
        let connections = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(AtomicUsize::new(0));
        let (shared, count, bytes) = (trouble.clone(), connections.clone(), received.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (shared.clone(), shared.clone());
                let answered = Arc::new(AtomicBool::new(false));
                let (is_answered, bytes) = (answered.clone(), bytes.clone());
                std::thread::spawn(move || upwards(from, to, &up, &is_answered));
                std::thread::spawn(move || downwards(server, client, &down, &answered, &bytes));
            }
        });
        Meddler { port, trouble, connections, received }
    }

    pub fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many bytes the server has sent.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }
}

fn upwards(mut from: TcpStream, mut to: TcpStream, trouble: &Mutex<Trouble>, is_answered: &AtomicBool) {
    let mut buffer = [0; 64 * 1024];
    let asked = *trouble.lock().unwrap();
    let mut first = matches!(asked, Trouble::Old | Trouble::Version1);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if *trouble.lock().unwrap() == Trouble::HangUp && is_answered.load(Ordering::SeqCst) {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
        let mut bytes = buffer[..read].to_vec();
        if std::mem::take(&mut first) {
            let marker = b"\0version=2\0";
            let at = bytes.windows(marker.len()).position(|window| window == marker).unwrap();
            match asked {
                Trouble::Version1 => bytes[at + marker.len() - 2] = b'1',
                _ => _ = bytes.drain(at..at + marker.len()),
            }
            let length = format!("{:04x}", bytes.len());
            bytes[..4].copy_from_slice(length.as_bytes());
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn downwards(
    mut from: TcpStream,
    mut to: TcpStream,
    trouble: &Mutex<Trouble>,
    answered: &AtomicBool,
    received: &AtomicUsize,
) {
    let mut buffer = [0; 16 * 1024];
    let mut passed = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        answered.store(true, Ordering::SeqCst);
        received.fetch_add(read, Ordering::SeqCst);
        let bytes = &mut buffer[..read];
        let now = *trouble.lock().unwrap();
        let clean = |limit: usize| limit.saturating_sub(passed).min(read);
        let ok = match now {
            Trouble::None | Trouble::HangUp | Trouble::Old | Trouble::Version1 => to.write_all(bytes).is_ok(),
            Trouble::Flip(at) => {
                if (passed..passed + read).contains(&at) {
                    bytes[at - passed] ^= 0x10;
                }
                to.write_all(bytes).is_ok()
            }
            Trouble::Garbage(limit) => {
                bytes[clean(limit)..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x55);
                to.write_all(bytes).is_ok()
            }
            Trouble::Reset(limit) if passed + read > limit => {
                let _ = to.write_all(&bytes[..clean(limit)]);
                rustix::net::sockopt::set_socket_linger(&to, Some(Duration::ZERO)).unwrap();
                return; // closing it now resets it, once the other direction lets go, too
            }
            Trouble::Reset(_) => to.write_all(bytes).is_ok(),
            Trouble::Cut(limit) => to.write_all(&bytes[..clean(limit)]).is_ok() && passed + read <= limit,
            Trouble::Stall(limit) => {
                let _ = to.write_all(&bytes[..clean(limit)]);
                while passed + read > limit && *trouble.lock().unwrap() == now {
                    std::thread::sleep(Duration::from_millis(20));
                }
                passed + read <= limit
            }
            Trouble::Drip(limit) => {
                let _ = to.write_all(&bytes[..clean(limit)]);
                let mut rest = bytes[clean(limit)..].iter();
                rest.all(|byte| {
                    std::thread::sleep(Duration::from_millis(100));
                    *trouble.lock().unwrap() == now && to.write_all(&[*byte]).is_ok()
                })
            }
        };
        passed += read;
        if !ok {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// An HTTP server that answers every request by a function of it.
pub struct Canned {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// `answer` gets the request line, the headers and the body, and gives the whole response.
    pub fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Canned {
        Canned::bytes(move |request| answer(request).into_bytes())
    }

    /// The same for answers that are no text.
    pub fn bytes(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, log, answer) = (client.unwrap(), log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(client.try_clone().unwrap());
                    while let Some(request) = read_request(&mut reader) {
                        let response = answer(&request);
                        log.lock().unwrap().push(request);
                        let is_last = says_close(&response);
                        if client.write_all(&response).is_err() || is_last {
                            return;
                        }
                    }
                });
            }
        });
        Canned { port, requests }
    }

    /// The same status for everything.
    pub fn status(status: &'static str) -> Canned {
        Canned::start(move |_| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    }

    /// A status and a body for everything.
    pub fn answer(status: &str, body: &str) -> Canned {
        let response = response(status, body);
        Canned::start(move |_| response.clone())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Status and body of a GET.
pub fn get(port: u16, path: &str) -> (u16, String) {
    request(port, &format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"))
}

pub fn request(port: u16, text: &str) -> (u16, String) {
    let mut stream = super::eventually("the server", || TcpStream::connect(("127.0.0.1", port)).ok());
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A whole response.
pub fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Whether a response is the last on its connection.
fn says_close(response: &[u8]) -> bool {
    let head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(response.len());
    String::from_utf8_lossy(&response[..head]).to_lowercase().contains("\r\nconnection: close")
}

fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let head = read_head(reader)?;
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = Vec::new();
    let _ = reader.take(length.unwrap_or(0)).read_to_end(&mut body);
    Some(head + &String::from_utf8_lossy(&body))
}

fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        match reader.read_line(&mut head) {
            Ok(1..) if head[before..].trim().is_empty() => return Some(head),
            Ok(1..) => {}
            _ => return None,
        }
    }
}

/// A header of a request; empty where there is none.
pub fn header(request: &str, name: &str) -> String {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// What a server sees of a user and a password.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
