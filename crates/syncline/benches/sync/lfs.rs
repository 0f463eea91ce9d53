//! Git LFS: syncline beside `git clone` and `git lfs pull`. nginx serves the objects, the tests' server the batch API.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cases::Bench;
use crate::measure::{Cost, Process, Rounds, alone, costs, median, plain, row, run};
use crate::support::lfs::{DRIVER, LfsHost, TRACKED};
use crate::support::{Repo, isolated_git};

/// A repository, and where both programs get it.
struct Case<'a> {
    bench: &'a Bench<'a>,
    host: &'a LfsHost,
    repo: Repo,
    label: String,
}

/// Print what it costs to get one large object and many small ones, and then what a change, no change and a restart
/// cost.
pub fn print(bench: &Bench, large: usize, many: usize) {
    let base = bench.base.join("lfs");
    fs::create_dir_all(&base).unwrap();
    let host = LfsHost::start(&base);
    let repository = |name: &str, label: String, files: Vec<(String, usize)>| {
        let repo = Repo::init(&base.join(name), "sha1");
        repo.install_lfs();
        repo.write(".gitattributes", TRACKED);
        let case = Case { bench, host: &host, repo, label };
        for (number, (path, size)) in files.into_iter().enumerate() {
            case.write(&path, number as u64, size);
        }
        case.repo.git(&["add", "--all"]);
        case.repo.git(&["commit", "--quiet", "--message=x"]);
        case
    };
    repository("large", format!("1 object of {} MiB", large >> 20), vec![("big.bin".into(), large)])
        .first_sync();
    let files = (0..many).map(|number| (format!("d{}/{number}.bin", number % 100), 10 << 10)).collect();
    let many = repository("many", format!("{many} objects of 10 KiB"), files);
    many.first_sync();
    many.later();
}

impl Case<'_> {
    fn url(&self) -> String {
        let name = self.repo.path.file_name().unwrap().to_str().unwrap();
        self.host.url(&format!("{name}/.git"))
    }

    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.bench.base.join(name);
        let _ = fs::remove_dir_all(&path);
        path
    }

    /// One sync.
    fn ours(&self, root: &Path) -> Cost {
        run(self.syncline(root).arg("--one-time"))
    }

    fn git(&self, args: &[&str]) -> Cost {
        run(isolated_git().args(DRIVER).env("GIT_LFS_SKIP_SMUDGE", "1").args(args))
    }

    fn clone(&self, dir: &str) -> Cost {
        let clone = self.git(&["clone", "--quiet", "--depth=1", &self.url(), dir]);
        clone.plus(self.git(&["-C", dir, "lfs", "pull"]))
    }

    /// What `git pull` and `git lfs pull` do.
    fn pull(&self, dir: &str) -> Cost {
        let fetch = self.git(&["-C", dir, "fetch", "--quiet", "--depth=1", "origin", "HEAD"]);
        let reset = self.git(&["-C", dir, "reset", "--quiet", "--hard", "FETCH_HEAD"]);
        fetch.plus(reset).plus(self.git(&["-C", dir, "lfs", "pull"]))
    }

    fn first_sync(&self) {
        let theirs = || {
            let dir = self.fresh("theirs");
            self.clone(dir.to_str().unwrap())
        };
        let rounds = Rounds::take(self.bench.rounds, || self.ours(&self.fresh("ours")), theirs);
        costs(&self.label, "first sync", &rounds);
    }

    /// After a first sync of both.
    fn later(&self) {
        let (ours, theirs) = (self.fresh("ours"), self.fresh("theirs"));
        let dir = theirs.to_str().unwrap();
        self.ours(&ours);
        self.clone(dir);
        let requests = self.requests();
        let rounds = Rounds::take(self.bench.rounds, || self.ours(&ours), || self.pull(dir));
        costs(&self.label, "a restart, nothing new", &rounds);
        assert_eq!(self.requests(), requests, "nobody asks for what is there");
        let running = self.running(&ours);
        let (changes, counted) = (Cell::new(0), RefCell::new(Vec::new()));
        let ours = || {
            changes.set(changes.get() + 1);
            self.write("d1/1.bin", 1_000_000 + changes.get(), 10 << 10);
            self.repo.git(&["add", "--all"]);
            self.repo.git(&["commit", "--quiet", "--message=x"]);
            let (next, before) = (self.repo.head(), self.requests());
            let (started, cpu) = (Instant::now(), running.cpu());
            running.wake();
            running.wait_for_link(&ours.join("link"), &next);
            let until_flip = Cost { wall: started.elapsed(), cpu: running.cpu() - cpu, memory: 0 };
            let after = running.settle();
            counted.borrow_mut().push((self.requests() - before) as f64);
            Cost { memory: after.memory, ..until_flip }
        };
        // Only from the second change on is there a retired tree to reuse.
        ours();
        self.pull(dir);
        let rounds = Rounds::take(self.bench.rounds, ours, || self.pull(dir));
        costs(&self.label, "one changed object, until the flip", &rounds);
        let counted = median(counted.borrow().iter().copied());
        row(&self.label, "one changed object", "requests", plain, alone(counted));
    }

    /// syncline after a sync.
    fn running(&self, root: &Path) -> Process {
        let process = Process::start(self.syncline(root).args(["--period=1h", "--sync-on-signal=SIGUSR1"]));
        process.wait_for_link(&root.join("link"), &self.repo.head());
        process.settle();
        process
    }

    fn syncline(&self, root: &Path) -> Command {
        let mut syncline = Command::new(self.bench.binary);
        // Commits come within seconds here.
        syncline.env("GITSYNC_WORKTREE_REUSE_DELAY", "0s");
        syncline.arg("--repo").arg(self.url()).arg("--root").arg(root).args(["--link=link", "--lfs=on"]);
        syncline
    }

    /// Write a file in pieces: what this process holds counts for those that it starts.
    fn write(&self, path: &str, seed: u64, size: usize) {
        let path = self.repo.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(path).unwrap();
        let (mut random, mut piece) = (fastrand::Rng::with_seed(seed), vec![0; 64 << 10]);
        let mut left = size;
        while left > 0 {
            random.fill(&mut piece);
            let length = left.min(piece.len());
            file.write_all(&piece[..length]).unwrap();
            left -= length;
        }
    }

    /// How many requests the batch API and nginx had for objects.
    fn requests(&self) -> usize {
        self.host.batches() + self.host.objects().len()
    }
}
