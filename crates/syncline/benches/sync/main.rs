//! syncline beside stock git doing what git-sync does: first sync, poll, changed files, and how that grows; and
//! many synclines at one server.
//!
//! `scripts/bench` builds the binary that ships and runs this with it. By hand:
//! `cargo bench --profile dist --bench sync -- --binary PATH`. The options:
//!
//! - `--rounds N`: medians of so many (5).
//! - `--dir DIR`: where to work. A tmpfs shows the programs, a disk shows the file system as well.
//! - `--quick`: everything small, to see that it works.
//! - `--only CASE`: `first-sync`, `restart`, `poll`, `link`, `choice`, `change`, `repack`, `rules`, `verify`, `lfs` or, only
//!   if named, `disk`: a disk of 100 operations a second, which needs root.
//! - `--curves DIR`: instead, how costs grow with the number of files; the charts are written to DIR.
//! - `--fleet N`: instead, this many synclines at one server.
//! - `--relay`: instead, a fleet behind a relay.
//! - `--many`: instead, many repositories in one process, beside as many processes.
//! - `--scale N`: instead, so many small files, and a selection of a thousandth of them.
//! - `--history N`: instead, so many objects of history; `--only syncline` leaves out git.
//! - `--hooks`: instead, push hooks: how soon a push is published, and what many hooks cost.
//!
//! Makes its own repositories, serves them by nginx and git http-backend on loopback, alternates the two
//! programs, and prints tables in Markdown. The servers' work is in the walls but not in the CPU and memory columns.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[allow(dead_code, unused_imports)]
#[path = "../../../../tests/support/mod.rs"]
mod support;

mod cases;
mod chart;
mod curves;
mod disk;
mod fleet;
mod floor_client;
mod floors;
mod history;
mod hooks;
mod lfs;
mod life;
mod many;
mod measure;
mod peer;
mod relay;
mod repositories;
mod scale;
mod signatures;
mod slow_disk;
mod slow_link;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Nginx, git};

use crate::cases::{Bench, Change, Changes, Wire};
use crate::measure::{alone, costs, header, is_tmpfs, mebibytes, milliseconds, plain, row, seconds};
use crate::repositories::Repository;
use crate::slow_link::SlowLink;

struct Options {
    binary: PathBuf,
    rounds: usize,
    dir: PathBuf,
    quick: bool,
    only: Option<String>,
    curves: Option<PathBuf>,
    fleet: Option<usize>,
    many: bool,
    relay: bool,
    hooks: bool,
    scale: Option<usize>,
    history: Option<usize>,
}

impl Options {
    fn parse() -> Options {
        let mut options = Options {
            binary: env!("CARGO_BIN_EXE_syncline").into(),
            rounds: 5,
            dir: std::env::temp_dir(),
            quick: false,
            only: None,
            curves: None,
            fleet: None,
            many: false,
            relay: false,
            hooks: false,
            scale: None,
            history: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                "--binary" => options.binary = place(value()),
                "--rounds" => options.rounds = value().parse().unwrap(),
                "--dir" => options.dir = place(value()),
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()),
                "--curves" => options.curves = Some(place(value())),
                "--many" => options.many = true,
                "--relay" => options.relay = true,
                "--hooks" => options.hooks = true,
                "--scale" => options.scale = Some(value().parse().unwrap()),
                "--history" => options.history = Some(value().parse().unwrap()),
                "--fleet" => options.fleet = Some(value().parse().unwrap()),
                "--bench" => {} // cargo's own
                _ => panic!("unknown option {argument}"),
            }
        }
        options
    }
}

/// Paths are seen from the workspace: cargo runs this in the package.
fn place(path: String) -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == floor_client::FLOOR) {
        return floor_client::main(&arguments[1..]);
    }
    let options = Options::parse();
    let base = tempfile::Builder::new().prefix("syncline-bench-").tempdir_in(&options.dir).unwrap();
    // The packs of a relay as plain files, beside the repositories.
    let files = format!("location ^~ /relay-files/ {{ alias {}/files/; }}", base.path().display());
    let mut nginx = Nginx::with(base.path(), 2, &files);
    let (binary, rounds) = (&options.binary, options.rounds);
    println!("{}, {rounds} rounds\n", surroundings(base.path()));
    if let Some(count) = options.fleet {
        return fleet::print(base.path(), &mut nginx, binary, count, options.quick);
    }
    if options.relay {
        return relay::print(base.path(), &nginx, binary, rounds, options.quick);
    }
    if options.many {
        return many::print(base.path(), &nginx, binary, rounds, options.quick);
    }
    if options.hooks {
        return hooks::print(base.path(), &nginx, binary, options.quick);
    }
    let bench = Bench { base: base.path(), nginx: &nginx, binary, rounds, port: nginx.port() };
    if let Some(files) = options.scale {
        return scale::print(&bench, files);
    }
    if let Some(objects) = options.history {
        return history::print(&bench, objects, options.only.as_deref() != Some("syncline"));
    }
    match &options.curves {
        Some(charts) => curves::print(&bench, options.quick, charts),
        None => table(&bench, options.quick, options.only.as_deref()),
    }
}

/// What the figures depend on.
fn surroundings(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let release = release.split('-').next().unwrap_or_default();
    let files = if is_tmpfs(dir) { "tmpfs" } else { "disk" };
    format!(
        "{cores} cores, {} {release}, {files}, {}",
        system.sysname().to_string_lossy(),
        git(dir, &["--version"])
    )
}

const FLOORS_OF_CHANGE: [&str; 2] = ["wall of only linking all files", "wall of only looking at all files"];

/// The usual cases.
fn table(bench: &Bench, quick: bool, only: Option<&str>) {
    header();
    let is_wanted = |case: &str| only.is_none_or(|only| only == case);
    let of = |size: usize, small: usize| if quick { small } else { size };
    let base = bench.base;
    for files in [20, of(60_000, 600)] {
        let repository = Repository::files(base, files);
        if is_wanted("first-sync") {
            first_sync(bench, &repository, 1);
        }
        if is_wanted("restart") {
            restart(bench, &repository);
        }
        if is_wanted("poll") {
            poll(bench, &repository);
        }
        if is_wanted("change") {
            change(bench, &repository);
        }
        if is_wanted("repack") {
            repack(bench, &repository);
        }
    }
    if is_wanted("link") {
        slow_link(bench, &Repository::files(base, of(60_000, 600)));
    }
    if only == Some("disk") {
        for files in [of(6_000, 60), of(60_000, 600)] {
            disk::print(bench, &Repository::files(base, files));
        }
    }
    if is_wanted("choice") {
        let repository = Repository::tags(base, of(10_000, 4_000));
        for range in ["*", "~3.1"] {
            choice(bench, &repository, range);
        }
        choice(bench, &Repository::tags(base, of(100_000, 5_000)), "~3.1");
    }
    if is_wanted("rules") {
        rules(bench, of(10_000, 100), of(60_000, 600));
    }
    if is_wanted("verify") {
        signatures::print(base, bench.rounds, of(1_000, 20));
        let repository = Repository::noise(base, of(50, 2), of(20, 2));
        let signers = base.join("nobody");
        fs::write(&signers, "# nobody\n").unwrap();
        let signers = format!("--verify-allowed-signers={}", signers.display());
        wire(&repository, "refused: not signed", bench.refusal(&repository, &["--verify=head", &signers]));
    }
    if is_wanted("lfs") {
        lfs::print(bench, of(1 << 30, 1 << 20), of(10_000, 200));
    }
    if is_wanted("first-sync") {
        first_sync(bench, &Repository::history(base, of(5_000, 50)), 0);
        first_sync(bench, &Repository::variants(base, of(10_000, 200)), 1);
        first_sync(bench, &Repository::noise(base, of(50, 2), of(20, 2)), 1);
    }
}

fn first_sync(bench: &Bench, repository: &Repository, depth: u32) {
    let case = if depth == 0 { "first sync, whole history" } else { "first sync" };
    costs(repository.label(), case, &bench.first_sync(repository, depth));
    let floor = alone(bench.reading(repository, depth));
    row(repository.label(), case, "wall of only reading the pack", seconds, floor);
}

/// 20 MB/s and 50 ms for a round trip.
fn slow_link(bench: &Bench, repository: &Repository) {
    let link = SlowLink::to(bench.nginx.port(), 20e6, Duration::from_millis(50));
    let slow = Bench { port: link.port, ..*bench };
    let row = |case: &str, measure, form, values| row(repository.label(), case, measure, form, values);
    let case = "first sync, 20 MB/s, 50 ms";
    let costs = slow.first_sync(repository, 1);
    row(case, "wall", seconds, costs.medians(|cost| cost.wall.as_secs_f64()));
    row(case, "CPU", seconds, costs.medians(|cost| cost.cpu.as_secs_f64()));
    let floor = slow.reading(repository, 1);
    row(case, "wall of only reading the pack", seconds, alone(floor));
    std::thread::sleep(Duration::from_secs(1)); // until the last request is in the server's log
    let (before, connections) = (bench.nginx.requests().len(), link.connections());
    slow.sync(repository, &slow.fresh("ours"));
    row(case, "requests", plain, alone(bench.wire(before, 1).requests));
    row(case, "connections", plain, alone((link.connections() - connections) as f64));
    let case = "one changed file, again, 20 MB/s, 50 ms";
    let lives = slow.changes(repository, &[1, 1, 1]);
    row(case, "until the flip", seconds, lives.medians(|life| life.changes[2].until_flip.wall.as_secs_f64()));
    row(case, "requests", plain, lives.medians(|life| life.changes[2].wire.requests));
}

fn restart(bench: &Bench, repository: &Repository) {
    let costs = bench.restart(repository);
    let row = |measure, form, values| row(repository.label(), "restart, nothing new", measure, form, values);
    row("wall", milliseconds, costs.medians(|cost| cost.wall.as_secs_f64()));
    row("CPU", milliseconds, costs.medians(|cost| cost.cpu.as_secs_f64()));
    row("peak memory", mebibytes, costs.medians(|cost| cost.memory as f64));
}

fn poll(bench: &Bench, repository: &Repository) {
    let polls = bench.poll(repository);
    let row = |measure, form, values| row(repository.label(), "poll", measure, form, values);
    row("CPU", milliseconds, polls.medians(|poll| poll.cpu.as_secs_f64()));
    row("resident memory", mebibytes, polls.medians(|poll| poll.memory as f64));
    row("requests", plain, polls.medians(|poll| poll.wire.requests));
    row("bytes up", plain, polls.medians(|poll| poll.wire.up));
    row("bytes down", plain, polls.medians(|poll| poll.wire.down));
}

fn choice(bench: &Bench, repository: &Repository, range: &str) {
    let choices = bench.choice(repository, range);
    let case = format!("choose in {range}");
    let row = |measure, form, values| row(repository.label(), &case, measure, form, values);
    row("wall of a process", milliseconds, choices.medians(|choice| choice.process.wall.as_secs_f64()));
    row("CPU of a process", milliseconds, choices.medians(|choice| choice.process.cpu.as_secs_f64()));
    row("CPU of a poll", milliseconds, choices.medians(|choice| choice.poll.cpu.as_secs_f64()));
    row("resident memory", mebibytes, choices.medians(|choice| choice.poll.memory as f64));
    row("bytes up", plain, choices.medians(|choice| choice.poll.wire.up));
    row("bytes down", plain, choices.medians(|choice| choice.poll.wire.down));
}

/// A published commit that is a few, or many, commits behind; and one that nobody waits for.
fn rules(bench: &Bench, most: usize, files: usize) {
    for commits in [1, 100, most] {
        let repository = Repository::files(bench.base, 30);
        let (seconds_taken, sent) = bench.descent(&repository, commits);
        let case = format!("--forward-only, {commits} behind");
        row(repository.label(), &case, "wall", seconds, alone(seconds_taken));
        wire(&repository, &case, sent);
    }
    let repository = Repository::files(bench.base, files);
    let (cost, sent) = bench.unwatched(&repository);
    let case = "a commit outside of --watch-paths";
    row(repository.label(), case, "wall", seconds, alone(cost.wall.as_secs_f64()));
    row(repository.label(), case, "CPU", seconds, alone(cost.cpu.as_secs_f64()));
    wire(&repository, case, sent);
}

fn wire(repository: &Repository, case: &str, sent: Wire) {
    let row = |measure, value| row(repository.label(), case, measure, plain, alone(value));
    row("requests", sent.requests);
    row("bytes up", sent.up);
    row("bytes down", sent.down);
}

fn change(bench: &Bench, repository: &Repository) {
    let lives = bench.changes(repository, &[1, 1, 1]);
    let label = repository.label();
    row(label, "first sync", "resident after", mebibytes, lives.medians(|life| life.resident));
    for (case, number) in [("one changed file, first", 0), ("one changed file, again", 2)] {
        // The floor changes its tree in place, even at first.
        let has_floor = number > 0;
        let of = |measure: fn(&Change) -> f64| {
            let [ours, theirs, floor] = lives.medians(|life: &Changes| measure(&life.changes[number]));
            [ours, theirs, if has_floor { floor } else { f64::NAN }]
        };
        let row = |measure, form, values| row(label, case, measure, form, values);
        row("until the flip", seconds, of(|change| change.until_flip.wall.as_secs_f64()));
        row("CPU until the flip", seconds, of(|change| change.until_flip.cpu.as_secs_f64()));
        let [ours, theirs, _] = of(|change| change.after.cpu.as_secs_f64());
        row("CPU after the flip", seconds, [ours, theirs, f64::NAN]);
        row("requests", plain, of(|change| change.wire.requests));
        row("bytes down", plain, of(|change| change.wire.down));
        row("resident after", mebibytes, of(|change| change.resident));
    }
    for (floor, measure) in bench.floors_of_change(repository).into_iter().zip(FLOORS_OF_CHANGE) {
        row(label, "one changed file", measure, seconds, alone(floor));
    }
}

fn repack(bench: &Bench, repository: &Repository) {
    let costs = bench.repack(repository);
    let row = |measure, form, values| row(repository.label(), "repack 41 packs", measure, form, values);
    row("wall", seconds, costs.medians(|cost| cost.wall.as_secs_f64()));
    row("CPU", seconds, costs.medians(|cost| cost.cpu.as_secs_f64()));
}
