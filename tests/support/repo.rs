//! Upstream repositories, made by stock git.

use std::fs;
use std::path::{Path, PathBuf};

use super::{git, git_with_input};

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

    /// Annotated tags, each with the commit that it names, packed as a server keeps them.
    pub fn tag_all(&self, tags: impl IntoIterator<Item = (String, String)>) {
        let tags = tags.into_iter().map(|(name, commit)| {
            format!("tag {name}\nfrom {commit}\ntagger T <t@example.com> 1767225600 +0000\ndata 2\nt\n\n")
        });
        git_with_input(&self.path, &["fast-import", "--quiet"], tags.collect::<String>());
        self.git(&["pack-refs", "--all"]);
    }

    /// Tags of 10,000 versions, from v0.0.0 to v9.99.9, on one commit.
    pub fn tag_ten_thousand(&self, commit: &str) {
        let version = |n: usize| format!("v{}.{}.{}", n / 1000, n / 10 % 100, n % 10);
        self.tag_all((0..10_000).map(|n| (version(n), commit.to_owned())));
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
