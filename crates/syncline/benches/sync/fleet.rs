//! Many synclines at one server: what they cost it and themselves, and how evenly they come.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::param::clock_ticks_per_second;

use crate::floors::request;
use crate::measure::{Process, mebibytes, median, milliseconds, plain, run, wait_until};
use crate::repositories::Repository;
use crate::support::{Nginx, git, text};

/// How long a bucket of the spread is, in seconds.
const BUCKET: f64 = 0.1;

pub fn print(base: &Path, nginx: &mut Nginx, binary: &Path, count: usize, quick: bool) {
    let period = Duration::from_secs(if quick { 1 } else { 10 });
    let repository = Repository::files(base, 20);
    for number in 0..count {
        std::os::unix::fs::symlink(&repository.name, base.join(format!("up{number}"))).unwrap();
    }
    println!("{count} synclines, a period of {period:?}, nginx with git http-backend\n");
    println!("| measure | value |\n| --- | ---: |");
    let started = Instant::now();
    let fleet: Vec<Process> = (0..count).map(|number| start(base, nginx, binary, number, period)).collect();
    for number in 0..count {
        wait_until(|| base.join(format!("root{number}/link")).exists());
    }
    row("all first syncs, all started at once", format!("{:.1} s", started.elapsed().as_secs_f64()));

    let (cpu, served) = (cpu_of(&fleet), server_cpu());
    let polls = Polls::watch(nginx, 6 * period);
    let (cpu, served) = (cpu_of(&fleet) - cpu, server_cpu() - served);
    polls.print("after the common start");
    row("requests a poll", format!("{:.2}", polls.requests as f64 / polls.moments.len() as f64));
    row("interval of one syncline", polls.intervals());
    let of_poll = |cpu: Duration| cpu.div_f64(polls.moments.len() as f64);
    let of_server = of_poll(served) + backend_cpu(base, &repository);
    row("CPU of a poll, syncline", milliseconds(of_poll(cpu).as_secs_f64()));
    row("CPU of a poll, server", milliseconds(of_server.as_secs_f64()));
    row("polls a second that a core of the server bears", plain(of_server.as_secs_f64().recip()));
    let of_each =
        |memory: fn(&Process) -> u64| mebibytes(median(fleet.iter().map(|process| memory(process) as f64)));
    row("memory of a syncline, resident", of_each(Process::resident));
    row("memory of a syncline, its share", of_each(Process::share_of_memory));

    let outage = 3 * period / 2;
    nginx.stop();
    std::thread::sleep(outage);
    nginx.go_on();
    Polls::watch(nginx, 3 * period).print(&format!("after an outage of {outage:?}"));
    Polls::watch(nginx, 6 * period).print("later");
}

/// One of them, with a URL of its own, by which the server's log knows it.
pub fn start(base: &Path, nginx: &Nginx, binary: &Path, number: usize, period: Duration) -> Process {
    let mut syncline = Command::new(binary);
    syncline.env_clear().arg(format!("--repo={}", nginx.url(&format!("up{number}"))));
    syncline.arg(format!("--root={}", base.join(format!("root{number}")).display()));
    Process::start(syncline.args(["--link=link", "--max-failures=-1"]).arg(format!("--period={period:?}")))
}

fn row(measure: &str, value: String) {
    println!("| {measure} | {value} |");
}

/// The polls within a time.
pub struct Polls {
    start: f64,
    end: f64,
    pub requests: usize,
    /// When each was answered, in seconds since 1970, and whose it was.
    pub moments: Vec<(f64, String)>,
}

impl Polls {
    pub fn watch(nginx: &Nginx, time: Duration) -> Polls {
        let start = now();
        std::thread::sleep(time);
        let end = now();
        let log = nginx.requests();
        let fields = log.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        let within: Vec<_> = fields
            .map(|fields| (fields[6].parse::<f64>().unwrap(), fields))
            .filter(|(moment, _)| (start..end).contains(moment))
            .collect();
        let is_poll = |fields: &[&str]| (fields[1], fields[3]) == ("POST", "200");
        let polls = within.iter().filter(|(_, fields)| is_poll(fields));
        let moments = polls.map(|(moment, fields)| (*moment, fields[2].to_owned())).collect();
        Polls { start, end, requests: within.len(), moments }
    }

    fn print(&self, when: &str) {
        let mut buckets = vec![0.0; ((self.end - self.start) / BUCKET) as usize];
        for (moment, _) in &self.moments {
            if let Some(bucket) = buckets.get_mut(((moment - self.start) / BUCKET) as usize) {
                *bucket += 1.0;
            }
        }
        let most = buckets.iter().copied().fold(0.0, f64::max);
        row(
            &format!("polls a second; in 100 ms: median, most; {when}"),
            format!(
                "{:.1}; {:.0}, {most:.0}",
                self.moments.len() as f64 / (self.end - self.start),
                median(buckets.into_iter())
            ),
        );
    }

    /// The seconds from poll to poll of the same repository, of some of them.
    pub fn gaps(&self, is_wanted: fn(&str) -> bool) -> Vec<f64> {
        let mut last = BTreeMap::new();
        let mut gaps = Vec::new();
        for (moment, who) in self.moments.iter().filter(|(_, who)| is_wanted(who)) {
            if let Some(before) = last.insert(who, *moment) {
                gaps.push(moment - before);
            }
        }
        gaps
    }

    fn intervals(&self) -> String {
        let intervals = self.gaps(|_| true);
        let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
        let (least, most) = intervals.iter().fold((f64::MAX, 0.0), |(least, most): (f64, f64), interval| {
            (least.min(*interval), most.max(*interval))
        });
        format!("{mean:.2} s on average, {least:.2} to {most:.2}")
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn cpu_of(fleet: &[Process]) -> Duration {
    fleet.iter().map(Process::cpu).sum()
}

/// Of nginx and fcgiwrap. The programs that these start are not counted by the kernel: see [`backend_cpu`].
fn server_cpu() -> Duration {
    let stats: Vec<Stat> =
        fs::read_dir("/proc").unwrap().filter_map(|entry| Stat::of(&entry.unwrap().path())).collect();
    let own = std::process::id();
    let groups: Vec<u32> = stats.iter().filter(|stat| stat.parent == own).map(|stat| stat.group).collect();
    let ticks: u64 = stats.iter().filter(|stat| groups.contains(&stat.group)).map(|stat| stat.ticks).sum();
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

/// What proc(5) says of a server's process.
struct Stat {
    parent: u32,
    group: u32,
    ticks: u64,
}

impl Stat {
    fn of(process: &Path) -> Option<Stat> {
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let is_server = ["(nginx", "(fcgiwrap"].iter().any(|server| name.ends_with(server));
        // From the third field on.
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |field: usize| fields[field].parse::<u64>().ok();
        let (parent, group) = (number(1)? as u32, number(2)? as u32);
        is_server.then_some(Stat { parent, group, ticks: number(11)? + number(12)? })
    }
}

/// Of git http-backend and all that it starts, for one poll: run as the server does.
fn backend_cpu(base: &Path, repository: &Repository) -> Duration {
    const TIMES: u32 = 50;
    let body = base.join("request");
    fs::write(&body, request("ls-refs", &["peel", "symrefs", "ref-prefix HEAD"])).unwrap();
    let mut backend = Command::new(git(base, &["--exec-path"]) + "/git-http-backend");
    backend
        .env("REQUEST_METHOD", "POST")
        .env("PATH_INFO", format!("/{}/git-upload-pack", repository.name))
        .env("CONTENT_TYPE", "application/x-git-upload-pack-request")
        .env("CONTENT_LENGTH", fs::metadata(&body).unwrap().len().to_string())
        .env("GIT_PROTOCOL", "version=2")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROJECT_ROOT", base);
    let answer = backend.stdin(fs::File::open(&body).unwrap()).output().unwrap().stdout;
    assert!(text(&answer).contains("refs/heads/main"), "{}", text(&answer));
    let mut once = || run(backend.stdin(fs::File::open(&body).unwrap())).cpu;
    (0..TIMES).map(|_| once()).sum::<Duration>() / TIMES
}
