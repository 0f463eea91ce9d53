//! A link with a bandwidth and a delay, in front of a server: a proxy on loopback that holds bytes back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// The link to a server.
pub struct SlowLink {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

/// One direction of the link.
#[derive(Clone)]
struct Direction {
    delay: Duration,
    bytes_per_second: f64,
    /// When the last byte of what was sent so far has left.
    free_at: Arc<Mutex<Instant>>,
}

impl SlowLink {
    /// To the server at a port of this machine. It runs until the program ends.
    pub fn to(server: u16, bytes_per_second: f64, round_trip: Duration) -> SlowLink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let direction = || {
            let free_at = Arc::new(Mutex::new(Instant::now()));
            Direction { delay: round_trip / 2, bytes_per_second, free_at }
        };
        let (up, down) = (direction(), direction());
        spawn(move || {
            for client in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                // The handshake of TCP takes a round trip before the first byte of the client leaves.
                let ready = Instant::now() + round_trip;
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), up.clone(), ready);
                carry(server, client, down.clone(), ready);
            }
        });
        SlowLink { port, connections }
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, direction: Direction, ready: Instant) {
    // As much as a usual window.
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(256);
    to.set_nodelay(true).unwrap();
    spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let due = {
                let mut free_at = direction.free_at.lock().unwrap();
                let took = Duration::from_secs_f64(read as f64 / direction.bytes_per_second);
                *free_at = (*free_at).max(Instant::now()).max(ready) + took;
                *free_at + direction.delay
            };
            if sender.send((due, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    spawn(move || {
        for (due, bytes) in receiver {
            sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
