//! Git LFS: upstreams made by stock git-lfs, and what stock git-lfs says of a published tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

pub use super::lfs_server::*;
use super::{Env, Repo, git, isolated_git, text, walk};

/// What `git lfs track '*.bin'` writes.
pub const TRACKED: &str = "*.bin filter=lfs diff=lfs merge=lfs -text\n";

/// What `git lfs install` writes.
pub const DRIVER: [&str; 8] = [
    "-c",
    "filter.lfs.process=git-lfs filter-process",
    "-c",
    "filter.lfs.clean=git-lfs clean -- %f",
    "-c",
    "filter.lfs.smudge=git-lfs smudge -- %f",
    "-c",
    "filter.lfs.required=true",
];

/// The name of a content.
pub fn sha256(content: impl AsRef<[u8]>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content.as_ref());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text that stands for a content in the repository.
pub fn pointer(content: impl AsRef<[u8]>) -> String {
    let content = content.as_ref();
    pointer_to(&sha256(content), content.len() as u64)
}

pub fn pointer_to(oid: &str, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// Where an object is below `lfs/objects`.
pub fn object_path(oid: &str) -> String {
    format!("{}/{}/{oid}", &oid[..2], &oid[2..4])
}

impl Env {
    /// A repository whose `*.bin` are LFS files: `a.bin` and `dir/b.bin`, and those of [`Env::repo`] besides. Its
    /// objects are in its own `.git/lfs`.
    pub fn lfs_repo(&self, name: &str) -> Repo {
        let repo = self.repo(name);
        repo.install_lfs();
        repo.commit(&[(".gitattributes", TRACKED), ("a.bin", "content of a\n"), ("dir/b.bin", "of b\n")]);
        repo
    }

    /// A repository whose `*.bin` are committed as they are written: pointers, true ones or not.
    pub fn pointer_repo(&self, name: &str) -> Repo {
        let repo = self.repo(name);
        repo.commit(&[(".gitattributes", TRACKED)]);
        repo
    }

    /// The object of this content in the store of the root.
    pub fn lfs_object(&self, content: impl AsRef<[u8]>) -> PathBuf {
        self.root().join(".git/lfs/objects").join(object_path(&sha256(content)))
    }

    /// The objects in the store of the root.
    pub fn lfs_objects(&self) -> Vec<String> {
        file_names(&self.root().join(".git/lfs/objects"))
    }

    /// What is left of interrupted transfers.
    pub fn lfs_parts(&self) -> Vec<String> {
        file_names(&self.root().join(".git/lfs/incomplete"))
    }

    /// Stock git and stock git-lfs agree with everything, whether git knows git-lfs or not.
    #[track_caller]
    pub fn assert_lfs_published(&self, repo: &Repo, commit: &str) {
        self.assert_lfs_shown(repo, commit);
        self.assert_no_leftovers();
    }

    /// The same while the program runs, or was killed.
    #[track_caller]
    pub fn assert_lfs_shown(&self, repo: &Repo, commit: &str) {
        assert_eq!(self.lfs_parts(), [""; 0]);
        assert_objects_are_whole(&self.root().join(".git"));
        self.assert_published(repo, commit);
        assert_in_order(&self.link(), &self.root().join(".git"));
    }
}

fn file_names(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    if dir.exists() {
        walk(dir, &mut |path| {
            if path.is_file() {
                names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        });
    }
    names.sort();
    names
}

/// Whatever has the name of an object has its content, at any moment.
#[track_caller]
pub fn assert_objects_are_whole(store: &Path) {
    let objects = store.join("lfs/objects");
    if !objects.exists() {
        return;
    }
    walk(&objects, &mut |path| {
        if path.is_dir() {
            return;
        }
        let oid = sha256(fs::read(path).unwrap());
        assert_eq!(path, objects.join(object_path(&oid)), "the content is another");
    });
}

/// git finds nothing changed in a work tree if it knows git-lfs, even when it looks into every file, and git-lfs finds
/// all objects in its store. What git-lfs leaves there goes again.
#[track_caller]
pub fn assert_in_order(dir: &Path, store: &Path) {
    let quick = [&DRIVER[..], &["status", "--porcelain", "--ignore-submodules=dirty"]].concat();
    assert_eq!(git(dir, &quick), "");
    assert_eq!(status_by_content(dir), "");
    let checked = git(dir, &["lfs", "fsck"]);
    assert!(checked.contains("Git LFS fsck OK"), "{checked}");
    for line in git(dir, &["lfs", "ls-files"]).lines() {
        assert_eq!(line.split(' ').nth(1), Some("*"), "{line}");
    }
    forget_lfs_traces(store);
}

/// git-lfs makes directories in a store that it only looks at.
pub fn forget_lfs_traces(store: &Path) {
    for trace in ["tmp", "cache", "logs"] {
        let _ = fs::remove_dir_all(store.join("lfs").join(trace));
    }
}

/// What git with git-lfs says of a work tree when it trusts no index.
#[track_caller]
pub fn status_by_content(dir: &Path) -> String {
    let index = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut git = isolated_git();
        git.env("GIT_INDEX_FILE", index.path().join("index")).arg("-C").arg(dir).args(DRIVER).args(args);
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    run(&["read-tree", "HEAD"]);
    run(&["status", "--porcelain", "--ignore-submodules=dirty"])
}

impl Repo {
    /// As `git lfs install --local` does, but for its hooks, which take long and change nothing here.
    pub fn install_lfs(&self) {
        self.git(&["lfs", "install", "--local", "--skip-repo"]);
    }

    /// Have an object in the repository's own store; the pointer to it.
    pub fn add_lfs_object(&self, content: impl AsRef<[u8]>) -> String {
        let store = if self.path.join(".git").exists() { self.path.join(".git") } else { self.path.clone() };
        let path = store.join("lfs/objects").join(object_path(&sha256(&content)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &content).unwrap();
        pointer(content)
    }

    /// Where the object of this content is in the repository's own store.
    pub fn lfs_object(&self, content: impl AsRef<[u8]>) -> PathBuf {
        self.path.join(".git/lfs/objects").join(object_path(&sha256(content)))
    }

    /// A bare copy, to which git-lfs pushed the objects.
    pub fn push_lfs(&self, path: &Path) -> Repo {
        let bare = path.to_str().unwrap();
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", bare]);
        self.git(&["push", "--quiet", &format!("file://{bare}"), "main"]);
        self.git(&["lfs", "push", "--all", &format!("file://{bare}"), "main"]);
        Repo { path: path.to_owned() }
    }
}

/// A clone by stock git with stock git-lfs.
pub fn clone_with_lfs(url: &str, to: &Path, ca_file: &Path, options: &[&str]) -> Output {
    let mut git = isolated_git();
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_SSL_CAINFO", ca_file);
    git.args(DRIVER).args(["clone", "--quiet"]).args(options).arg(url).arg(to).output().unwrap()
}
