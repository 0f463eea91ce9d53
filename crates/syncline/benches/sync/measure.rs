//! What is measured of a process, and how the rounds of two programs are told beside each other.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use wait4::Wait4;

/// What one run of something cost.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    /// The largest process, in bytes.
    pub memory: u64,
}

impl Cost {
    pub fn plus(self, other: Cost) -> Cost {
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
    let mut child = spawn(command);
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}: {}", used.status);
    Cost { wall: started.elapsed(), cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss }
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A program running on; killed when dropped.
pub struct Process {
    child: Child,
    clock: ClockId,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let child = spawn(command);
        let clock = clock_getcpuclockid(Pid::from_raw(child.id() as i32)).unwrap();
        Process { child, clock }
    }

    /// Of all its threads, those that ended too.
    pub fn cpu(&self) -> Duration {
        self.clock.now().unwrap().into()
    }

    pub fn resident(&self) -> u64 {
        self.kibibytes("status", "VmRSS:")
    }

    /// Its own memory, and its part of what it shares with others.
    pub fn share_of_memory(&self) -> u64 {
        self.kibibytes("smaps_rollup", "Pss:")
    }

    /// The most that was resident at any moment.
    pub fn peak(&self) -> u64 {
        self.kibibytes("status", "VmHWM:")
    }

    /// Count the peak from now on.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    pub fn threads(&self) -> u64 {
        self.entries("task")
    }

    pub fn descriptors(&self) -> u64 {
        self.entries("fd")
    }

    /// Whether one of its threads runs, waits for a core, or waits for a disk: where cores are shared or the disk is
    /// slow, there may be no CPU for a while.
    fn is_busy(&self) -> bool {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten().any(|task| {
            // It may have ended by now.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|state| state.starts_with(['D', 'R']))
        })
    }

    fn entries(&self, directory: &str) -> u64 {
        fs::read_dir(format!("/proc/{}/{directory}", self.child.id())).unwrap().count() as u64
    }

    fn kibibytes(&self, file: &str, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Make it sync: it was started with `--sync-on-signal=SIGUSR1`.
    pub fn wake(&self) {
        self.signal(rustix::process::Signal::USR1);
    }

    /// Make it read its file of repositories again.
    pub fn reload(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait_for_link(&self, link: &Path, commit: &str) {
        wait_until(|| fs::read_link(link).is_ok_and(|target| target.ends_with(commit)));
    }

    /// Wait until it does nothing more; what it did since now.
    pub fn settle(&self) -> Cost {
        const STEP: Duration = Duration::from_millis(5);
        let (started, before) = (Instant::now(), self.cpu());
        let (mut cpu, mut last_work) = (before, Duration::ZERO);
        while started.elapsed() < last_work + Duration::from_millis(200) {
            std::thread::sleep(STEP);
            let now = self.cpu();
            if now > cpu + STEP / 50 || self.is_busy() {
                last_work = started.elapsed();
            }
            cpu = now;
        }
        Cost { wall: last_work, cpu: cpu - before, memory: self.resident() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Look every millisecond.
pub fn wait_until(mut is_done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_done() {
        assert!(started.elapsed() < Duration::from_secs(3600), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether files in `dir` are only in memory.
pub fn is_tmpfs(dir: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(dir).unwrap().f_type as u64 == TMPFS
}

/// What the programs came to in every round.
pub struct Rounds<T> {
    ours: Vec<T>,
    theirs: Vec<T>,
    floor: Vec<T>,
}

/// A figure of syncline, of its peer, and of the least that a client must do. What there is none of is NaN.
pub type Figures = [f64; 3];

/// A figure of syncline alone.
pub fn alone(ours: f64) -> Figures {
    [ours, f64::NAN, f64::NAN]
}

impl<T> Rounds<T> {
    /// The two take turns, so that whatever else goes on meets both.
    pub fn take(count: usize, ours: impl FnMut() -> T, theirs: impl FnMut() -> T) -> Rounds<T> {
        Rounds::with_floor(count, ours, theirs, || None)
    }

    /// The three take turns.
    pub fn with_floor(
        count: usize,
        mut ours: impl FnMut() -> T,
        mut theirs: impl FnMut() -> T,
        mut floor: impl FnMut() -> Option<T>,
    ) -> Rounds<T> {
        let mut rounds = Rounds { ours: Vec::new(), theirs: Vec::new(), floor: Vec::new() };
        for _ in 0..count {
            rounds.ours.push(ours());
            rounds.theirs.push(theirs());
            rounds.floor.extend(floor());
        }
        rounds
    }

    /// A part of each, where it has it.
    pub fn flat_map<U>(&self, part: impl Fn(&T) -> Option<U>) -> Rounds<U> {
        let parts = |rounds: &[T]| rounds.iter().filter_map(&part).collect();
        Rounds { ours: parts(&self.ours), theirs: parts(&self.theirs), floor: parts(&self.floor) }
    }

    pub fn medians(&self, measure: impl Fn(&T) -> f64) -> Figures {
        [&self.ours, &self.theirs, &self.floor].map(|rounds| median(rounds.iter().map(&measure)))
    }
}

/// The middle one; NaN if there is none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How a number is written; what there is none of is NaN.
pub type Form = fn(f64) -> String;

pub fn seconds(value: f64) -> String {
    format!("{value:.3} s")
}

pub fn milliseconds(value: f64) -> String {
    format!("{:.2} ms", value * 1e3)
}

pub fn mebibytes(value: f64) -> String {
    format!("{:.1} MiB", value / (1 << 20) as f64)
}

pub fn plain(value: f64) -> String {
    format!("{value:.0}")
}

/// What the rows of a table are about.
pub fn header() {
    println!("| repository | case | measure | syncline | git | ratio | floor | ratio |");
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |");
}

/// One line of the table.
pub fn row(label: &str, case: &str, measure: &str, form: Form, [ours, theirs, floor]: Figures) {
    let written = |form: Form, value: f64| if value.is_finite() { form(value) } else { "–".into() };
    let ratio = |of: f64| written(|ratio| format!("{ratio:.3}"), ours / of);
    println!(
        "| {label} | {case} | {measure} | {} | {} | {} | {} | {} |",
        written(form, ours),
        written(form, theirs),
        ratio(theirs),
        written(form, floor),
        ratio(floor)
    );
}

/// The lines for what something cost.
pub fn costs(label: &str, case: &str, costs: &Rounds<Cost>) {
    let row = |measure, form, values| row(label, case, measure, form, values);
    row("wall", seconds, costs.medians(|cost| cost.wall.as_secs_f64()));
    row("CPU", seconds, costs.medians(|cost| cost.cpu.as_secs_f64()));
    row("peak memory", mebibytes, costs.medians(|cost| cost.memory as f64));
}
