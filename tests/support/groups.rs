//! A group of repositories: their upstreams, the file that lists them, and what consumers see of the group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Env, Nginx, Repo, Running, Syncline, eventually, fsck, git, walk};

/// The files of every upstream; all hold one number.
const FILES: [&str; 4] = ["number", "a/number", "a/b/number", "z/number"];

/// Repositories of a group named `all`. Work on them is seen by nobody before it is [shown](Group::show).
pub struct Group {
    pub env: Env,
    pub repos: BTreeMap<&'static str, Repo>,
    /// Without one, upstreams are paths.
    nginx: Option<Nginx>,
    /// Options of all repositories, as `key: value, …`.
    pub defaults: String,
    /// More options of single repositories.
    pub options: BTreeMap<&'static str, String>,
    /// Options of the group.
    pub group: String,
}

impl Group {
    /// All show the number 0.
    pub fn new(names: &[&'static str]) -> Group {
        Group::with_format(names, "sha1")
    }

    pub fn with_format(names: &[&'static str], format: &str) -> Group {
        let mut group = Group {
            env: Env::new(),
            repos: BTreeMap::new(),
            nginx: None,
            defaults: "period: 50ms, stale-worktree-timeout: 0s, worktree-reuse-delay: 0s".into(),
            options: BTreeMap::new(),
            group: "settle: 200ms".into(),
        };
        for name in names {
            let repo = Repo::init(&group.env.path(name), format);
            repo.git(&["symbolic-ref", "HEAD", "refs/heads/work"]);
            repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
            // No two have a commit in common, and a commit has most files from the one before.
            for file in 0..6 {
                repo.write(&format!("same/{file}"), format!("{file} of {name}\n"));
            }
            group.repos.insert(name, repo);
        }
        group.push(0);
        group
    }

    /// Upstreams are served over HTTP.
    pub fn served(mut self) -> Self {
        self.nginx = Some(Nginx::start(&self.env.path("")));
        self
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.repos.keys().copied().collect()
    }

    /// A new commit with this number in all files, which is not shown yet.
    pub fn commit(&self, name: &str, number: usize) -> String {
        let text = format!("{number}\n");
        self.repos[name].commit(&FILES.map(|file| (file, text.as_str())))
    }

    /// The upstream shows a commit from now on.
    pub fn show(&self, name: &str, commit: &str) {
        let git = self.repos[name].path.join(".git");
        fs::write(git.join("shown"), format!("{commit}\n")).unwrap();
        fs::rename(git.join("shown"), git.join("refs/heads/main")).unwrap();
    }

    /// One upstream shows a new commit with this number.
    pub fn push_to(&self, name: &str, number: usize) -> String {
        let commit = self.commit(name, number);
        self.show(name, &commit);
        commit
    }

    /// All upstreams show this number, one right after the other.
    pub fn push(&self, number: usize) {
        let commits = self.repos.keys().map(|name| (*name, self.commit(name, number)));
        for (name, commit) in commits.collect::<Vec<_>>() {
            self.show(name, &commit);
        }
    }

    /// An upstream that no sync finds.
    pub fn take_away(&self, name: &str) {
        fs::rename(self.repos[name].path.join(".git"), self.repos[name].path.join("away")).unwrap();
    }

    pub fn bring_back(&self, name: &str) {
        fs::rename(self.repos[name].path.join("away"), self.repos[name].path.join(".git")).unwrap();
    }

    /// More options of a repository.
    pub fn option(mut self, name: &'static str, options: &str) -> Self {
        self.options.insert(name, options.into());
        self
    }

    /// Other options of the group.
    pub fn group(mut self, options: impl Into<String>) -> Self {
        self.group = options.into();
        self
    }

    fn url(&self, name: &str) -> String {
        match &self.nginx {
            Some(nginx) => nginx.url(&format!("{name}/.git")),
            None => self.repos[name].url().to_owned(),
        }
    }

    /// The file, with a group of these members.
    pub fn write(&self, members: &[&str]) {
        let group = format!("groups:\n  all: {{members: [{}], {}}}\n", members.join(", "), self.group);
        self.write_with(&group);
    }

    /// The file, with these groups.
    pub fn write_with(&self, groups: &str) {
        let mut text = format!("defaults: {{ref: main, {}}}\nrepos:\n", self.defaults);
        for name in self.repos.keys() {
            let more = self.options.get(name).map_or("", |options| options);
            text.push_str(&format!("  {name}: {{repo: '{}', {more}}}\n", self.url(name)));
        }
        let (file, new) = (self.file(), self.env.path("config.new"));
        fs::write(&new, text + groups).unwrap();
        fs::rename(new, file).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.env.path("config.yaml")
    }

    /// The program with the file as it is.
    pub fn syncline(&self) -> Syncline {
        self.syncline_in(&self.env.root())
    }

    pub fn syncline_in(&self, root: &Path) -> Syncline {
        Syncline::new().arg("--config").arg(self.file()).arg("--root").arg(root).env("PATH", "/bin:/usr/bin")
    }

    /// The program, with a group of all.
    pub fn spawn(&self) -> Running {
        self.write(&self.names());
        self.syncline().spawn()
    }

    pub fn link(&self) -> PathBuf {
        self.env.root().join("all")
    }

    /// What consumers see who open the group once.
    pub fn opened(&self) -> Option<Opened> {
        Opened::open(&self.link())
    }

    /// The numbers that the group shows, by the names of its members.
    pub fn numbers(&self) -> BTreeMap<String, String> {
        self.opened().map(|opened| opened.numbers().unwrap()).unwrap_or_default()
    }

    /// Wait until all members show these numbers, in the order of their names.
    #[track_caller]
    pub fn wait_for(&self, numbers: &[usize]) {
        let wanted: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let seen = || self.numbers().into_values().collect::<Vec<_>>();
        let what = format!("the group shows {numbers:?}");
        eventually(&what, || (seen() == wanted).then_some(()));
    }

    #[track_caller]
    pub fn assert_shows(&self, numbers: &[usize]) {
        let seen: Vec<String> = self.numbers().into_values().collect();
        assert_eq!(seen, numbers.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    /// The link was flipped so many times.
    #[track_caller]
    pub fn assert_flips(&self, running: &Running, times: usize) {
        let words = "\"published together\"";
        running.wait_for_times(words, times);
        assert_eq!(running.log().matches(words).count(), times, "{}", running.log());
    }

    /// The commits that the group shows, by the names of its members.
    pub fn commits(&self) -> BTreeMap<String, String> {
        let commit = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            let target = fs::read_link(entry.path()).unwrap();
            let commit = target.components().skip_while(|part| part.as_os_str() != ".worktrees").nth(1);
            (name_of(&entry.path()), commit.unwrap().as_os_str().to_str().unwrap().to_owned())
        };
        fs::read_dir(self.link()).map(|entries| entries.map(commit).collect()).unwrap_or_default()
    }

    /// The commit that the own link of a member names.
    pub fn published(&self, name: &str) -> Option<String> {
        Some(name_of(&fs::read_link(self.env.root().join(name).join("current")).ok()?))
    }

    /// The directory that the link of the group leads to.
    pub fn generation(&self) -> Option<PathBuf> {
        let target = fs::read_link(self.link()).ok()?;
        assert!(target.is_relative() && target.starts_with(".groups/all"), "{}", target.display());
        Some(self.env.root().join(target))
    }

    /// The directories of all generations.
    pub fn generations(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.env.root().join(".groups/all")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The generations that are not shown were replaced so long ago.
    pub fn age(&self, by: Duration) {
        let shown = self.generation();
        for generation in self.generations().into_iter().filter(|path| Some(path) != shown.as_ref()) {
            set_age(&generation, by);
        }
    }

    /// The members' own links show what the group shows.
    #[track_caller]
    pub fn wait_for_members(&self) {
        eventually("the members follow the group", || {
            let mut commits = self.commits().into_iter();
            commits.all(|(name, commit)| self.published(&name) == Some(commit)).then_some(())
        });
    }

    /// What is shown is whole, stock git finds nothing wrong, and nothing has a temporary name but retired trees.
    #[track_caller]
    pub fn assert_sound(&self, case: &str) {
        let root = self.env.root();
        if let Some(opened) = self.opened() {
            opened.numbers().unwrap_or_else(|err| panic!("{case}: {err}"));
        }
        for (name, commit) in self.commits() {
            let tree = self.link().join(&name);
            assert_eq!(git(&tree, &["rev-parse", "HEAD"]), commit, "{case}: {name}");
            assert_eq!(git(&tree, &["status", "--porcelain"]), "", "{case}: {name}");
        }
        for name in self.names().into_iter().filter(|name| root.join(name).join(".git").exists()) {
            let (succeeded, said) = fsck(&root.join(name).join(".git"));
            assert!(succeeded, "{case}: fsck of {name}: {said}");
        }
    }

    /// Nothing has a temporary name.
    #[track_caller]
    pub fn assert_no_leftovers(&self, case: &str) {
        let mut leftovers = Vec::new();
        walk(&self.env.root(), &mut |path| {
            let name = name_of(path);
            if name.contains("tmp") || name.ends_with(".lock") {
                leftovers.push(path.to_owned());
            }
        });
        assert_eq!(leftovers, Vec::<PathBuf>::new(), "{case}");
    }
}

/// An open directory of a generation.
pub struct Opened(File);

impl Opened {
    /// `None` if there is none.
    pub fn open(path: &Path) -> Option<Opened> {
        File::open(path).ok().map(Opened)
    }

    /// The number in all files of each member, by their names. No file may be missing or hold another number.
    pub fn numbers(&self) -> Result<BTreeMap<String, String>, String> {
        numbers_in(Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())))
    }
}

/// The number in all files of each member of a generation, by their names.
pub fn numbers_in(generation: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut numbers = BTreeMap::new();
    for entry in fs::read_dir(generation).map_err(|err| err.to_string())? {
        let member = entry.map_err(|err| err.to_string())?.path();
        let read = FILES.map(|file| {
            let path = member.join(file);
            fs::read_to_string(&path).map_err(|err| format!("{}: {err}", path.display()))
        });
        let read: Vec<String> = read.into_iter().collect::<Result<_, _>>()?;
        if read.iter().any(|text| *text != read[0]) {
            return Err(format!("{} is mixed: {read:?}", member.display()));
        }
        numbers.insert(name_of(&member), read[0].trim().to_owned());
    }
    Ok(numbers)
}

/// A generation was replaced so long ago.
pub fn set_age(generation: &Path, age: Duration) {
    let at = SystemTime::now() - age;
    File::open(generation).and_then(|directory| directory.set_modified(at)).unwrap();
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
