//! Many repositories in one process, beside as many processes.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fleet::{Polls, start};
use crate::measure::{Cost, Process, mebibytes, median, milliseconds, plain, run, seconds, wait_until};
use crate::repositories::Repository;
use crate::support::Nginx;

pub fn print(base: &Path, nginx: &Nginx, binary: &Path, rounds: usize, quick: bool) {
    let counts: &[usize] = if quick { &[1, 10] } else { &[1, 10, 100, 500] };
    let most = counts.iter().copied().max().unwrap_or(1);
    let repository = Repository::files(base, 20);
    for number in 0..most {
        std::os::unix::fs::symlink(&repository.name, base.join(format!("up{number}"))).unwrap();
    }
    at_rest(base, nginx, binary, counts, Duration::from_secs(if quick { 1 } else { 10 }));
    let (repositories, files) = if quick { (10, 60) } else { (100, 600) };
    first_syncs(base, nginx, binary, (repositories, files), rounds);
    beside_a_large_one(base, nginx, binary, quick);
    flips(base, binary, if quick { 3 } else { 20 }, rounds);
}

/// What a process keeps, and what a poll costs.
fn at_rest(base: &Path, nginx: &Nginx, binary: &Path, counts: &[usize], period: Duration) {
    println!("Repositories of 20 files, a period of {period:?}, at rest\n");
    println!(
        "| repositories | processes | resident | share of memory | CPU of a poll | requests a poll | threads | descriptors |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for count in counts {
        let config = Config::new(base, &format!("rest{count}"), &format!("period: {period:?}"));
        let one = vec![config.start(
            binary,
            (0..*count).map(|number| (number, nginx.url(&format!("up{number}")))),
            "",
        )];
        config.wait(*count);
        rest(nginx, *count, &one, period);
        drop(one);
        let all = (0..*count).map(|number| start(base, nginx, binary, number, period)).collect::<Vec<_>>();
        for number in 0..*count {
            wait_until(|| base.join(format!("root{number}/link")).exists());
        }
        rest(nginx, *count, &all, period);
        drop(all);
        for number in 0..*count {
            fs::remove_dir_all(base.join(format!("root{number}"))).unwrap();
        }
    }
    println!();
}

fn rest(nginx: &Nginx, count: usize, processes: &[Process], period: Duration) {
    std::thread::sleep(period);
    let cpu = || processes.iter().map(Process::cpu).sum::<Duration>();
    let before = cpu();
    let polls = Polls::watch(nginx, 3 * period);
    let of_poll = (cpu() - before).as_secs_f64() / polls.moments.len() as f64;
    let sum = |of: fn(&Process) -> u64| processes.iter().map(of).sum::<u64>() as f64;
    println!(
        "| {count} | {} | {} | {} | {} | {:.2} | {} | {} |",
        processes.len(),
        mebibytes(sum(Process::resident)),
        mebibytes(sum(Process::share_of_memory)),
        milliseconds(of_poll),
        polls.requests as f64 / polls.moments.len() as f64,
        plain(sum(Process::threads)),
        plain(sum(Process::descriptors)),
    );
}

/// All at once, from nothing.
fn first_syncs(base: &Path, nginx: &Nginx, binary: &Path, (count, files): (usize, usize), rounds: usize) {
    println!("First sync of {count} repositories of {files} files at once\n");
    println!("| --max-parallel | wall | CPU | peak memory |\n| ---: | ---: | ---: | ---: |");
    let repository = Repository::files(base, files);
    let url = nginx.url(&repository.name);
    for parallel in [1, 2, 4] {
        let costs: Vec<Cost> = (0..rounds)
            .map(|_| {
                let config = Config::new(base, "first", "depth: 1");
                let repos = (0..count).map(|number| (number, url.clone()));
                let options = format!("max-parallel: {parallel}\none-time: true\n");
                let cost = run(&mut config.command(binary, repos, &options));
                config.remove();
                cost
            })
            .collect();
        let of = |measure: fn(&Cost) -> f64| median(costs.iter().map(measure));
        println!(
            "| {parallel} | {} | {} | {} |",
            seconds(of(|cost| cost.wall.as_secs_f64())),
            seconds(of(|cost| cost.cpu.as_secs_f64())),
            mebibytes(of(|cost| cost.memory as f64)),
        );
    }
    println!();
}

/// The polls of small repositories while a large one arrives.
fn beside_a_large_one(base: &Path, nginx: &Nginx, binary: &Path, quick: bool) {
    let (count, files) = if quick { (5, 2) } else { (50, 50) };
    let period = Duration::from_secs(2);
    let large = Repository::noise(base, files, 20);
    let config = Config::new(base, "beside", &format!("period: {period:?}"));
    let small = || (0..count).map(|number| (number, nginx.url(&format!("up{number}"))));
    let process = config.start(binary, small(), "");
    config.wait(count);
    let (started, large_url) = (Instant::now(), nginx.url(&large.name));
    config.write(small().chain([(count, large_url)]), "");
    process.reload();
    let polls = Polls::watch(nginx, 10 * period);
    wait_until(|| config.root(count).join("current").exists());
    let mut gaps = polls.gaps(|who| who.starts_with("/up"));
    gaps.sort_by(f64::total_cmp);
    println!("{count} repositories with a period of {period:?} beside the first sync of {}\n", large.label());
    println!("| measure | value |\n| --- | ---: |");
    let at = |part: f64| gaps[((gaps.len() - 1) as f64 * part) as usize] / period.as_secs_f64();
    for (name, part) in [("median", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        println!("| interval between two polls, {name} | {:.3} periods |", at(part));
    }
    println!("| peak memory | {} |", mebibytes(process.peak() as f64));
    println!("| the large one is published within | {} |\n", seconds(started.elapsed().as_secs_f64()));
}

/// From the last of several pushes to the flip of their group.
fn flips(base: &Path, binary: &Path, count: usize, rounds: usize) {
    let repositories: Vec<Repository> = (0..count).map(|_| Repository::files(base, 20)).collect();
    let config = Config::new(base, "flips", "period: 1h");
    let members: Vec<String> = (0..count).map(|number| format!("r{number}")).collect();
    let settle = Duration::from_millis(100);
    let group = format!(
        "sync-on-signal: SIGUSR1\ngroups: {{all: {{members: [{}], settle: {settle:?}}}}}\n",
        members.join(", ")
    );
    let url = |repository: &Repository| base.join(&repository.name).display().to_string();
    let process = config.start(binary, repositories.iter().map(url).enumerate(), &group);
    let link = config.directory.join("git/all");
    wait_until(|| link.exists());
    let mut times = Vec::new();
    for _ in 0..rounds {
        let before = fs::read_link(&link).unwrap();
        for repository in &repositories {
            let commit = repository.prepare_change(1);
            repository.publish(&commit);
        }
        let pushed = Instant::now();
        process.wake();
        wait_until(|| fs::read_link(&link).unwrap() != before);
        times.push(pushed.elapsed().as_secs_f64());
        let shown = fs::read_link(&link).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(fs::read_link(&link).unwrap(), shown, "all flip at once");
    }
    println!("A group of {count}, woken by a signal (spread over 1 s), settle {settle:?}\n");
    println!("| measure | value |\n| --- | ---: |");
    println!("| from the last push to the flip | {} |\n", seconds(median(times.into_iter())));
}

/// A file of repositories, and the directory in which they are synced.
struct Config {
    directory: PathBuf,
    defaults: String,
}

impl Config {
    fn new(base: &Path, name: &str, defaults: &str) -> Config {
        let directory = base.join(name);
        fs::create_dir_all(&directory).unwrap();
        Config { directory, defaults: defaults.to_owned() }
    }

    fn root(&self, number: usize) -> PathBuf {
        self.directory.join(format!("git/r{number}"))
    }

    fn path(&self) -> PathBuf {
        self.directory.join("config.yaml")
    }

    fn write(&self, repos: impl Iterator<Item = (usize, String)>, more: &str) {
        let root = self.directory.join("git");
        let mut text = format!("root: {}\n{more}defaults: {{{}}}\nrepos:\n", root.display(), self.defaults);
        for (number, url) in repos {
            writeln!(text, "  r{number}: {{repo: \"{url}\"}}").unwrap();
        }
        fs::write(self.path(), text).unwrap();
    }

    fn command(&self, binary: &Path, repos: impl Iterator<Item = (usize, String)>, more: &str) -> Command {
        self.write(repos, more);
        let mut command = Command::new(binary);
        command.env_clear().arg(format!("--config={}", self.path().display()));
        command
    }

    fn start(&self, binary: &Path, repos: impl Iterator<Item = (usize, String)>, more: &str) -> Process {
        Process::start(&mut self.command(binary, repos, more))
    }

    fn wait(&self, count: usize) {
        for number in 0..count {
            wait_until(|| self.root(number).join("current").exists());
        }
    }

    fn remove(&self) {
        fs::remove_dir_all(&self.directory).unwrap();
    }
}
