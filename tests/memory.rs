//! How much memory a sync takes, as the kernel counts it: no more for large files than for small ones, a little for
//! each file, and what was taken is given back.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::process::Stdio;

use crate::support::*;

pub const MIB: usize = 1 << 20;

/// A program that goes on running, and what it publishes.
struct Watched {
    env: Env,
    repo: Repo,
    nginx: Nginx,
    running: Running,
}

impl Watched {
    fn start(env: Env, repo: Repo) -> Watched {
        let nginx = Nginx::start(&env.path(""));
        // The store is folded after every change.
        let options = ["--period=10ms", "--git-gc=aggressive", "--verbose=1"];
        let started = options.iter().fold(env.syncline(nginx.url("up/.git")), Syncline::arg).spawn();
        let watched = Watched { env, repo, nginx, running: started };
        watched.settle();
        watched
    }

    /// Wait until the newest commit is published and nothing is left to do.
    #[track_caller]
    fn settle(&self) {
        let head = self.repo.head();
        eventually("publication", || (self.env.published()? == head).then_some(()));
        self.running.wait_for_more("nothing new", 2);
    }

    /// What the kernel counts, in MiB: what is resident now, and the most that ever was.
    fn resident(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let field = |name: &str| -> usize {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmRSS:") / 1024, field("VmHWM:") / 1024)
    }

    /// How many bytes came while `change` was made and published.
    fn received(&self, change: impl FnOnce(&Repo)) -> usize {
        let before = self.nginx.requests().len();
        change(&self.repo);
        self.settle();
        self.bytes_since(before)
    }

    /// How many bytes the answers had from that request on.
    fn bytes_since(&self, before: usize) -> usize {
        let sent = |line: &String| line.split(' ').nth(5).unwrap().parse::<usize>().unwrap();
        self.nginx.requests()[before..].iter().map(sent).sum()
    }

    /// Neither was there ever much more than `most` beyond what is usual, nor is there anything now.
    #[track_caller]
    fn assert_modest(&self, most: usize) {
        let (now, peak) = self.resident();
        let usual = usual();
        assert!(peak <= usual + most, "{peak} MiB at the most, where {usual} are usual");
        assert!(now <= usual + rest(), "{now} MiB stay, where {usual} are usual");
    }
}

/// The most that syncs of next to nothing take. A build for debugging takes more.
fn usual() -> usize {
    let env = Env::new();
    let repo = env.repo("up");
    let watched = Watched::start(env, repo);
    watched.repo.commit(&[("file", "two\n")]);
    watched.settle();
    watched.resident().1
}

/// How much may stay beyond that. The program that ships gives everything back; glibc's allocator, which a build for
/// debugging has, does not.
fn rest() -> usize {
    if std::env::var_os("SYNCLINE_BINARY").is_some() { 2 } else { 32 }
}

/// Of what takes no more for large files than for small ones. One of the files, or a mapped pack, would be more.
const LITTLE: usize = 16;

/// Twenty MiB that no deflating makes smaller.
fn large(seed: u64) -> Vec<u8> {
    noise(seed, MIB).repeat(20)
}

/// The same with a byte changed.
fn variant(of: u64, at: usize) -> Vec<u8> {
    let mut bytes = large(of);
    bytes[at * MIB] ^= 1;
    bytes
}

fn write_large(repo: &Repo, seeds: Range<u64>) {
    seeds.for_each(|seed| repo.write(&format!("large{seed}"), large(seed)));
}

/// A repository whose server makes deltas of large files, or none, and is quick at that.
fn large_repo(env: &Env, deltas: bool) -> Repo {
    let repo = env.repo("up");
    repo.git(&["config", "core.compression", "0"]);
    repo.git(&["config", "core.bigFileThreshold", if deltas { "1g" } else { "1m" }]);
    repo
}

#[test]
fn large_files_are_never_held() {
    let env = Env::new();
    let repo = large_repo(&env, false);
    write_large(&repo, 0..6);
    repo.commit(&[]);
    let watched = Watched::start(env, repo);
    let received = watched.received(|repo| {
        write_large(repo, 6..8);
        repo.commit(&[]);
    });
    assert!(received > 40 * MIB, "{received} bytes are no large files");
    watched.assert_modest(LITTLE);
    assert!(fs::read(watched.env.link().join("large0")).unwrap() == large(0));
    assert!(fs::read(watched.env.link().join("large7")).unwrap() == large(7));
    watched.env.assert_store_is_sound();
}

#[test]
fn large_files_made_from_one_another_are_never_held() {
    let env = Env::new();
    let repo = large_repo(&env, true);
    for number in 0..3 {
        repo.write(&format!("large{number}"), variant(0, number));
    }
    repo.commit(&[]);
    let watched = Watched::start(env, repo);
    let sent = watched.bytes_since(0);
    assert!(sent < 30 * MIB, "{sent} bytes are no deltas");
    let received = watched.received(|repo| {
        repo.write("large0", variant(0, 7));
        repo.commit(&[]);
    });
    assert!(received < MIB, "{received} bytes are no delta");
    watched.assert_modest(LITTLE);
    for (name, at) in [("large0", 7), ("large1", 1), ("large2", 2)] {
        assert!(fs::read(watched.env.link().join(name)).unwrap() == variant(0, at), "{name}");
    }
    watched.env.assert_store_is_sound();
}

/// A commit of 20,000 files.
pub fn commit_many(repo: &Repo) {
    let mut import = isolated_git();
    import.arg("-C").arg(&repo.path).args(["fast-import", "--quiet", "--force"]).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    let mut stream = std::io::BufWriter::new(import.stdin.take().unwrap());
    writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 0").unwrap();
    for number in 0..20_000 {
        let (dir, sub, text) = (number % 60, number / 60 % 50, format!("{number}\n"));
        let length = text.len();
        writeln!(stream, "M 100644 inline dir{dir}/sub{sub}/file{number}.txt\ndata {length}\n{text}")
            .unwrap();
    }
    stream.flush().unwrap();
    drop(stream);
    assert!(import.wait().unwrap().success());
    repo.git(&["read-tree", "main"]);
}

#[test]
fn many_files_take_a_little_each_and_all_is_given_back() {
    let env = Env::new();
    let repo = env.repo("up");
    commit_many(&repo);
    let watched = Watched::start(env, repo);
    // An index, and where every file is to go.
    watched.assert_modest(LITTLE);
}
