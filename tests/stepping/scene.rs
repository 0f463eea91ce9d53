//! What the program is watched at, call by call: an upstream, a root as it is before, and the commits that the
//! upstream shows one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::relayed::{self, Part};
use super::steps::{Call, Deed, Effect, masked, step_through};
use crate::support::lfs::{LfsServer, TRACKED, assert_objects_are_whole};
use crate::support::{Env, GitDaemon, Repo, Syncline, fsck, git, listing, walk};

pub struct Scene {
    pub name: &'static str,
    pub env: Env,
    pub up: Repo,
    part: Part,
    /// Without one, the upstream is a path.
    daemon: Option<GitDaemon>,
    /// Has the objects of Git LFS. Without one, they are in the upstream.
    lfs: Option<LfsServer>,
    pub options: Vec<&'static str>,
    /// What the upstream shows, one after the other. A commit that does not exist makes a sync fail.
    pub shown: Vec<String>,
    /// The files of every commit, as git writes them.
    trees: BTreeMap<String, Vec<String>>,
    /// The names below the root after a run that nobody disturbed, and how many there are of each.
    names: BTreeMap<String, usize>,
    /// What a sync says that fails as the scene wants it.
    pub refusal: Option<&'static str>,
    /// Whether a failed sync folds packs, before the last commit brings its own.
    pub may_fold_early: bool,
    /// How files of an earlier tree came into the last, in the log's words.
    pub by: &'static str,
}

/// How a run came out: `code` is `None` for one that was killed.
pub struct Played {
    pub code: Option<i32>,
    pub log: String,
}

impl Scene {
    /// An upstream of a dozen files of all kinds, and no root yet.
    pub fn new(name: &'static str, served: bool) -> Scene {
        Scene::of(name, served, Part::Alone)
    }

    /// The same, where the program under watch has this part at a relay.
    pub fn of(name: &'static str, served: bool, part: Part) -> Scene {
        let env = Env::new();
        let up = env.repo("up");
        for number in 0..6 {
            up.write(&format!("d{}/f{number}", number % 2), format!("{number}\n").repeat(100));
        }
        up.write(".gitattributes", "*.dos text eol=crlf\n");
        up.write("text.dos", "dos\n");
        symlink("d0/f0", up.path.join("a-link")).unwrap();
        let daemon = served.then(|| GitDaemon::start(&env.path("")));
        let mut scene = Scene {
            name,
            env,
            up,
            part,
            daemon,
            lfs: None,
            options: Vec::new(),
            shown: Vec::new(),
            trees: BTreeMap::new(),
            names: BTreeMap::new(),
            refusal: None,
            may_fold_early: false,
            by: "",
        };
        scene.commit(&[]);
        scene
    }

    pub fn option(mut self, option: &'static str) -> Self {
        self.options.push(option);
        self
    }

    /// From now on `*.bin` are files of Git LFS.
    pub fn with_lfs(mut self) -> Self {
        self.up.install_lfs();
        let attributes = fs::read_to_string(self.up.path.join(".gitattributes")).unwrap();
        self.up.write(".gitattributes", attributes + TRACKED);
        self.lfs = self.daemon.is_some().then(|| LfsServer::start(&self.env.path("")));
        self.option("--lfs=on")
    }

    pub fn url(&self) -> String {
        match &self.daemon {
            Some(daemon) => daemon.url("up/.git"),
            None => format!("{}/.git", self.up.url()),
        }
    }

    /// One more commit that the upstream shows.
    pub fn commit(&mut self, files: &[(&str, &str)]) {
        let commit = self.up.commit(files);
        self.add(&commit);
    }

    pub fn add(&mut self, commit: &str) {
        if self.part == Part::Follower {
            relayed::record(&self.env, self.url(), commit);
            relayed::show(&self.env, commit);
        }
        self.trees.insert(commit.to_owned(), self.files_of(commit));
        self.shown.push(commit.to_owned());
    }

    /// One more that the upstream shows, and which is never published.
    pub fn show_refused(&mut self, commit: String, refusal: &'static str) {
        self.shown.push(commit);
        self.refusal = Some(refusal);
    }

    /// One more that the upstream shows, which does not exist.
    pub fn fail_once(&mut self) {
        self.shown.push("1".repeat(40));
    }

    /// The root is as it is before; the upstream shows only what is still to be added.
    pub fn begin_here(&mut self) {
        let published = self.up.head();
        self.trees.insert(published.clone(), self.files_of(&published));
        fs::rename(self.env.root(), self.before()).unwrap();
        self.shown.clear();
    }

    /// Bring the root up to date, undisturbed.
    pub fn sync(&self) {
        match self.part {
            Part::Feeder => relayed::recover(self.syncline(), &self.env, &self.up.head()),
            Part::Alone | Part::Follower => _ = self.syncline().sync(),
        }
    }

    fn syncline(&self) -> Syncline {
        let syncline = self.part.syncline(&self.env, self.url());
        let syncline = syncline.arg("--error-file=error").arg("--touch-file=touched");
        let mut syncline = syncline.arg("--worktree-reuse-delay=0s");
        if let Some(lfs) = &self.lfs {
            syncline = syncline.arg(format!("--lfs-url={}", lfs.endpoint("up/.git")));
        }
        self.options.iter().fold(syncline, Syncline::arg)
    }

    fn before(&self) -> PathBuf {
        self.env.path("before")
    }

    fn last(&self) -> &String {
        self.shown.last().unwrap()
    }

    fn show(&self, commit: &str) {
        if self.part == Part::Follower {
            return relayed::show(&self.env, commit);
        }
        fs::write(self.up.path.join(".git/refs/heads/main"), format!("{commit}\n")).unwrap();
    }

    /// What git makes of a commit, its submodules included.
    fn files_of(&self, commit: &str) -> Vec<String> {
        let fresh = self.env.path("fresh");
        let add = |repo: &Path, dir: &Path, commit: &str| {
            git(repo, &["worktree", "add", "--quiet", "--detach", "-f", dir.to_str().unwrap(), commit])
        };
        add(&self.up.path, &fresh, commit);
        for line in self.up.git(&["ls-tree", "-r", commit]).lines().filter(|line| line.starts_with("160000"))
        {
            let (id, path) = line["160000 commit ".len()..].split_once('\t').unwrap();
            add(&self.env.path(path), &fresh.join(path), id);
        }
        let files = listing(&fresh);
        fs::remove_dir_all(&fresh).unwrap();
        files
    }

    /// The root is again as it is before.
    fn reset(&self) {
        let _ = fs::remove_dir_all(self.env.root());
        if self.before().exists() {
            restore(&self.before(), &self.env.root(), false);
        }
        self.show(&self.shown[0]);
    }

    /// Run the program from the beginning until it has published all that the upstream shows and found nothing
    /// new after that; its every step is put to `decide`.
    pub fn play(&self, mut decide: impl FnMut(&Call) -> Deed + Send) -> Played {
        self.reset();
        let syncline = self.syncline().arg("--period=10ms").arg("--max-failures=-1").arg("-v1");
        let (mut log, mut coming) = (String::new(), self.shown[1..].iter());
        // A feeder has one more look to clean up.
        let mut looks_left = if self.part == Part::Feeder { 2 } else { 1 };
        let code = step_through(&syncline.command, &self.env.root(), |call| {
            let deed = decide(call);
            if call.effect != Effect::Logs || deed != Deed::Allow {
                return deed;
            }
            log.push_str(&call.object);
            let says = |words: &str| call.object.contains(&format!("\"message\":\"{words}"));
            let is_over = says("nothing new");
            if is_over || says("published") || says("sync failed") {
                match coming.next() {
                    Some(commit) => self.show(commit),
                    None if is_over && self.part.has_told(&self.env, self.last()) => {
                        looks_left -= 1;
                        if looks_left == 0 {
                            return Deed::Terminate;
                        }
                    }
                    None => {}
                }
            }
            Deed::Allow
        });
        Played { code, log }
    }

    /// The steps of a run that nobody disturbs, which also shows what is to be there at the end.
    pub fn rehearse(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        let played = self.play(|call| {
            calls.push(call.clone());
            Deed::Allow
        });
        assert_eq!(played.code, Some(0), "{}: {}", self.name, played.log);
        let published = played.log.lines().rfind(|line| line.contains("\"message\":\"published\"")).unwrap();
        assert!(published.contains(self.by), "{}: {}", self.name, played.log);
        self.env.assert_no_leftovers();
        self.names = names(&self.env.root());
        self.assert_settled("undisturbed");
        calls
    }

    /// Start the program once more, without any help, so that it ends when it succeeded.
    #[track_caller]
    pub fn recover(&self, case: &str) {
        self.show(self.last());
        if self.part == Part::Feeder {
            return relayed::recover(self.syncline(), &self.env, self.last());
        }
        let finished = self.syncline().one_time().run();
        assert_eq!(finished.code, Some(0), "{case}: {}", finished.stderr);
    }

    /// Whoever reads through the link sees all of the old tree or all of a new one. What has the name of an object of
    /// Git LFS has its content.
    #[track_caller]
    pub fn assert_whole(&self, case: &str) {
        assert_objects_are_whole(&self.env.root().join(".git"));
        match fs::read_link(self.env.link()) {
            Err(_) => assert!(fs::read_link(self.before().join("link")).is_err(), "{case}: the link is gone"),
            Ok(target) => {
                let name = target.file_name().unwrap().to_str().unwrap();
                let expected = self.trees.get(name).unwrap_or_else(|| panic!("{case}: it shows {name}"));
                assert_eq!(&listing(&self.env.link()), expected, "{case}");
            }
        }
    }

    /// Once the store is recorded to be ours, and unless folding says that it has not ended, nothing is without a
    /// name but what came last.
    #[track_caller]
    pub fn assert_named(&self, case: &str) {
        let git = self.env.root().join(".git");
        if !git.join("refs/heads/git-sync").exists() || git.join("syncline-folding").exists() {
            return;
        }
        let said = fsck(&git).1;
        let is_new = |line: &str| self.shown.iter().any(|commit| line == format!("dangling commit {commit}"));
        let nameless: Vec<&str> =
            said.lines().filter(|line| line.starts_with("dangling ") && !is_new(line)).collect();
        assert!(nameless.is_empty(), "{case}: {nameless:?}");
    }

    /// The newest commit is published, git finds nothing wrong, and nothing is there that is not there after a run
    /// that nobody disturbed.
    #[track_caller]
    pub fn assert_settled(&self, case: &str) {
        assert_eq!(self.env.published().as_ref(), Some(self.last()), "{case}");
        self.assert_whole(case);
        assert_eq!(
            git(&self.env.link(), &["status", "--porcelain", "--ignore-submodules=none"]),
            "",
            "{case}"
        );
        for store in self.stores() {
            let (succeeded, said) = fsck(&store);
            // What a killed process brought may be of no use any more.
            let is_sound = succeeded && said.lines().all(|line| line.starts_with("dangling "));
            assert!(is_sound, "{case}: fsck of {}: {said}", store.display());
        }
        if self.part == Part::Feeder {
            relayed::assert_followed(&self.env, self.last(), case);
        }
        let names = names(&self.env.root());
        let most = |name: &String| {
            let of_one_more = self.may_fold_early && name.starts_with(".git/objects/pack/");
            self.names.get(name).map_or(0, |known| known + usize::from(of_one_more))
        };
        let is_more = |name: &String, count: usize| count > most(name) && !self.part.may_be_left(name);
        let more = names.iter().filter(|(name, count)| is_more(name, **count));
        let gone = self.names.keys().filter(|name| !names.contains_key(*name));
        let (more, gone): (Vec<_>, Vec<_>) = (more.collect(), gone.collect());
        assert!(more.is_empty() && gone.is_empty(), "{case}: too many {more:?}, missing {gone:?}");
    }

    /// What a failed sync took is given back: every tree is whole, and nothing has a temporary name but a retired tree
    /// that the sync did not come to reuse.
    #[track_caller]
    pub fn assert_given_back(&self, case: &str) {
        let root = self.env.root();
        let is_retired = |path: &PathBuf| {
            let inside = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            inside.starts_with(".worktrees/.tmp-old-") || inside.starts_with(".git/tmp-old-")
        };
        let leftovers: Vec<_> = self.env.leftovers().into_iter().filter(|path| !is_retired(path)).collect();
        assert!(leftovers.is_empty(), "{case}: {leftovers:?}");
        for tree in fs::read_dir(root.join(".worktrees")).into_iter().flatten() {
            let tree = tree.unwrap();
            let name = tree.file_name().into_string().unwrap();
            let commit = name.trim_start_matches(".tmp-old-");
            assert_eq!(&listing(&tree.path()), &self.trees[commit], "{case}");
        }
    }

    fn stores(&self) -> Vec<PathBuf> {
        let git = self.env.root().join(".git");
        let modules = fs::read_dir(git.join("modules")).into_iter().flatten();
        let modules: Vec<_> = modules.map(|entry| entry.unwrap().path()).collect();
        modules.into_iter().chain([git]).collect()
    }
}

/// Trees are linked, so that their files are as their index has them, and with them the objects of Git LFS.
pub fn restore(from: &Path, to: &Path, is_store: bool) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, from, to) = (entry.file_type().unwrap(), entry.path(), to.join(entry.file_name()));
        let is_store = match entry.file_name().to_str() {
            Some(".git") => kind.is_dir(),
            Some("lfs") => false,
            _ => is_store,
        };
        if kind.is_dir() {
            restore(&from, &to, is_store);
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else if is_store {
            fs::copy(&from, to).unwrap();
        } else {
            fs::hard_link(&from, to).unwrap();
        }
    }
}

/// The names below a directory, without what differs between runs, and how many there are of each.
pub fn names(root: &Path) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    walk(root, &mut |path| {
        let name = masked(&path.strip_prefix(root).unwrap().to_string_lossy());
        *names.entry(name).or_default() += 1;
    });
    names
}
