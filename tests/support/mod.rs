//! What the tests share: a scratch directory, upstream repositories made by git, servers, and the program.

pub mod groups;
pub mod lfs;
mod lfs_server;
pub mod manifests;
pub mod many;
pub mod monitoring;
pub mod pods;
mod proxies;
mod raw;
pub mod relay;
mod repo;
mod servers;
mod skips;
mod sshd;
mod wire;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use proxies::{Guide, Microsocks, Tinyproxy, TlsFront};
pub use raw::{Hostile, RawEntry, fault};
pub use repo::{Repo, noise};
pub use servers::{GitDaemon, Nginx, Quiet, await_port, free_port};
pub use skips::skip;
pub use sshd::{Sshd, fingerprint, keygen, user, with_suffix};
pub use wire::{Canned, Meddler, Trouble, basic, get, header, request, response};

/// How long anything may take before a test fails; much longer than it ever should.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// By when all is over that waits for nothing: on a slow machine too, and long before what it is not to wait for.
pub const SOON: Duration = Duration::from_secs(10);

/// A scratch directory with a root to sync into; gone when dropped.
pub struct Env {
    dir: tempfile::TempDir,
}

impl Env {
    pub fn new() -> Env {
        Env { dir: tempfile::Builder::new().prefix("syncline-test-").tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn link(&self) -> PathBuf {
        self.root().join("link")
    }

    /// A repository with one commit, at `name` in the scratch directory.
    pub fn repo(&self, name: &str) -> Repo {
        let repo = Repo::init(&self.path(name), "sha1");
        repo.commit(&[("file", "one\n"), ("dir/other", "other\n")]);
        repo
    }

    /// The program, syncing `repo` into the root.
    pub fn syncline(&self, repo: impl AsRef<str>) -> Syncline {
        Syncline::new()
            .arg(format!("--repo={}", repo.as_ref()))
            .arg("--root")
            .arg(self.root())
            .arg("--link=link")
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.link().join(file)).unwrap()
    }

    /// The commit that the link names.
    pub fn published(&self) -> Option<String> {
        let target = fs::read_link(self.link()).ok()?;
        assert!(target.is_relative(), "{}", target.display());
        Some(target.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// Stock git agrees with everything: the store, the tree, its every byte and mode.
    #[track_caller]
    pub fn assert_published(&self, repo: &Repo, commit: &str) {
        assert_eq!(self.published().as_deref(), Some(commit));
        assert_eq!(git(&self.link(), &["rev-parse", "HEAD"]), commit);
        assert_eq!(git(&self.link(), &["status", "--porcelain"]), "");
        self.assert_store_is_sound();
        let fresh = self.path(&format!("fresh-{commit}"));
        let _ = fs::remove_dir_all(&fresh);
        repo.git(&["worktree", "add", "--quiet", "--detach", "-f", fresh.to_str().unwrap(), commit]);
        assert_eq!(listing(&self.link()), listing(&fresh));
        repo.git(&["worktree", "remove", "--force", fresh.to_str().unwrap()]);
    }

    #[track_caller]
    pub fn assert_store_is_sound(&self) {
        let (succeeded, said) = fsck(&self.root().join(".git"));
        assert!(succeeded && said.trim().is_empty(), "git fsck: {said}");
    }

    /// The packs of the store.
    pub fn packs(&self) -> Vec<PathBuf> {
        let packs =
            fs::read_dir(self.root().join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
        packs.filter(|path| path.extension() == Some("pack".as_ref())).collect()
    }

    #[track_caller]
    pub fn assert_no_leftovers(&self) {
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
    }

    /// Everything in the root that has a temporary name.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut leftovers = Vec::new();
        walk(&self.root(), &mut |path| {
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            let in_store = path.strip_prefix(self.root()).unwrap().starts_with(".git");
            if name.contains("tmp") || name.contains(".keep") || (in_store && name.ends_with(".lock")) {
                leftovers.push(path.to_owned());
            }
        });
        leftovers
    }
}

/// Every path below with its kind, permissions and content, `.git` left out.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(&fs::canonicalize(dir).unwrap(), &mut |path| {
        use std::os::unix::fs::PermissionsExt;
        let found = path.symlink_metadata().unwrap();
        let content = if found.is_symlink() {
            format!("-> {}", fs::read_link(path).unwrap().display())
        } else if found.is_dir() {
            String::new()
        } else {
            fs::read(path).unwrap().escape_ascii().to_string()
        };
        let name = path.strip_prefix(fs::canonicalize(dir).unwrap()).unwrap().to_owned();
        if !name.ends_with(".git") {
            lines.push(format!("{} {:o} {content}", name.display(), found.permissions().mode()));
        }
    });
    lines.sort();
    lines
}

pub fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        visit(&path);
        if path.symlink_metadata().unwrap().is_dir() {
            walk(&path, visit);
        }
    }
}

/// Give every pack below a directory another length.
pub fn cut_packs(dir: &Path, to: fn(u64) -> u64) {
    walk(dir, &mut |path| {
        if path.extension() == Some("pack".as_ref()) {
            fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
            let length = to(path.metadata().unwrap().len());
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        }
    })
}

/// Write a program that can be run, such as a script.
#[track_caller]
pub fn write_program(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Run git and return what it printed, without its last newline.
#[track_caller]
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = isolated_git().arg("-C").arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?} in {}: {}", dir.display(), text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

/// The same for a git that reads `input`.
#[track_caller]
pub fn git_with_input(dir: &Path, args: &[&str], input: impl AsRef<[u8]>) -> String {
    let mut git = isolated_git();
    git.arg("-C").arg(dir).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = git.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?} in {}", dir.display());
    text(&output.stdout).trim_end().to_owned()
}

/// Whether git finds a store sound, and what it says.
pub fn fsck(store: &Path) -> (bool, String) {
    let output = isolated_git().arg("--git-dir").arg(store).args(["fsck", "--strict"]).output().unwrap();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// git without the configuration of the machine.
pub fn isolated_git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for (key, value) in [("AUTHOR", "A U Thor"), ("COMMITTER", "C O Mitter")] {
        git.env(format!("GIT_{key}_NAME"), value).env(format!("GIT_{key}_EMAIL"), "a@example.com");
    }
    git
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The program under test: `$SYNCLINE_BINARY`, or the one that cargo built.
pub fn binary() -> PathBuf {
    std::env::var_os("SYNCLINE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_syncline").into()).into()
}

/// An example of sync-core.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_syncline")).with_file_name("examples").join(name);
    assert!(path.exists(), "build {name} first: cargo build --workspace --examples");
    path
}

/// Whether every step of a run is to be tried, and not only every kind of step.
pub fn tries_every_step() -> bool {
    std::env::var_os("SYNCLINE_EVERY_STEP").is_some()
}

/// Say something that is not held back when the test passes.
#[expect(clippy::explicit_write, reason = "macros are held back")]
pub fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// Try all rows of a table before failing, so that no failure hides another.
#[track_caller]
pub fn each_row<Row>(rows: impl IntoIterator<Item = Row>, mut test: impl FnMut(Row)) {
    let mut failures = Vec::new();
    for (number, row) in (1..).zip(rows) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(row))) {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            failures.push(format!("row {number}: {said}"));
        }
    }
    assert!(failures.is_empty(), "{} rows failed\n{}", failures.len(), failures.join("\n"));
}

/// Wait until `found` gives something.
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command line of the program, in an empty environment.
pub struct Syncline {
    pub command: Command,
}

impl Syncline {
    pub fn new() -> Syncline {
        let mut command = Command::new(binary());
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Syncline { command }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn one_time(self) -> Self {
        self.arg("--one-time")
    }

    pub fn run(mut self) -> Finished {
        Finished::of(self.command.output().unwrap())
    }

    /// Run a one-time sync that must succeed.
    #[track_caller]
    pub fn sync(self) -> Finished {
        let finished = self.one_time().run();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished
    }

    /// Run a one-time sync that must fail, and return its log.
    #[track_caller]
    pub fn fail(self) -> String {
        let finished = self.one_time().run();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        finished.stderr
    }

    pub fn spawn(mut self) -> Running {
        let mut child = self.command.stdout(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, sink) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut sink = sink.lock().unwrap();
                sink.push_str(&line.unwrap_or_default());
                sink.push('\n');
            }
        });
        Running { child, log }
    }
}

pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    fn of(output: Output) -> Finished {
        Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The program in the background; killed when dropped.
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Wait for a text in the log.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    #[track_caller]
    pub fn wait_for_times(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(started.elapsed() < PATIENCE, "no {text:?} in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Wait for a text to come as many times more.
    #[track_caller]
    pub fn wait_for_more(&self, text: &str, times: usize) {
        self.wait_for_times(text, self.log().matches(text).count() + times);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The exit code once it ended, and how long that took.
    #[track_caller]
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let code = eventually("the program's end", || self.child.try_wait().unwrap()).code();
        (code, started.elapsed())
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
