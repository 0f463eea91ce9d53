//! NATS JetStream.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sync_core::HttpRequest;
use sync_relay::engine::{Engine, Login, Revision, Swap};
use tempfile::TempDir;

use crate::behaviours;
use crate::support::{
    Pack, Place, Process, await_port, eventually, free_port, installed, interrupt, packaged,
};

/// The versions of the server: Debian 12's, and a new one.
pub fn versions() -> [PathBuf; 2] {
    [packaged("/usr/sbin/nats-server", "nats-server"), installed("nats-server")]
}

/// A server alone.
pub struct NatsServer {
    pub port: u16,
    dir: TempDir,
    program: PathBuf,
    pub arguments: Vec<String>,
    process: Process,
}

impl NatsServer {
    pub fn start(program: &PathBuf, arguments: &[&str]) -> NatsServer {
        NatsServer::start_at(program, free_port(), arguments)
    }

    pub fn start_at(program: &PathBuf, port: u16, arguments: &[&str]) -> NatsServer {
        let dir = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        let process = run(program, port, &dir, &arguments);
        NatsServer { port, dir, program: program.clone(), arguments, process }
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn restart(&mut self) {
        self.process = run(&self.program, self.port, &self.dir, &self.arguments);
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn place(&self) -> Place {
        Place::new(self.url(), Login::None)
    }
}

fn run(program: &PathBuf, port: u16, dir: &TempDir, arguments: &[String]) -> Process {
    let mut command = Command::new(program);
    command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(dir.path()).args(arguments);
    command.envs([("FEEDER_PASSWORD", "feeder-word"), ("POD_PASSWORD", "pod-word")]);
    let process = Process::start(&mut command);
    await_port(port);
    process
}

#[test]
fn it_behaves_as_all_do() {
    for program in versions() {
        behaviours::check(&NatsServer::start(&program, &[]).place());
    }
}

#[test]
fn news_come_without_a_request_and_again_after_a_restart() {
    for program in versions() {
        let mut server = NatsServer::start(&program, &[]);
        let (place, feeding, interrupt) = (server.place(), server.place(), interrupt());
        let (mut follower, mut feeder) = (place.engine("a"), feeding.engine("a"));
        feeder.prepare(&interrupt).unwrap();
        assert_eq!(follower.tip(&interrupt).unwrap(), None);
        let first = swap(feeder.as_mut(), b"one", None);
        let rung = eventually("a bell", || Some(place.bell.count()).filter(|count| *count > 1));
        // The server is silent, so what is read was there.
        server.process.signal(Signal::STOP);
        assert_eq!(follower.tip(&interrupt).unwrap().unwrap().revision, first);
        server.process.signal(Signal::CONT);
        server.kill();
        eventually("no connection", || (!follower.is_connected()).then_some(()));
        server.restart();
        eventually("another bell", || (place.bell.count() > rung).then_some(()));
        eventually("a connection", || feeder.is_connected().then_some(()));
        assert_eq!(follower.tip(&interrupt).unwrap().unwrap().bytes, b"one");
        let rung = place.bell.count();
        swap(feeder.as_mut(), b"two", Some(&first));
        eventually("one more bell", || (place.bell.count() > rung).then_some(()));
        assert_eq!(follower.tip(&interrupt).unwrap().unwrap().bytes, b"two");
    }
}

#[track_caller]
fn swap(engine: &mut dyn Engine, tip: &[u8], expected: Option<&Revision>) -> Revision {
    match engine.swap(tip, expected, &interrupt()).unwrap() {
        Swap::Done(revision) => revision,
        Swap::Lost => panic!("the swap was lost"),
    }
}

#[test]
#[ignore = "a measurement"]
fn reading_a_large_pack() {
    for program in versions() {
        let server = NatsServer::start(&program, &[]);
        let mut engine = server.place().engine("a");
        let mut pack = Pack::of(100_000_000, 1);
        let started = Instant::now();
        pack.put(engine.as_mut()).unwrap();
        let written = started.elapsed();
        for _ in 0..3 {
            let started = Instant::now();
            pack.assert_read(engine.as_mut());
            println!("100 MB written in {written:?}, read in {:?}", started.elapsed());
        }
    }
}

#[test]
fn another_client_reads_and_deletes_what_is_stored() {
    for program in versions() {
        let server = NatsServer::start(&program, &[]);
        let (mut engine, mut pack) = (server.place().engine("a"), Pack::of(300_000, 5));
        engine.prepare(&interrupt()).unwrap();
        let revision = swap(engine.as_mut(), b"text", None);
        pack.put(engine.as_mut()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/read_bucket.py");
        let object = format!("a/{}.pack", pack.name);
        let mut python = Command::new(installed("python"));
        let output = python.args([script, &server.url(), &object, "tip.a"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected = format!("listed {object} 300000 3\nread {}\nkey text {}\n", pack.name, revision.0);
        assert_eq!(said, expected);
        // It left a mark of the deletion.
        assert_eq!(engine.packs(&interrupt()).unwrap(), []);
        assert_eq!(pack.get(engine.as_mut()).unwrap_err().kind(), ErrorKind::NotFound);
        pack.put(engine.as_mut()).unwrap();
        pack.assert_read(engine.as_mut());
    }
}

#[test]
fn chunks_of_packs_that_were_written_at_once_are_told_apart() {
    for program in versions() {
        let server = NatsServer::start(&program, &[]);
        let place = server.place();
        place.engine("a").prepare(&interrupt()).unwrap();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let place = &place;
                scope.spawn(move || {
                    let (mut engine, mut pack) = (place.engine("a"), Pack::of(6_000_000, seed));
                    pack.put(engine.as_mut()).unwrap();
                    pack.assert_read(engine.as_mut());
                });
            }
        });
        let mut engine = place.engine("a");
        assert_eq!(engine.packs(&interrupt()).unwrap().len(), 4);
        (0..4).for_each(|seed| Pack::of(6_000_000, seed).assert_read(engine.as_mut()));
    }
}

#[test]
fn clones_of_an_access_share_a_connection() {
    for program in versions() {
        let monitor = free_port();
        let server = NatsServer::start(&program, &["-m", &monitor.to_string()]);
        let (place, other) = (server.place(), server.place());
        let mut engines = ["a", "b", "c"].map(|name| place.engine(name));
        engines[0].prepare(&interrupt()).unwrap();
        for engine in &mut engines {
            engine.tip(&interrupt()).unwrap();
            assert!(engine.is_connected() && engine.tells_news());
        }
        assert_eq!(connections(monitor), 1);
        other.engine("a").tip(&interrupt()).unwrap();
        let rung = place.bell.count();
        swap(engines[1].as_mut(), b"one", None);
        eventually("a bell", || (place.bell.count() > rung).then_some(()));
        drop(engines);
        eventually("no connection", || (connections(monitor) == 0).then_some(()));
    }
}

/// How many there are, as the server says.
fn connections(monitor: u16) -> u64 {
    let url = format!("http://127.0.0.1:{monitor}/connz");
    let request = HttpRequest::new("GET", url, Duration::from_secs(5));
    let (_, answer) = request.send(&Default::default(), &interrupt()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    value["num_connections"].as_u64().unwrap()
}
