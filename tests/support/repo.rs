//! Upstream repositories, made by stock git.

use std::fs;
use std::path::{Path, PathBuf};

use super::git;

/// A repository with a work tree, ready to be served.
pub struct Repo {
    pub path: PathBuf,
}

impl Repo {
    pub fn init(path: &Path, format: &str) -> Repo {
        fs::create_dir_all(path).unwrap();
        git(path, &["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
        // A background repack would make tests depend on chance.
        git(path, &["config", "gc.auto", "0"]);
        git(path, &["config", "maintenance.auto", "false"]);
        Repo { path: path.to_owned() }
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.path, args)
    }

    pub fn url(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Write files, commit everything, and return the commit's id.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (file, content) in files {
            self.write(file, content);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Files that make a pack of about this many bytes.
    pub fn commit_incompressible(&self, bytes: usize) -> String {
        let noise = noise(1, bytes);
        for (number, part) in noise.chunks(64 * 1024).enumerate() {
            self.write(&format!("noise/{number}"), part);
        }
        self.commit(&[])
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
