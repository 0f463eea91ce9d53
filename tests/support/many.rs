//! Many repositories in one process: their upstreams, the file that lists them, and what is published.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Env, GitDaemon, Nginx, Repo, Running, Sshd, Syncline, eventually, fsck, get, git, listing};

/// A scratch directory with upstreams, a file that lists them, and a root for all.
pub struct Many {
    pub env: Env,
}

impl Many {
    pub fn new() -> Many {
        Many { env: Env::new() }
    }

    /// With upstreams of these names.
    pub fn with<const COUNT: usize>(names: [&str; COUNT]) -> (Many, [Repo; COUNT]) {
        let many = Many::new();
        let repos = names.map(|name| many.env.repo(name));
        (many, repos)
    }

    pub fn file(&self) -> PathBuf {
        self.env.path("config.yaml")
    }

    /// Put another file in the place of the last, by a rename.
    pub fn write(&self, text: impl AsRef<[u8]>) {
        replace(&self.file(), text);
    }

    /// The program, syncing what the file lists.
    pub fn syncline(&self) -> Syncline {
        Syncline::new().arg("--config").arg(self.file()).arg("--root").arg(self.env.root())
    }

    pub fn spawn(&self, text: impl AsRef<[u8]>) -> Running {
        self.write(text);
        self.syncline().spawn()
    }

    /// The root of a repository.
    pub fn root(&self, name: &str) -> PathBuf {
        self.env.root().join(name)
    }

    pub fn link(&self, name: &str) -> PathBuf {
        self.root(name).join("current")
    }

    /// The commit that the link of a repository names.
    pub fn published(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.link(name)).ok()?;
        Some(target.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// Wait until the link of a repository leads to a path below its trees.
    #[track_caller]
    pub fn wait_for_target(&self, name: &str, path: &str) {
        let leads = || fs::read_link(self.link(name)).is_ok_and(|target| target.ends_with(path));
        eventually(&format!("{path} of {name}"), || leads().then_some(()));
    }

    #[track_caller]
    pub fn wait_for(&self, name: &str, commit: &str) {
        eventually(&format!("{commit} of {name}"), || (self.published(name)? == commit).then_some(()));
    }

    /// Stock git agrees with the store and the tree.
    #[track_caller]
    pub fn assert_published(&self, name: &str, repo: &Repo) {
        let (link, head) = (self.link(name), repo.head());
        assert_eq!(self.published(name).as_ref(), Some(&head), "{name}");
        assert_eq!(git(&link, &["rev-parse", "HEAD"]), head, "{name}");
        assert_eq!(git(&link, &["status", "--porcelain"]), "", "{name}");
        assert_eq!(listing(&link), listing_of(&repo.path), "{name}");
        let (succeeded, said) = fsck(&self.root(name).join(".git"));
        assert!(succeeded, "{name}: {said}");
    }

    pub fn read(&self, name: &str, file: &str) -> String {
        fs::read_to_string(self.link(name).join(file)).unwrap()
    }
}

/// The files of a work tree that is clean.
fn listing_of(tree: &Path) -> Vec<String> {
    let lines = listing(tree).into_iter();
    lines.filter(|line| !line.starts_with(".git/")).collect()
}

/// Put a file in the place of another, by a rename.
pub fn replace(path: &Path, text: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// An entry of a file: the URL of a repository, and more options as `key: value, …`.
pub fn entry(name: &str, url: impl AsRef<str>, more: &str) -> String {
    let separator = if more.is_empty() { "" } else { ", " };
    format!("  {name}: {{repo: '{}'{separator}{more}}}\n", url.as_ref())
}

/// A file with these options of the process, defaults as `key: value, …`, and entries.
pub fn file(process: &str, defaults: &str, entries: &[String]) -> String {
    format!("{process}\ndefaults: {{{defaults}}}\nrepos:\n{}", entries.concat())
}

/// One server for each protocol, which serve the same directory.
pub struct Trio {
    pub nginx: Nginx,
    pub daemon: GitDaemon,
    pub sshd: Sshd,
}

impl Trio {
    pub fn start(env: &Env) -> Trio {
        let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
        let sshd = Sshd::start(env);
        sshd.authorized_key();
        sshd.known_hosts(&sshd.host_line("ed25519"));
        Trio { nginx, daemon, sshd }
    }

    /// Where the servers, in turn, have a repository of a scratch directory.
    pub fn url(&self, turn: usize, env: &Env, name: &str) -> String {
        match turn % 3 {
            0 => self.nginx.url(&format!("{name}/.git")),
            1 => self.daemon.url(&format!("{name}/.git")),
            _ => self.sshd.url(env.path(name)),
        }
    }

    /// The options that open the SSH server.
    pub fn defaults(&self) -> String {
        let [key, known_hosts] = ["key", "known_hosts"].map(|name| self.sshd.path(name));
        format!("ssh-key-file: '{}', ssh-known-hosts-file: '{}'", key.display(), known_hosts.display())
    }
}

/// How often a log has a message, of a repository.
pub fn count(running: &Running, repo: &str, message: &str) -> usize {
    let log = running.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_meant = |line: &Value| {
        let name = line["span"]["repo"].as_str().or(line["repo"].as_str());
        name == Some(repo) && line["message"].as_str().is_some_and(|text| text.starts_with(message))
    };
    lines.filter(is_meant).count()
}

/// Wait until the log has a message of a repository so many times.
#[track_caller]
pub fn wait_for_times(running: &Running, repo: &str, message: &str, times: usize) {
    let what = format!("{message:?} of {repo}");
    eventually(&what, || (count(running, repo, message) >= times).then_some(()));
}

/// Wait for a message of a repository.
#[track_caller]
pub fn wait_for(running: &Running, repo: &str, message: &str) {
    wait_for_times(running, repo, message, 1);
}

/// A page of JSON.
#[track_caller]
pub fn page(port: u16, path: &str) -> Value {
    let (status, text) = get(port, path);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// A sample of `/metrics`, by its whole name with labels.
pub fn metric(port: u16, name: &str) -> Option<f64> {
    let text = get(port, "/metrics").1;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}
