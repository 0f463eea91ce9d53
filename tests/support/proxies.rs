//! Stock proxies on loopback, and one that leads every name to one server.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use super::servers::{Quiet, await_port, free_port};

/// A process that ends with its owner.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, port: u16) -> Server {
        let server = Server(command.quiet().spawn().expect("the package is installed"));
        await_port(port);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An HTTP proxy that wants a login: `pu`, `pp`.
pub struct Tinyproxy {
    _server: Server,
    pub port: u16,
}

impl Tinyproxy {
    pub fn start(dir: &Path) -> Tinyproxy {
        let port = free_port();
        let file = dir.join("tinyproxy.conf");
        std::fs::write(&file, format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth pu pp\n"))
            .unwrap();
        let server = Server::start(Command::new("tinyproxy").arg("-d").arg("-c").arg(file), port);
        Tinyproxy { _server: server, port }
    }

    pub fn url(&self) -> String {
        format!("http://pu:pp@127.0.0.1:{}", self.port)
    }
}

/// A SOCKS5 proxy that wants a login: `pu`, `pp`.
pub struct Microsocks {
    _server: Server,
    port: u16,
}

impl Microsocks {
    pub fn start() -> Microsocks {
        let port = free_port();
        let args = ["-i", "127.0.0.1", "-u", "pu", "-P", "pp", "-p"];
        let server = Server::start(Command::new("microsocks").args(args).arg(port.to_string()), port);
        Microsocks { _server: server, port }
    }

    pub fn url(&self) -> String {
        format!("socks5h://pu:pp@127.0.0.1:{}", self.port)
    }
}

/// TLS in front of a port.
pub struct TlsFront {
    _server: Server,
    pub port: u16,
}

impl TlsFront {
    pub fn start(target: u16, certificate: &Path, key: &Path) -> TlsFront {
        let port = free_port();
        let listen = format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,verify=0,cert={},key={}",
            certificate.display(),
            key.display()
        );
        let mut socat = Command::new("socat");
        let server = Server::start(socat.arg(listen).arg(format!("TCP:127.0.0.1:{target}")), port);
        TlsFront { _server: server, port }
    }
}

/// An HTTP proxy that leads every name to one server on this machine.
pub struct Guide {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Guide {
    pub fn start(server: u16) -> Guide {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let log = log.clone();
                std::thread::spawn(move || guide(client.unwrap(), server, &log));
            }
        });
        Guide { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first line of the first request of every connection.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn guide(client: TcpStream, server: u16, log: &Mutex<Vec<String>>) {
    let mut from = BufReader::new(client.try_clone().unwrap());
    let mut to = TcpStream::connect(("127.0.0.1", server)).unwrap();
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    log.lock().unwrap().push(line.trim().to_owned());
    let (mut back, mut client) = (to.try_clone().unwrap(), client);
    if line.starts_with("CONNECT ") {
        let mut field = String::new();
        while from.read_line(&mut field).unwrap() > 2 {
            field.clear();
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    } else {
        to.write_all(line.as_bytes()).unwrap();
    }
    std::thread::spawn(move || std::io::copy(&mut back, &mut client));
    let _ = std::io::copy(&mut from, &mut to);
}
