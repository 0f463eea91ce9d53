//! A fleet behind a relay: from a push to all followers, what followers cost at rest, and first syncs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::measure::{Cost, Process, mebibytes, median, milliseconds, plain, run, seconds, wait_until};
use crate::repositories::Repository;
use crate::support::relay::Nats;
use crate::support::{Nginx, get};

const NAME: &str = "site";

pub fn print(base: &Path, nginx: &Nginx, binary: &Path, rounds: usize, quick: bool) {
    let most = raise_open_files();
    let fleets: &[usize] = if quick { &[10, 50] } else { &[100, 1_000, 5_000, most.min(20_000)] };
    let real = if quick { 3 } else { 100 };
    // First, as the peak memory of a process is at least that of this one when it starts it.
    first_syncs(base, nginx, binary, if quick { 600 } else { 60_000 }, rounds);
    let repository = Repository::files(base, 20);
    let scene = Scene::start(base, nginx, binary, &repository, "small");
    let followers: Vec<Follower> = (0..real).map(|number| scene.follower(number)).collect();
    followers.iter().for_each(|follower| wait_until(|| follower.link.exists()));
    at_rest(&scene, &followers, Duration::from_secs(if quick { 3 } else { 120 }));
    pushes(&scene, &followers, fleets, rounds);
}

/// A NATS server and a feeder.
struct Scene<'a> {
    base: &'a Path,
    nginx: &'a Nginx,
    binary: &'a Path,
    repository: &'a Repository,
    nats: Nats,
    feeder: Process,
}

/// A whole follower.
struct Follower {
    link: PathBuf,
    process: Process,
}

impl<'a> Scene<'a> {
    fn start(
        base: &'a Path,
        nginx: &'a Nginx,
        binary: &'a Path,
        repository: &'a Repository,
        name: &str,
    ) -> Self {
        let nats = Nats::start(&base.join(format!("nats-{name}")));
        let root = base.join(format!("feeder-{name}"));
        let mut feeder = Command::new(binary);
        feeder.arg(format!("--repo={}", nginx.url(&repository.name)));
        feeder.args([
            "--ref=main",
            "--submodules=off",
            "--link=link",
            "--period=1h",
            "--sync-on-signal=SIGUSR1",
        ]);
        feeder.arg(format!("--root={}", root.display()));
        feeder.args([&format!("--relay-url={}", nats.url()), "--relay-role=feed", "--relay-name=site"]);
        let feeder = Process::start(&mut feeder);
        Scene { base, nginx, binary, repository, nats, feeder }
    }

    fn follower(&self, number: usize) -> Follower {
        let root = self.base.join(format!("follower{number}"));
        let process = Process::start(&mut follow(self.binary, &root, &self.nats.url()));
        Follower { link: root.join("link"), process }
    }

    /// CPU seconds and resident bytes of the NATS server, and bytes that it received and sent.
    fn server(&self) -> [f64; 4] {
        let page: serde_json::Value = serde_json::from_str(&get(self.nats.monitor, "/varz").1).unwrap();
        let number = |name: &str| page[name].as_f64().unwrap_or(0.0);
        [cpu_of(self.nats.id()), number("mem"), number("in_bytes"), number("out_bytes")]
    }
}

fn follow(binary: &Path, root: &Path, relay: &str) -> Command {
    let mut command = Command::new(binary);
    command.arg(format!("--root={}", root.display())).arg("--link=link").arg(format!("--relay-url={relay}"));
    command.args(["--relay-name=site", "--init-max-failures=-1", "--init-period=100ms"]);
    command
}

fn at_rest(scene: &Scene, followers: &[Follower], time: Duration) {
    std::thread::sleep(Duration::from_secs(2));
    let cpu = || followers.iter().map(|follower| follower.process.cpu()).sum::<Duration>();
    let (before, [_, _, up, down]) = (cpu(), scene.server());
    std::thread::sleep(time);
    let (after, [_, memory, up_after, down_after]) = (cpu(), scene.server());
    let hours = time.as_secs_f64() / 3600.0 * followers.len() as f64;
    println!(
        "{} followers over NATS at rest, for {time:?}\n\n| measure | value |\n| --- | ---: |",
        followers.len()
    );
    println!("| CPU of a follower in an hour | {} |", milliseconds((after - before).as_secs_f64() / hours));
    println!(
        "| bytes of a follower in an hour, to and from the server | {}, {} |",
        plain((up_after - up) / hours),
        plain((down_after - down) / hours)
    );
    let resident = median(followers.iter().map(|follower| follower.process.resident() as f64));
    let share = median(followers.iter().map(|follower| follower.process.share_of_memory() as f64));
    println!(
        "| resident memory of a follower; its share of memory | {}; {} |",
        mebibytes(resident),
        mebibytes(share)
    );
    println!("| resident memory of the NATS server | {} |\n", mebibytes(memory));
}

fn pushes(scene: &Scene, followers: &[Follower], fleets: &[usize], rounds: usize) {
    println!(
        "From a push (and a signal to the feeder) to all; thin ones only hear and verify, {} real ones flip\n",
        followers.len()
    );
    println!(
        "| followers | heard: median | p99 | last | flipped: median | p99 | last | CPU of NATS | its memory | requests to git |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for count in fleets {
        let thin = Thin::connect(scene.nats.port, *count);
        let (mut heard, mut flipped, mut cpu, mut requests) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let commit = scene.repository.prepare_change(1);
            let asked = scene.nginx.requests().len();
            let [before, ..] = scene.server();
            thin.heard.lock().unwrap().clear();
            let started = Instant::now();
            scene.repository.publish(&commit);
            scene.feeder.wake();
            flipped.extend(watch(followers, &commit, started));
            wait_until(|| thin.heard.lock().unwrap().len() == *count);
            heard
                .extend(thin.heard.lock().unwrap().iter().map(|at| at.duration_since(started).as_secs_f64()));
            // The log of the web server is written after its answers.
            std::thread::sleep(Duration::from_millis(300));
            requests.push((scene.nginx.requests().len() - asked) as f64);
            cpu.push(scene.server()[0] - before);
        }
        let [_, memory, ..] = scene.server();
        let shown = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            [0.5, 0.99, 1.0]
                .map(|part| seconds(times[((times.len() - 1) as f64 * part) as usize]))
                .join(" | ")
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            count + followers.len(),
            shown(&mut heard),
            shown(&mut flipped),
            seconds(median(cpu.into_iter())),
            mebibytes(memory),
            plain(median(requests.into_iter())),
        );
    }
    println!();
}

/// When each follower shows the commit.
fn watch(followers: &[Follower], commit: &str, started: Instant) -> Vec<f64> {
    let mut waiting: Vec<&Follower> = followers.iter().collect();
    let mut times = Vec::new();
    wait_until(|| {
        waiting.retain(|follower| {
            let is_there = fs::read_link(&follower.link).is_ok_and(|target| target.ends_with(commit));
            times.extend(is_there.then(|| started.elapsed().as_secs_f64()));
            !is_there
        });
        waiting.is_empty()
    });
    times
}

fn first_syncs(base: &Path, nginx: &Nginx, binary: &Path, files: usize, rounds: usize) {
    let repository = Repository::files(base, files);
    let scene = Scene::start(base, nginx, binary, &repository, "large");
    let files_dir = base.join("files");
    let mut filling = Command::new(binary);
    filling.arg(format!("--repo={}", nginx.url(&repository.name)));
    filling.args(["--ref=main", "--submodules=off", "--link=link", "--relay-role=feed", "--relay-name=site"]);
    filling.arg(format!("--root={}", base.join("feeder-files").display()));
    let filling = Process::start(filling.arg(format!("--relay-url=file://{}", files_dir.display())));
    wait_until(|| files_dir.join(NAME).join("tip.json").exists());
    drop(filling);
    let over_http = nginx.url("relay-files");
    type Way<'a> = (&'static str, Box<dyn Fn(&Path) -> Command + 'a>);
    let ways: [Way; 3] = [
        (
            "git over HTTP",
            Box::new(|root: &Path| {
                let mut command = Command::new(binary);
                command.arg(format!("--repo={}", nginx.url(&repository.name)));
                command.args(["--ref=main", "--submodules=off", "--link=link"]);
                command.arg(format!("--root={}", root.display()));
                command
            }),
        ),
        ("relay over HTTP", Box::new(|root: &Path| follow(binary, root, &over_http))),
        ("relay over NATS", Box::new(|root: &Path| follow(binary, root, &scene.nats.url()))),
    ];
    println!(
        "First sync of {}\n\n| from | wall | CPU | peak memory |\n| --- | ---: | ---: | ---: |",
        repository.label()
    );
    let mut costs: Vec<Vec<Cost>> = ways.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for ((_, command), costs) in ways.iter().zip(&mut costs) {
            let root = base.join(format!("first{round}"));
            costs.push(run(command(&root).arg("--one-time")));
            fs::remove_dir_all(&root).unwrap();
        }
    }
    for ((name, _), costs) in ways.iter().zip(&costs) {
        let of = |measure: fn(&Cost) -> f64| median(costs.iter().map(measure));
        println!(
            "| {name} | {} | {} | {} |",
            seconds(of(|cost| cost.wall.as_secs_f64())),
            seconds(of(|cost| cost.cpu.as_secs_f64())),
            mebibytes(of(|cost| cost.memory as f64)),
        );
    }
    println!();
}

/// Followers that only hear of a tip, and verify that its pack is the announced one. They share a thread.
struct Thin {
    heard: Arc<Mutex<Vec<Instant>>>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Thin {
    fn connect(port: u16, count: usize) -> Thin {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ready = Arc::new(AtomicUsize::new(0));
        let (end, ended) = tokio::sync::oneshot::channel();
        let (told, counted) = (heard.clone(), ready.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                for number in 0..count {
                    tokio::spawn(listen(port, told.clone(), counted.clone()));
                    if number % 100 == 99 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                let _ = ended.await;
            });
        });
        wait_until(|| ready.load(Ordering::SeqCst) == count);
        Thin { heard, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// NATS' protocol, as far as one subscription needs it.
async fn listen(port: u16, heard: Arc<Mutex<Vec<Instant>>>, ready: Arc<AtomicUsize>) {
    let mut stream = BufReader::with_capacity(1024, TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let hello = "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB syncline.news.tip.site 1\r\nPING\r\n";
    stream.get_mut().write_all(hello.as_bytes()).await.unwrap();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first().copied() {
            Some("PONG") => _ = ready.fetch_add(1, Ordering::SeqCst),
            Some("PING") => stream.get_mut().write_all(b"PONG\r\n").await.unwrap(),
            Some("HMSG" | "MSG") => {
                let length = |back: usize| words[words.len() - back].parse::<usize>().unwrap();
                let head = if words[0] == "HMSG" { length(2) } else { 0 };
                let mut message = vec![0; length(1) + 2];
                stream.read_exact(&mut message).await.unwrap();
                assert!(is_genuine(&message[head..message.len() - 2]));
                heard.lock().unwrap().push(Instant::now());
            }
            _ => {}
        }
    }
}

/// Whether the pack that came with a tip is the one that it names.
fn is_genuine(record: &[u8]) -> bool {
    let tip = sync_relay::Tip::decode(record, &NAME.parse().unwrap(), None).unwrap();
    let pack = tip.inline.unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &pack);
    tip.tip.chain.last().is_some_and(|link| link.pack.sha256 == *digest.as_ref())
}

/// How many connections there may be: each takes a descriptor here and one in the server.
fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const OTHERS: u64 = 500;
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    limit.maximum.map_or(usize::MAX, |most| most.saturating_sub(OTHERS) as usize)
}

fn cpu_of(process: u32) -> f64 {
    let clock = clock_getcpuclockid(Pid::from_raw(process as i32)).unwrap();
    Duration::from(clock.now().unwrap()).as_secs_f64()
}
