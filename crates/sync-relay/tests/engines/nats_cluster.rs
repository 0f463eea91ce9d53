//! A cluster of three, whose members are killed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sync_core::HttpRequest;
use sync_relay::engine::{Engine, Login, Swap};
use tempfile::TempDir;

use crate::behaviours;
use crate::nats::versions;
use crate::support::{Pack, Place, Process, await_port, eventually, free_port, interrupt};

struct Member {
    port: u16,
    monitor: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

struct Cluster {
    program: PathBuf,
    members: Vec<Member>,
    _dir: TempDir,
}

impl Cluster {
    fn start(program: &Path) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let routes: Vec<String> = (0..3).map(|_| format!("nats://127.0.0.1:{}", free_port())).collect();
        let member = |number: usize| {
            let (port, monitor) = (free_port(), free_port());
            let (name, store) = (format!("n{number}"), dir.path().join(number.to_string()));
            let mut arguments = vec!["-js".to_owned(), "-a".into(), "127.0.0.1".into()];
            let store = store.display().to_string();
            let (port_text, monitor_text, all) = (port.to_string(), monitor.to_string(), routes.join(","));
            for (option, value) in [
                ("-p", port_text.as_str()),
                ("-m", &monitor_text),
                ("-sd", &store),
                ("-n", &name),
                ("--cluster_name", "c"),
                ("--cluster", &routes[number]),
                ("--routes", &all),
            ] {
                arguments.extend([option.to_owned(), value.to_owned()]);
            }
            Member { port, monitor, arguments, process: None }
        };
        let members = (0..3).map(member).collect();
        let mut cluster = Cluster { program: program.into(), members, _dir: dir };
        (0..3).for_each(|number| cluster.run(number));
        cluster
    }

    fn run(&mut self, number: usize) {
        let member = &mut self.members[number];
        member.process = Some(Process::start(Command::new(&self.program).args(&member.arguments)));
        await_port(member.port);
    }

    fn kill(&mut self, number: usize) {
        self.members[number].process = None;
    }

    fn place(&self) -> Place {
        let urls: Vec<String> =
            self.members.iter().map(|member| format!("nats://127.0.0.1:{}", member.port)).collect();
        Place::new(urls.join(","), Login::None)
    }

    /// An engine that has its streams: the cluster elects its leaders first.
    fn ready(&self, place: &Place) -> Box<dyn Engine> {
        let mut engine = place.engine("a");
        eventually("streams", || engine.prepare(&interrupt()).ok());
        engine
    }

    /// The member that leads a stream, once both others have all of it.
    fn leader(&self, stream: &str) -> usize {
        let leads = |(number, member): (usize, &Member)| {
            let url = format!("http://127.0.0.1:{}/jsz?accounts=1&streams=1", member.monitor);
            let request = HttpRequest::new("GET", url, Duration::from_secs(5));
            let answer = request.send(&Default::default(), &interrupt()).ok()?;
            let value: serde_json::Value = serde_json::from_slice(&answer.1).ok()?;
            let streams = value["account_details"][0]["stream_detail"].as_array()?.clone();
            let cluster = &streams.iter().find(|detail| detail["name"] == stream)?["cluster"];
            let others = cluster["replicas"].as_array()?;
            let is_whole = others.len() == 2 && others.iter().all(|other| other["current"] == true);
            (is_whole && cluster["leader"] == format!("n{number}")).then_some(number)
        };
        eventually("a leader", || self.members.iter().enumerate().find_map(leads))
    }
}

#[test]
fn it_behaves_as_all_do() {
    // A cluster of 2.9 accepts two swaps at the same time, of which the second wins.
    let left_out = [&["two-feeders-do-not-overwrite-each-other"][..], &[]];
    for (program, left_out) in versions().into_iter().zip(left_out) {
        let cluster = Cluster::start(&program);
        let place = cluster.place();
        cluster.ready(&place);
        behaviours::check_but_for(left_out, &place);
    }
}

/// Try until it is done, as a feeder does; errors on the way are of a connection.
fn until_done<T>(what: &str, mut work: impl FnMut() -> std::io::Result<T>) -> T {
    eventually(what, || match work() {
        Ok(done) => Some(done),
        Err(err) => {
            assert_eq!(err.kind(), ErrorKind::NotConnected, "{err}");
            std::thread::sleep(Duration::from_millis(100));
            None
        }
    })
}

#[test]
fn the_leader_may_die_while_a_pack_is_written_and_while_it_is_read() {
    for program in versions() {
        let mut cluster = Cluster::start(&program);
        let place = cluster.place();
        let mut engine = cluster.ready(&place);
        let (mut pack, leader) = (Pack::of(60_000_000, 1), cluster.leader("OBJ_syncline"));
        let started = Instant::now();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| until_done("a pack", || pack.put(engine.as_mut())));
            std::thread::sleep(Duration::from_millis(150));
            cluster.kill(leader);
            writer.join().unwrap();
        });
        println!("written after {:?}", started.elapsed());
        let record = until_done("a tip", || engine.swap(b"one", None, &interrupt()));
        assert!(matches!(record, Swap::Done(_)));
        cluster.run(leader);
        let mut follower = place.engine("a");
        until_done("a read", || follower.tip(&interrupt()));
        let leader = cluster.leader("OBJ_syncline");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| until_done("a read", || pack.get(follower.as_mut())));
            std::thread::sleep(Duration::from_millis(50));
            cluster.kill(leader);
            assert!(reader.join().unwrap() == pack.bytes);
        });
    }
}

#[test]
fn swaps_go_on_after_the_leader_died() {
    for program in versions() {
        let mut cluster = Cluster::start(&program);
        let place = cluster.place();
        let mut engine = cluster.ready(&place);
        let mut follower = cluster.place().engine("a");
        let Swap::Done(mut revision) = engine.swap(b"0", None, &interrupt()).unwrap() else { panic!() };
        for number in 1..=3 {
            let leader = cluster.leader("KV_syncline");
            cluster.kill(leader);
            let started = Instant::now();
            let tip = number.to_string();
            let swap = until_done("a swap", || engine.swap(tip.as_bytes(), Some(&revision), &interrupt()));
            let Swap::Done(new) = swap else { panic!("lost") };
            println!("swapped after {:?}", started.elapsed());
            revision = new;
            eventually("the tip", || {
                let record = follower.tip(&interrupt()).ok().flatten()?;
                (record.bytes == tip.as_bytes()).then_some(())
            });
            cluster.run(leader);
        }
    }
}
