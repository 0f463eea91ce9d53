//! Push hooks: from a hook to the flip, and what many of them cost.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::measure::{Process, mebibytes, milliseconds, plain, wait_until};
use crate::repositories::Repository;
use crate::support::{Nginx, free_port};

const SECRET: &str = "the secret of the benchmark";

pub fn print(base: &Path, nginx: &Nginx, binary: &Path, quick: bool) {
    let repository = Repository::files(base, 20);
    fs::write(base.join("secret"), SECRET).unwrap();
    let (port, root) = (free_port(), base.join("hooked"));
    let mut syncline = Command::new(binary);
    syncline.env_clear().args(["--link=link", "--period=1h", "--ref=main"]);
    syncline.arg(format!("--repo={}", nginx.url(&repository.name))).arg(format!("--root={}", root.display()));
    syncline.arg(format!("--receive-bind=127.0.0.1:{port}"));
    syncline.arg(format!("--receive-secret-file={}", base.join("secret").display()));
    let process = Process::start(&mut syncline);
    wait_until(|| root.join("link").exists());

    println!("Push hooks, a repository of 20 files\n");
    println!("| measure | value |\n| --- | ---: |");
    let mut times: Vec<f64> = (0..if quick { 5 } else { 200 })
        .map(|_| {
            let commit = repository.prepare_change(1);
            repository.publish(&commit);
            let sent = Instant::now();
            post(port, &format!("Authorization: Bearer {SECRET}\r\n"), b"");
            process.wait_for_link(&root.join("link"), &commit);
            let took = sent.elapsed().as_secs_f64();
            std::thread::sleep(Duration::from_millis(1100)); // a burst is held back
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!("| from a hook to the flip, median | {} |", milliseconds(at(0.5)));
    println!("| from a hook to the flip, p99 | {} |", milliseconds(at(0.99)));

    let time = Duration::from_secs(if quick { 1 } else { 10 });
    flood("genuine", nginx, &process, time, Some(Duration::from_millis(1)), || {
        post(port, &format!("Authorization: Bearer {SECRET}\r\n"), b"")
    });
    let wrong = format!("X-Hub-Signature-256: sha256={}\r\n", "0".repeat(64));
    let body = vec![b' '; 1 << 20];
    flood("denied, with 1 MiB", nginx, &process, time, None, || post(port, &wrong, &body));
    println!();
}

/// As many hooks as there is time for, at this distance.
fn flood(
    what: &str,
    nginx: &Nginx,
    process: &Process,
    time: Duration,
    distance: Option<Duration>,
    send: impl Fn(),
) {
    let looks = || nginx.requests().len();
    let (cpu, resident, before, began) = (process.cpu(), process.resident(), looks(), Instant::now());
    let mut count = 0_u32;
    while began.elapsed() < time {
        send();
        count += 1;
        let due = began + distance.unwrap_or_default() * count;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (cpu, looks) = ((process.cpu() - cpu).as_secs_f64(), (looks() - before) as f64);
    let a_second = f64::from(count) / began.elapsed().as_secs_f64();
    println!("| hooks a second, {what} | {} |", plain(a_second));
    println!("| CPU of a hook, {what} | {} |", milliseconds(cpu / f64::from(count)));
    println!("| requests to the server in {time:?}, {what} | {} |", plain(looks));
    let grown = process.resident().saturating_sub(resident);
    println!("| resident memory more than before, {what} | {} |", mebibytes(grown as f64));
}

fn post(port: u16, headers: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.read_to_end(&mut Vec::new());
}
