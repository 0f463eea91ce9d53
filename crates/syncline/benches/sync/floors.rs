//! What nobody can do without: the pack has to be read, a tree of unchanged files has to be linked, or looked at.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::repositories::Repository;
use crate::support::walk;

/// A request of protocol v2.
pub fn request(command: &str, arguments: &[&str]) -> String {
    let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
    let arguments: String = arguments.iter().map(|text| line(text)).collect();
    format!("{}0001{arguments}0000", line(&format!("command={command}")))
}

/// Make a request. The headers of the answer are read.
pub fn post(port: u16, repository: &str, command: &str, arguments: &[&str]) -> BufReader<TcpStream> {
    let body = request(command, arguments);
    let head = format!(
        "POST /{repository}/git-upload-pack HTTP/1.0\r\nGit-Protocol: version=2\r\n\
         Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = BufReader::with_capacity(64 * 1024, server);
    let (mut line, mut is_ok) = (String::new(), false);
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).unwrap();
        is_ok |= line.starts_with("HTTP/1.1 200 ");
    }
    assert!(is_ok);
    answer
}

/// Ask for the pack of a first sync, read it and do nothing with it.
pub fn read_pack(port: u16, repository: &Repository, depth: u32) -> Duration {
    let (want, deepen) = (format!("want {}", repository.head()), format!("deepen {depth}"));
    let mut arguments = vec!["ofs-delta", "no-progress", &want, "done"];
    if depth > 0 {
        arguments.push(&deepen);
    }
    let started = Instant::now();
    let mut server = post(port, &repository.name, "fetch", &arguments);
    let (mut buffer, mut start) = (vec![0; 64 * 1024], Vec::new());
    while let read @ 1.. = server.read(&mut buffer).unwrap() {
        if start.len() < 4096 {
            start.extend_from_slice(&buffer[..read]);
        }
    }
    let took = started.elapsed();
    assert!(start.windows(8).any(|bytes| bytes == b"packfile"), "{}", String::from_utf8_lossy(&start));
    took
}

/// Make a tree of hard links beside another, on all cores; then look at each of its files. How long each took.
pub fn link_and_look(from: &Path, to: &Path) -> [Duration; 2] {
    let (mut dirs, mut files) = (vec![to.to_owned()], Vec::new());
    walk(from, &mut |path| {
        let new = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() { dirs.push(new) } else { files.push((path.to_owned(), new)) }
    });
    let started = Instant::now();
    dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    on_all_cores(&files, |(from, to)| fs::hard_link(from, to).unwrap());
    let linked = started.elapsed();
    on_all_cores(&files, |(_, to)| assert!(fs::symlink_metadata(to).unwrap().is_file()));
    [linked, started.elapsed() - linked]
}

fn on_all_cores<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let cores = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for share in all.chunks(all.len().div_ceil(cores)) {
            scope.spawn(|| share.iter().for_each(&work));
        }
    });
}
