//! How much memory a sync takes, as the kernel counts it: no more for large files than for small ones, a little for
//! each file, and what was taken is given back.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::*;

const MIB: usize = 1 << 20;

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
        let idle = "nothing new";
        self.running.wait_for_times(idle, self.running.log().matches(idle).count() + 2);
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
fn commit_many(repo: &Repo) {
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

/// A control group of this process's own; gone when dropped.
struct Group(PathBuf);

impl Group {
    /// With so much memory, page cache included; where this machine lets tests make one.
    fn of(memory: usize) -> Option<Group> {
        let name = format!("syncline-test-{}-{memory}", std::process::id());
        for (hierarchy, limit) in [("memory", "memory.limit_in_bytes"), (".", "memory.max")] {
            let group = Group(Path::new("/sys/fs/cgroup").join(hierarchy).join(&name));
            if fs::create_dir(&group.0).is_ok()
                && fs::write(group.0.join(limit), memory.to_string()).is_ok()
                && group.0.join("cgroup.procs").exists()
            {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// What is on a file system in memory counts as the group's.
fn is_on_disk(dir: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(dir).unwrap().f_type as i64 != TMPFS
}

/// A sync in a control group of its own, where this machine lets tests make one.
fn sync_in(group: Option<&Group>, env: &Env, url: &str, options: &[String]) -> Output {
    let mut command = Command::new("sh");
    let enter = "if [ -n \"$0\" ]; then echo $$ >\"$0\"/cgroup.procs || exit 9; fi; exec \"$@\"";
    command.args(["-c", enter]).arg(group.map_or(Path::new(""), |group| &group.0)).arg(binary());
    command.arg(format!("--repo={url}")).arg("--root").arg(env.root()).args(["--link=link", "--one-time"]);
    command.args(options).output().unwrap()
}

#[test]
fn a_container_of_32_mib_is_enough() {
    let env = Env::new();
    let Some(group) = Group::of(32 * MIB).filter(|_| is_on_disk(&env.path(""))) else {
        return tell("skipped: no control group can be made here, or the files would be in memory");
    };
    let repo = env.repo("up");
    commit_many(&repo);
    let nginx = Nginx::start(&env.path(""));
    let output = sync_in(Some(&group), &env, &nginx.url("up/.git"), &[]);
    let log = text(&output.stderr);
    assert!(output.status.success(), "{}: {log}", output.status);
    assert!(log.contains(&format!("\"memory_limit\":{}", 32 * MIB)), "{log}");
    assert_eq!(env.published(), Some(repo.head()));
}

/// What is read as a whole is read into several times its size: all of it is bounded before that.
#[test]
fn files_that_are_read_as_a_whole_fit_into_64_mib_or_are_refused() {
    let lines = |line: &str, bytes: usize| line.repeat(bytes / line.len());
    let modules = |bytes: usize| {
        let section = |number| format!("[submodule \"m{number}\"]\n\tpath = p{number}\n\turl = ../m\n");
        let mut text = String::new();
        (0..)
            .map(section)
            .take_while(|section| {
                text.push_str(section);
                text.len() < bytes
            })
            .for_each(drop);
        text
    };
    let (attributes, gitmodules) = (".gitattributes", ".gitmodules");
    // The name, its content, patterns, and what is said where it is refused.
    let rows: [(&str, String, Option<String>, Option<&str>); 8] = [
        // git ignores an attribute file of more than 100 MiB, and so do we; below, it reads all of it.
        (attributes, lines("*.txt text eol=crlf\n", 110_000_000), None, None),
        (attributes, lines("*.txt text eol=crlf\n", 100_000_000), None, Some("read the attributes of")),
        (attributes, lines("a b\n", 600 << 10), None, Some("the attribute files before it, of")),
        (attributes, lines("a b\n", 500 << 10), None, None),
        (gitmodules, modules(500 << 10), None, None),
        (gitmodules, modules(600 << 10), None, Some("a .gitmodules of")),
        ("file", "one\n".into(), Some(lines("/*\n", 500 << 10)), None),
        ("file", "one\n".into(), Some(lines("/*\n", 600 << 10)), Some("larger than the 524288 bytes")),
    ];
    let group = Group::of(64 * MIB);
    if group.is_none() {
        tell("no control group can be made here: memory is not limited");
    }
    for (name, content, patterns, refusal) in rows {
        let env = Env::new();
        let repo = env.repo("up");
        repo.git(&["config", "core.compression", "1"]);
        repo.write("a.txt", "line\n");
        repo.write(name, &content);
        repo.commit(&[]);
        let nginx = Nginx::start(&env.path(""));
        let mut options = Vec::new();
        if let Some(patterns) = &patterns {
            fs::write(env.path("patterns"), patterns).unwrap();
            options.push(format!("--sparse-checkout-file={}", env.path("patterns").display()));
        }
        let case = format!("{name} of {} bytes", patterns.as_ref().map_or(content.len(), String::len));
        let output = sync_in(group.as_ref(), &env, &nginx.url("up/.git"), &options);
        let log = text(&output.stderr);
        match refusal {
            None => {
                assert_eq!(output.status.code(), Some(0), "{case}: {log}");
                assert_eq!(env.published(), Some(repo.head()), "{case}");
                assert_eq!(env.read(name).len(), content.len(), "{case}");
                assert_eq!(env.read("a.txt"), "line\n", "{case}");
            }
            // Without a group the limits are those of a machine.
            Some(_) if group.is_none() && content.len() < MIB => {}
            Some(refusal) => {
                assert_eq!(output.status.code(), Some(1), "{case}: {log}");
                assert!(log.contains(refusal), "{case}: {log}");
            }
        }
    }
}
