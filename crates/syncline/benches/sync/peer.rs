//! What git-sync v4 runs, command by command: see "Performance-relevant behaviour" in its sources' behaviour.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::measure::{Cost, run};
use crate::support::{git, isolated_git};

/// A root as git-sync keeps it.
pub struct GitSync {
    root: PathBuf,
    url: String,
    depth: u32,
    current: Option<String>,
}

impl GitSync {
    pub fn new(root: PathBuf, url: String, depth: u32) -> GitSync {
        fs::create_dir_all(&root).unwrap();
        GitSync { root, url, depth, current: None }
    }

    fn git(&self, args: &[&str]) -> Cost {
        run(&mut command(&self.root, args))
    }

    fn in_tree(&self, hash: &str, args: &[&str]) -> Cost {
        run(&mut command(&self.tree(hash), args))
    }

    fn tree(&self, hash: &str) -> PathBuf {
        self.root.join(".worktrees").join(hash)
    }

    fn all(&self, commands: &[&[&str]]) -> Cost {
        commands.iter().map(|args| self.git(args)).fold(Cost::default(), Cost::plus)
    }

    const SANITY: [&'static [&'static str]; 2] =
        [&["rev-parse", "--show-toplevel"], &["fsck", "--no-progress", "--connectivity-only"]];

    fn fetch(&self) -> Cost {
        let depth = self.depth.to_string();
        let mut args =
            vec!["fetch", &self.url, "HEAD", "--verbose", "--no-progress", "--prune", "--no-auto-gc"];
        if self.depth > 0 {
            args.extend(["--depth", &depth]);
        }
        self.git(&args).plus(self.git(&["rev-parse", "FETCH_HEAD^{}"]))
    }

    /// From nothing to the flipped link.
    pub fn first_sync(&mut self) -> Cost {
        self.git(&["init", "-b", "git-sync"])
            .plus(self.all(&Self::SANITY))
            .plus(self.git(&["remote", "add", "origin", &self.url]))
            .plus(self.fetch())
            .plus(self.publish())
    }

    /// A pass that finds nothing new.
    pub fn poll(&mut self) -> Cost {
        let current = self.current.clone().unwrap();
        self.all(&Self::SANITY)
            .plus(self.git(&["remote", "get-url", "origin"]))
            .plus(self.fetch())
            .plus(self.in_tree(&current, &["rev-parse", "HEAD"]))
            .plus(self.in_tree(&current, &["fsck", "--no-progress", "--connectivity-only"]))
    }

    /// A pass that finds something new: until the flip, and what follows.
    pub fn change(&mut self) -> (Cost, Cost) {
        let old = self.current.clone().unwrap();
        let until_flip = self
            .all(&Self::SANITY)
            .plus(self.git(&["remote", "get-url", "origin"]))
            .plus(self.fetch())
            .plus(self.publish());
        let started = Instant::now();
        fs::remove_dir_all(self.tree(&old)).unwrap();
        let removal = Cost { wall: started.elapsed(), ..Cost::default() };
        let after = self.all(&[
            &["worktree", "prune"],
            &["reflog", "expire", "--expire-unreachable=all", "--all"],
            &["gc"],
        ]);
        (until_flip, after.plus(removal))
    }

    /// Fetch what is new and publish nothing.
    pub fn only_fetch(&self) {
        self.fetch();
    }

    pub fn gc(&self) -> Cost {
        self.git(&["gc"])
    }

    fn publish(&mut self) -> Cost {
        let hash = git(&self.root, &["rev-parse", "FETCH_HEAD^{}"]);
        let tree = self.tree(&hash);
        let add = ["worktree", "add", "--force", "--detach", tree.to_str().unwrap(), &hash, "--no-checkout"];
        let mut cost = self.git(&["reset", "--soft", &hash, "--"]).plus(self.git(&add));
        fs::write(tree.join(".git"), format!("gitdir: ../../.git/worktrees/{hash}\n")).unwrap();
        let mut submodules = vec!["submodule", "update", "--init", "--recursive"];
        if self.depth > 0 {
            submodules.extend(["--depth", "1"]);
        }
        cost = cost
            .plus(self.in_tree(&hash, &["reset", "--hard", &hash, "--"]))
            .plus(self.in_tree(&hash, &submodules));
        let temporary = self.root.join("tmp-link");
        std::os::unix::fs::symlink(format!(".worktrees/{hash}"), &temporary).unwrap();
        fs::rename(temporary, self.root.join("link")).unwrap();
        self.current = Some(hash);
        cost
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = isolated_git();
    command.arg("-C").arg(dir).args(["-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=now"]).args(args);
    command
}
