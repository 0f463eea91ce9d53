//! What stock git makes of a commit in an empty directory, to compare with.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use super::tree::Tree;
use super::upstream::{Commit, Upstream};
use crate::support::lfs::DRIVER;
use crate::support::{isolated_git, text, walk};

/// Every path below a directory, with its mode and content; a directory is empty, a link is its target.
#[derive(Clone, Default, PartialEq)]
pub struct Snapshot(BTreeMap<Vec<u8>, (u32, Vec<u8>)>);

impl Snapshot {
    /// `.git` files are left out.
    pub fn of(dir: &Path) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.add(dir, &[]);
        snapshot
    }

    fn add(&mut self, dir: &Path, prefix: &[u8]) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let found = path.symlink_metadata().unwrap();
            let name = [prefix, entry.file_name().as_bytes()].concat();
            if entry.file_name() == ".git" && found.is_file() {
                continue;
            }
            let content = if found.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().as_bytes().to_vec()
            } else if found.is_dir() {
                self.add(&path, &[&name[..], b"/"].concat());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            self.0.insert(name, (found.mode(), content));
        }
    }

    pub fn paths(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.keys()
    }

    /// The first few differences from what was expected, in words; empty where there are none.
    pub fn differences(&self, expected: &Snapshot) -> Vec<String> {
        let mut paths: Vec<&Vec<u8>> = self.0.keys().chain(expected.0.keys()).collect();
        paths.sort();
        paths.dedup();
        let differing = paths.into_iter().filter(|path| self.0.get(*path) != expected.0.get(*path)).take(5);
        differing
            .map(|path| {
                let (found, expected) = (describe(self.0.get(path)), describe(expected.0.get(path)));
                format!("{}\n    is  {found}\n    not {expected}", path.escape_ascii())
            })
            .collect()
    }
}

fn describe(found: Option<&(u32, Vec<u8>)>) -> String {
    let Some((mode, content)) = found else { return "absent".into() };
    let shown = &content[..content.len().min(300)];
    format!("{mode:o}, {} bytes: {}", content.len(), shown.escape_ascii())
}

/// What of a commit is to become files.
#[derive(Clone, Copy)]
pub struct View {
    /// How many levels of submodules.
    pub levels: usize,
    /// What patterns select, of the repository itself.
    pub patterns: Option<&'static str>,
    /// Whether files of Git LFS have their content.
    pub lfs: bool,
}

/// Checks commits out.
pub struct Reference {
    fresh: PathBuf,
    /// The commits of submodules: where they are, what they hold.
    modules: HashMap<String, (PathBuf, Rc<Tree>)>,
    made: HashMap<(String, usize, bool), Snapshot>,
}

impl Reference {
    pub fn new(fresh: PathBuf, modules: &[Upstream]) -> Reference {
        let commits = modules.iter().flat_map(|module| {
            module
                .commits
                .iter()
                .map(|commit| (commit.id.clone(), (module.path.clone(), commit.tree.clone())))
        });
        Reference { fresh, modules: commits.collect(), made: HashMap::new() }
    }

    /// The tree of a commit with its submodules.
    pub fn of(&mut self, upstream: &Upstream, commit: &Commit, view: View) -> Snapshot {
        let snapshot = self.checkout(&upstream.path, &commit.id, view);
        self.with_modules(snapshot, &commit.tree, view)
    }

    fn with_modules(&mut self, mut snapshot: Snapshot, tree: &Tree, view: View) -> Snapshot {
        // What patterns leave out has no directory.
        for (path, commit) in tree
            .modules()
            .filter(|(path, _)| view.levels > 0 && snapshot.0.contains_key(*path))
            .collect::<Vec<_>>()
        {
            for (inside, found) in
                self.module(commit, View { levels: view.levels - 1, patterns: None, ..view }).0
            {
                snapshot.0.insert([path, b"/", &inside].concat(), found);
            }
        }
        snapshot
    }

    fn module(&mut self, commit: &str, view: View) -> Snapshot {
        let key = (commit.to_owned(), view.levels, view.lfs);
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let (repository, tree) = self.modules[commit].clone();
        let snapshot = self.checkout(&repository, commit, view);
        let snapshot = self.with_modules(snapshot, &tree, view);
        self.made.insert(key, snapshot.clone());
        snapshot
    }

    /// As a clone does: into an empty directory, without an index, attributes from what is checked out.
    fn checkout(&self, repository: &Path, commit: &str, view: View) -> Snapshot {
        let _ = fs::remove_dir_all(&self.fresh);
        let _ = fs::remove_file(self.fresh.with_extension("index"));
        fs::create_dir(&self.fresh).unwrap();
        self.git(repository, view, &["read-tree", "--reset", "-u", commit]);
        Snapshot::of(&self.fresh)
    }

    /// What `git status` says of a fresh tree when it has to look into every file.
    pub fn status(&self, upstream: &Upstream, commit: &Commit, view: View) -> String {
        self.checkout(&upstream.path, &commit.id, view);
        self.git(&upstream.path, view, &["read-tree", "--reset", &commit.id]);
        // What has the time that the index knows is passed over, unless both are of the same moment.
        walk(&self.fresh, &mut |path| {
            if path.symlink_metadata().unwrap().is_file() {
                let file = fs::File::options().append(true).open(path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        });
        self.git(&upstream.path, view, &["status", "--porcelain"])
    }

    /// git with an index that is gone before the next checkout.
    fn git(&self, repository: &Path, view: View, args: &[&str]) -> String {
        let mut git = isolated_git();
        git.env("GIT_INDEX_FILE", self.fresh.with_extension("index")).args(["-c", "core.bare=false"]);
        if view.lfs {
            git.args(DRIVER);
        }
        if let Some(patterns) = view.patterns {
            fs::write(repository.join("info/sparse-checkout"), patterns).unwrap();
            git.args(["-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=true"]);
        }
        git.arg("--git-dir").arg(repository).arg("--work-tree").arg(&self.fresh).args(args);
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}
