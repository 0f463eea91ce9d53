//! The cases: what both programs do, and what it costs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::floor_client;
use crate::floors::{link_and_look, read_pack};
use crate::measure::{Cost, Process, Rounds, is_tmpfs, median, run, wait_until};
use crate::peer::GitSync;
use crate::repositories::Repository;
use crate::support::{Nginx, isolated_git};

/// Where and how often to measure what.
pub struct Bench<'a> {
    pub base: &'a Path,
    pub nginx: &'a Nginx,
    pub binary: &'a Path,
    pub rounds: usize,
    /// Where the server is reached: its own port, or that of a link to it.
    pub port: u16,
}

/// What a pass sent and got, headers included, but not TCP's.
#[derive(Clone, Copy)]
pub struct Wire {
    pub requests: f64,
    pub up: f64,
    pub down: f64,
}

/// What a poll cost that found nothing new, on average.
pub struct Poll {
    pub cpu: Duration,
    pub memory: u64,
    pub wire: Wire,
}

/// What it cost to choose a reference that was published already.
pub struct Choice {
    /// From the start of a process to its end.
    pub process: Cost,
    pub poll: Poll,
}

/// What a pass cost that found something new.
pub struct Change {
    pub until_flip: Cost,
    /// Old trees go, packs are repacked.
    pub after: Cost,
    pub wire: Wire,
    /// Bytes in memory when all is done, where something runs on.
    pub resident: f64,
}

/// The life of a root over some changes.
pub struct Changes {
    /// Bytes in memory after the first sync, where something runs on.
    pub resident: f64,
    pub changes: Vec<Change>,
}

/// syncline running on.
pub struct Running {
    pub process: Process,
    pub link: PathBuf,
}

impl Bench<'_> {
    /// One sync of syncline, in a new root or one that is there.
    pub fn sync(&self, repository: &Repository, root: &Path) -> Cost {
        run(self.syncline(repository, root).arg("--one-time"))
    }

    pub fn first_sync(&self, repository: &Repository, depth: u32) -> Rounds<Cost> {
        let ours = || {
            let mut syncline = self.syncline(repository, &self.only("ours"));
            run(syncline.arg("--one-time").arg(format!("--depth={depth}")))
        };
        let theirs = || GitSync::new(self.only("theirs"), self.url(repository), depth).first_sync();
        let floor = || repository.is_of_files().then(|| self.floor(repository, &self.only("floor"), None));
        Rounds::with_floor(self.rounds, ours, theirs, floor)
    }

    /// A process that starts where all is as it should be, and ends.
    pub fn restart(&self, repository: &Repository) -> Rounds<Cost> {
        let root = self.fresh("ours");
        let ours = || self.sync(repository, &root);
        ours();
        let mut peer = self.peer(repository, 1);
        peer.first_sync();
        Rounds::take(self.rounds, ours, || peer.poll())
    }

    pub fn poll(&self, repository: &Repository) -> Rounds<Poll> {
        let ours = || self.polls(repository, &[]);
        let theirs = || {
            const POLLS: u32 = 3;
            let mut peer = self.peer(repository, 1);
            peer.first_sync();
            let before = self.nginx.requests().len();
            let cost = (0..POLLS).map(|_| peer.poll()).fold(Cost::default(), Cost::plus);
            let wire = self.wire(before, POLLS as usize);
            Poll { cpu: cost.cpu / POLLS, memory: cost.memory, wire }
        };
        Rounds::take(self.rounds, ours, theirs)
    }

    /// Choose a tag by its version, beside git that only lists all tags.
    pub fn choice(&self, repository: &Repository, range: &str) -> Rounds<Choice> {
        let option = format!("--ref-semver={range}");
        let ours = || {
            let root = self.fresh("ours");
            let again = || run(self.syncline(repository, &root).arg("--one-time").arg(&option));
            again();
            Choice { process: again(), poll: self.polls(repository, &[&option]) }
        };
        let theirs = || {
            let before = self.nginx.requests().len();
            let url = self.url(repository);
            let process = run(isolated_git().args(["ls-remote", "--tags", &url]));
            Choice {
                process,
                poll: Poll { cpu: process.cpu, memory: process.memory, wire: self.wire(before, 1) },
            }
        };
        Rounds::take(self.rounds, ours, theirs)
    }

    /// What a sync sends and gets for a commit that it refuses.
    pub fn refusal(&self, repository: &Repository, options: &[&str]) -> Wire {
        let before = self.nginx.requests().len();
        let status = self
            .syncline(repository, &self.fresh("ours"))
            .arg("--one-time")
            .args(options)
            .stderr(Stdio::null())
            .status();
        assert_eq!(status.unwrap().code(), Some(1));
        self.wire(before, 1)
    }

    /// A change to a commit that is so many commits ahead, which has to descend from the published one.
    pub fn descent(&self, repository: &Repository, commits: usize) -> (f64, Wire) {
        let root = self.fresh("ours");
        let again = || run(self.syncline(repository, &root).arg("--one-time").arg("--forward-only"));
        again();
        repository.publish(&repository.prepare_commits(commits));
        let before = self.nginx.requests().len();
        let cost = again();
        (cost.wall.as_secs_f64(), self.wire(before, 1))
    }

    /// A commit that changes nothing that is watched: all that is done for it.
    pub fn unwatched(&self, repository: &Repository) -> (Cost, Wire) {
        let running = self.running(repository, "1h", &["--watch-paths=/nothing"]);
        running.process.settle();
        let published = fs::read_link(&running.link).unwrap();
        repository.publish(&repository.prepare_change(1));
        let before = self.nginx.requests().len();
        running.process.wake();
        let cost = running.process.settle();
        assert_eq!(fs::read_link(&running.link).unwrap(), published);
        (cost, self.wire(before, 1))
    }

    fn polls(&self, repository: &Repository, options: &[&str]) -> Poll {
        const POLLS: usize = 200;
        let process = self.running(repository, "10ms", options).process;
        self.wait_for_requests(10); // whatever follows the first sync is over
        let (before, cpu) = (self.nginx.requests().len(), process.cpu());
        self.wait_for_requests(POLLS);
        let cpu = process.cpu() - cpu;
        // One request a poll, as the tests show.
        let polls = self.nginx.requests().len() - before;
        let wire = self.wire(before, polls);
        Poll { cpu: cpu / polls as u32, memory: process.resident(), wire }
    }

    /// One change after the other, of so many files.
    pub fn changes(&self, repository: &Repository, files: &[usize]) -> Rounds<Changes> {
        let ours = || {
            let running = self.running_in(repository, &self.only("ours"), "1h", &[]);
            let resident = running.process.settle().memory as f64;
            let changes = files.iter().map(|files| self.change(repository, &running, *files));
            Changes { resident, changes: changes.collect() }
        };
        let theirs = || {
            let mut peer = GitSync::new(self.only("theirs"), self.url(repository), 1);
            peer.first_sync();
            let changes = files.iter().map(|files| {
                repository.publish(&repository.prepare_change(*files));
                let before = self.nginx.requests().len();
                let (until_flip, after) = peer.change();
                Change { until_flip, after, wire: self.wire(before, 1), resident: f64::NAN }
            });
            Changes { resident: f64::NAN, changes: changes.collect() }
        };
        let floor = || {
            let root = self.only("floor");
            self.floor(repository, &root, None);
            let changes = files.iter().map(|files| {
                let last = repository.head();
                repository.publish(&repository.prepare_change(*files));
                let before = self.nginx.requests().len();
                let until_flip = self.floor(repository, &root, Some(&last));
                Change { until_flip, after: Cost::default(), wire: self.wire(before, 1), resident: f64::NAN }
            });
            Some(Changes { resident: f64::NAN, changes: changes.collect() })
        };
        Rounds::with_floor(self.rounds, ours, theirs, floor)
    }

    /// Put the packs of forty changes into one.
    pub fn repack(&self, repository: &Repository) -> Rounds<Cost> {
        const CHANGES: usize = 40;
        let ours = || {
            let running = self.running(repository, "1h", &[]);
            running.process.settle();
            let after: Vec<Cost> = (0..CHANGES).map(|_| self.change(repository, &running, 1).after).collect();
            // The last one repacks, the one before it does all else.
            let [.., before, last] = &after[..] else { unreachable!() };
            Cost {
                wall: last.wall.saturating_sub(before.wall),
                cpu: last.cpu.saturating_sub(before.cpu),
                memory: last.memory,
            }
        };
        let theirs = || {
            let mut peer = self.peer(repository, 1);
            peer.first_sync();
            for _ in 0..CHANGES {
                repository.publish(&repository.prepare_change(1));
                peer.only_fetch();
            }
            peer.gc()
        };
        Rounds::take(self.rounds, ours, theirs)
    }

    pub fn change(&self, repository: &Repository, running: &Running, files: usize) -> Change {
        let process = &running.process;
        let next = repository.prepare_change(files);
        repository.publish(&next);
        let before = self.nginx.requests().len();
        process.forget_peak();
        let (started, cpu) = (Instant::now(), process.cpu());
        process.wake();
        process.wait_for_link(&running.link, &next);
        let until_flip = Cost { wall: started.elapsed(), cpu: process.cpu() - cpu, memory: process.peak() };
        let after = process.settle();
        Change { until_flip, after, wire: self.wire(before, 1), resident: after.memory as f64 }
    }

    /// syncline after its first sync.
    fn running(&self, repository: &Repository, period: &str, options: &[&str]) -> Running {
        self.running_in(repository, &self.fresh("ours"), period, options)
    }

    /// The same in a root that is there already, or not.
    pub fn running_in(
        &self,
        repository: &Repository,
        root: &Path,
        period: &str,
        options: &[&str],
    ) -> Running {
        let mut syncline = self.syncline(repository, root);
        syncline.arg("--sync-on-signal=SIGUSR1").arg(format!("--period={period}")).args(options);
        let running = Running { process: Process::start(&mut syncline), link: root.join("link") };
        running.process.wait_for_link(&running.link, &repository.head());
        running
    }

    fn wait_for_requests(&self, more: usize) {
        let before = self.nginx.requests().len();
        wait_until(|| self.nginx.requests().len() >= before + more);
    }

    pub fn syncline(&self, repository: &Repository, root: &Path) -> Command {
        let mut command = Command::new(self.binary);
        command.env_clear().arg(format!("--repo={}", self.url(repository)));
        // Commits come within seconds here.
        command.env("GITSYNC_WORKTREE_REUSE_DELAY", "0s").env("GITSYNC_MAX_FILES", "none");
        command.arg(format!("--root={}", root.display())).arg("--link=link");
        command
    }

    /// The least that a client must do: a first sync, or a change of the tree of this commit.
    pub fn floor(&self, repository: &Repository, root: &Path, last: Option<&str>) -> Cost {
        let mut client = Command::new(std::env::current_exe().unwrap());
        client.arg(floor_client::FLOOR).arg(self.port.to_string()).arg(&repository.name);
        run(client.arg(root).args(last))
    }

    pub fn url(&self, repository: &Repository) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, repository.name)
    }

    fn peer(&self, repository: &Repository, depth: u32) -> GitSync {
        GitSync::new(self.fresh("theirs"), self.url(repository), depth)
    }

    /// A new root. The last one goes only where that is free: ext4 takes long to create many files soon after
    /// many were deleted.
    pub fn fresh(&self, name: &str) -> PathBuf {
        if is_tmpfs(self.base) {
            let _ = fs::remove_dir_all(self.base.join(name));
        }
        (0..).map(|number| self.base.join(name).join(number.to_string())).find(|root| !root.exists()).unwrap()
    }

    /// The same where no other root is needed any more: of a million files, only two or three fit into memory.
    fn only(&self, name: &str) -> PathBuf {
        for other in ["ours", "theirs", "floor"] {
            self.fresh(other);
        }
        self.fresh(name)
    }

    /// Seconds to only read the pack of a first sync.
    pub fn reading(&self, repository: &Repository, depth: u32) -> f64 {
        self.median_of(|| read_pack(self.port, repository, depth))
    }

    /// Seconds to only link every file of a tree, and to only look at every file.
    pub fn floors_of_change(&self, repository: &Repository) -> [f64; 2] {
        let root = self.only("ours");
        self.sync(repository, &root);
        let tree = fs::canonicalize(root.join("link")).unwrap();
        let copies = (0..self.rounds).map(|number| root.join(format!("copy{number}")));
        let rounds: Vec<_> = copies.map(|copy| link_and_look(&tree, &copy)).collect();
        [0, 1].map(|floor| median(rounds.iter().map(|round| round[floor].as_secs_f64())))
    }

    fn median_of(&self, mut once: impl FnMut() -> Duration) -> f64 {
        median((0..self.rounds).map(|_| once().as_secs_f64()))
    }

    /// What each of the passes sent and got since the log had so many lines.
    pub fn wire(&self, before: usize, passes: usize) -> Wire {
        let requests = &self.nginx.requests()[before..];
        let mean = |field: usize| -> f64 {
            let field = |line: &String| line.split(' ').nth(field).unwrap().parse::<f64>().unwrap();
            requests.iter().map(field).sum::<f64>() / passes as f64
        };
        Wire { requests: requests.len() as f64 / passes as f64, up: mean(4), down: mean(5) }
    }
}
