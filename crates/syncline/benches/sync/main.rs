//! syncline beside stock git doing what git-sync does: first sync, poll, one changed file.
//!
//! `scripts/bench` builds the binary that ships and runs this with it. By hand:
//! `cargo bench --profile dist -- [--binary PATH] [--rounds N] [--dir DIR] [--quick]`.
//! Makes its own repositories, serves them by nginx and git http-backend on loopback, alternates the two
//! programs, and prints medians. The servers' work is in the walls but not in the CPU and memory columns.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[allow(dead_code, unused_imports)]
#[path = "../../../../tests/support/mod.rs"]
mod support;

mod peer;
mod repositories;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Nginx, git};
use wait4::Wait4;

use crate::peer::GitSync;
use crate::repositories::Repository;

/// What one run of something cost.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    /// The largest process, in bytes.
    pub memory: u64,
}

impl Cost {
    fn plus(self, other: Cost) -> Cost {
        Cost {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            memory: self.memory.max(other.memory),
        }
    }
}

/// Run a command to its end.
pub fn run(command: &mut Command) -> Cost {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}: {}", used.status);
    Cost { wall: started.elapsed(), cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss }
}

struct Options {
    binary: PathBuf,
    rounds: usize,
    dir: PathBuf,
    quick: bool,
}

impl Options {
    fn parse() -> Options {
        let mut options = Options {
            binary: env!("CARGO_BIN_EXE_syncline").into(),
            rounds: 5,
            dir: std::env::temp_dir(),
            quick: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                "--binary" => options.binary = fs::canonicalize(value()).unwrap(),
                "--rounds" => options.rounds = value().parse().unwrap(),
                "--dir" => options.dir = value().into(),
                "--quick" => options.quick = true,
                "--bench" => {} // cargo's own
                _ => panic!("unknown option {argument}"),
            }
        }
        options
    }
}

fn main() {
    let options = Options::parse();
    let base = tempfile::Builder::new().prefix("syncline-bench-").tempdir_in(&options.dir).unwrap();
    let nginx = Nginx::start(base.path());
    let bench = Bench { base: base.path(), nginx: &nginx, options: &options };
    println!("syncline: {}", options.binary.display());
    println!("peer: {}, with the commands of git-sync", git(base.path(), &["--version"]));
    println!("in {}, {} rounds, medians\n", base.path().display(), options.rounds);
    println!(
        "| repository | case | measure | syncline | git | ratio |\n| --- | --- | --- | ---: | ---: | ---: |"
    );
    let small = Repository::files(base.path(), "small", 20);
    bench.all(&small);
    if !options.quick {
        bench.all(&Repository::files(base.path(), "large", 60_000));
        bench.first_sync(&Repository::history(base.path(), "history", 5_000), 0);
    }
}

struct Bench<'a> {
    base: &'a Path,
    nginx: &'a Nginx,
    options: &'a Options,
}

impl Bench<'_> {
    fn all(&self, repository: &Repository) {
        self.first_sync(repository, 1);
        self.poll(repository);
        self.change(repository);
    }

    fn url(&self, repository: &Repository) -> String {
        self.nginx.url(&repository.name)
    }

    fn syncline(&self, repository: &Repository, root: &Path) -> Command {
        let mut command = Command::new(&self.options.binary);
        command.env_clear().arg(format!("--repo={}", self.url(repository)));
        command.arg(format!("--root={}", root.display())).arg("--link=link");
        command
    }

    fn fresh(&self, name: &str) -> PathBuf {
        let root = self.base.join(name);
        let _ = fs::remove_dir_all(&root);
        root
    }

    fn first_sync(&self, repository: &Repository, depth: u32) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let root = self.fresh("ours");
            ours.push(run(self
                .syncline(repository, &root)
                .arg("--one-time")
                .arg(format!("--depth={depth}"))));
            let mut peer = GitSync::new(self.fresh("theirs"), self.url(repository), depth);
            theirs.push(peer.first_sync());
        }
        let case = if depth == 0 { "first sync, whole history" } else { "first sync" };
        row(repository, case, "wall", seconds, (median(&ours, wall), median(&theirs, wall)));
        row(repository, case, "CPU", seconds, (median(&ours, cpu), median(&theirs, cpu)));
        row(repository, case, "peak memory", mebibytes, (median(&ours, memory), median(&theirs, memory)));
    }

    fn poll(&self, repository: &Repository) {
        const POLLS: u32 = 200;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut wire = [(0.0, 0.0, 0.0); 2];
        for _ in 0..self.options.rounds {
            let process = Process::start(self.syncline(repository, &self.fresh("ours")).arg("--period=10ms"));
            process.wait_for_link(&self.base.join("ours/link"), &repository.head());
            std::thread::sleep(Duration::from_millis(200));
            let (before, cpu_before) = (self.nginx.requests().len(), process.cpu());
            while self.nginx.requests().len() < before + POLLS as usize {
                std::thread::sleep(Duration::from_millis(50));
            }
            let cpu = process.cpu() - cpu_before;
            wire[0] = self.wire(before, None);
            let polls = self.nginx.requests().len() - before;
            ours.push(Cost { cpu: cpu / polls as u32, memory: process.resident(), ..Cost::default() });
            drop(process);

            let mut peer = GitSync::new(self.fresh("theirs"), self.url(repository), 1);
            peer.first_sync();
            let before = self.nginx.requests().len();
            let polls = 3;
            let cost = (0..polls).map(|_| peer.poll()).fold(Cost::default(), Cost::plus);
            wire[1] = self.wire(before, Some(polls));
            theirs.push(Cost { cpu: cost.cpu / polls, ..cost });
        }
        row(repository, "poll", "CPU", milliseconds, (median(&ours, cpu), median(&theirs, cpu)));
        row(
            repository,
            "poll",
            "resident memory",
            mebibytes,
            (median(&ours, memory), median(&theirs, memory)),
        );
        row(repository, "poll", "requests", plain, (wire[0].0, wire[1].0));
        row(repository, "poll", "bytes up", plain, (wire[0].1, wire[1].1));
        row(repository, "poll", "bytes down", plain, (wire[0].2, wire[1].2));
    }

    /// Requests, bytes up and bytes down of each poll; a poll of ours is one request, as the tests show.
    fn wire(&self, before: usize, polls: Option<u32>) -> (f64, f64, f64) {
        let requests = self.nginx.requests();
        let requests = &requests[before..];
        let polls = polls.map_or(requests.len() as f64, f64::from);
        let sum = |field: usize| -> f64 {
            requests.iter().map(|line| line.split(' ').nth(field).unwrap().parse::<f64>().unwrap()).sum()
        };
        (requests.len() as f64 / polls, sum(4) / polls, sum(5) / polls)
    }

    fn change(&self, repository: &Repository) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..self.options.rounds {
            let link = self.base.join("ours/link");
            let process = Process::start(self.syncline(repository, &self.fresh("ours")).arg("--period=10ms"));
            process.wait_for_link(&link, &repository.head());
            std::thread::sleep(Duration::from_millis(500));
            let next = repository.prepare_change(&format!("ours {round}"));
            let (started, cpu) = (Instant::now(), process.cpu());
            repository.publish(&next);
            process.wait_for_link(&link, &next);
            let wall = started.elapsed();
            std::thread::sleep(Duration::from_millis(500)); // pruning counts too
            ours.push(Cost { wall, cpu: process.cpu() - cpu, ..Cost::default() });
            drop(process);

            let mut peer = GitSync::new(self.fresh("theirs"), self.url(repository), 1);
            peer.first_sync();
            repository.publish(&repository.prepare_change(&format!("theirs {round}")));
            theirs.push(peer.change());
        }
        row(
            repository,
            "one changed file",
            "until the flip",
            seconds,
            (median(&ours, wall), median(&theirs, wall)),
        );
        row(repository, "one changed file", "CPU", seconds, (median(&ours, cpu), median(&theirs, cpu)));
    }
}

/// syncline running on.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Process {
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap()
    }

    /// In steps of 10 ms, as the kernel tells it.
    fn cpu(&self) -> Duration {
        let stat = self.proc_file("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
    }

    fn resident(&self) -> u64 {
        let status = self.proc_file("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    fn wait_for_link(&self, link: &Path, commit: &str) {
        while !fs::read_link(link).is_ok_and(|target| target.ends_with(commit)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn wall(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64()
}

fn cpu(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64()
}

fn memory(cost: &Cost) -> f64 {
    cost.memory as f64
}

fn median(costs: &[Cost], measure: fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(measure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn seconds(value: f64) -> String {
    format!("{value:.3} s")
}

fn milliseconds(value: f64) -> String {
    format!("{:.2} ms", value * 1e3)
}

fn mebibytes(value: f64) -> String {
    format!("{:.1} MiB", value / (1 << 20) as f64)
}

fn plain(value: f64) -> String {
    format!("{value:.0}")
}

fn row(
    repository: &Repository,
    case: &str,
    measure: &str,
    form: fn(f64) -> String,
    (ours, theirs): (f64, f64),
) {
    println!(
        "| {} | {case} | {measure} | {} | {} | {:.3} |",
        repository.label(),
        form(ours),
        form(theirs),
        ours / theirs
    );
}
