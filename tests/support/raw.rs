//! Objects that git refuses to make, and what a refused commit must leave alone.

use std::fs;

use super::{Env, Nginx, Repo, Syncline, git_with_input, listing};

/// An entry of a tree: mode, name and id.
pub type RawEntry<'a> = (&'a str, &'a [u8], &'a str);

impl Repo {
    /// Feed git on its standard input.
    #[track_caller]
    pub fn git_with(&self, args: &[&str], input: &[u8]) -> String {
        git_with_input(&self.path, args, input)
    }

    pub fn blob(&self, content: impl AsRef<[u8]>) -> String {
        self.git_with(&["hash-object", "-w", "--stdin"], content.as_ref())
    }

    /// A tree of exactly these entries, whatever git thinks of them.
    pub fn raw_tree(&self, entries: &[RawEntry<'_>]) -> String {
        let mut body = Vec::new();
        for (mode, name, id) in entries {
            body.extend(format!("{mode} ").bytes());
            body.extend(*name);
            body.push(0);
            body.extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        self.git_with(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], &body)
    }

    /// Make the branch a commit of this tree, after the one that it is.
    pub fn commit_tree(&self, tree: &str) -> String {
        let commit = self.git(&["commit-tree", "-p", "HEAD", "-m", "raw", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit
    }
}

/// A repository that turns hostile, and something beside the root to protect.
pub struct Hostile {
    pub env: Env,
    pub repo: Repo,
    pub nginx: Nginx,
    pub good: String,
}

impl Hostile {
    pub fn new() -> Hostile {
        let env = Env::new();
        let repo = env.repo("up");
        fs::create_dir_all(env.path("beside/hooks")).unwrap();
        fs::write(env.path("beside/hooks/file"), "untouched").unwrap();
        let nginx = Nginx::start(&env.path(""));
        let good = repo.head();
        Hostile { env, repo, nginx, good }
    }

    pub fn url(&self) -> String {
        self.nginx.url("up/.git")
    }

    /// The branch is at the good commit again.
    pub fn reset(&self) {
        self.repo.git(&["reset", "--quiet", "--hard", &self.good]);
    }

    /// The newest commit is refused with all of these words, as a first sync and as a change, over HTTP and from a
    /// path; what was published stays, and nothing else is touched.
    #[track_caller]
    pub fn assert_refused(&self, words: &[&str], options: impl Fn(Syncline) -> Syncline) {
        let bad = self.repo.git(&["rev-parse", "refs/heads/main"]);
        for url in [self.url(), self.repo.url().to_owned()] {
            let outside = self.outside();
            let _ = fs::remove_dir_all(self.env.root());
            let fault = fault(&options(self.env.syncline(&url)).fail());
            assert_words(&fault, words, &format!("first sync of {url}"));
            assert_eq!(self.env.published(), None);
            self.env.assert_no_leftovers();
            assert_eq!(self.trees(), [""; 0]);
            assert_eq!(self.outside(), outside);

            let _ = fs::remove_dir_all(self.env.root());
            self.repo.git(&["update-ref", "refs/heads/main", &self.good]);
            self.env.syncline(&url).sync();
            let before = listing(&self.env.link());
            self.repo.git(&["update-ref", "refs/heads/main", &bad]);
            for _ in 0..2 {
                let fault = self::fault(&options(self.env.syncline(&url)).fail());
                assert_words(&fault, words, &format!("change of {url}"));
                assert_eq!(self.env.published().as_ref(), Some(&self.good));
                assert_eq!(listing(&self.env.link()), before);
                self.env.assert_no_leftovers();
                assert_eq!(self.trees(), [self.good.as_str()]);
                assert_eq!(self.outside(), outside);
            }
        }
    }

    /// The trees under the root.
    fn trees(&self) -> Vec<String> {
        let trees = fs::read_dir(self.env.root().join(".worktrees")).into_iter().flatten();
        trees.map(|tree| tree.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// All that is beside the root.
    fn outside(&self) -> Vec<String> {
        let beside = fs::read_dir(self.env.path("")).unwrap();
        let mut names: Vec<_> =
            beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "root");
        names.sort();
        [names, listing(&self.env.path("beside"))].concat()
    }
}

/// The last error of a log, on one line.
#[track_caller]
pub fn fault(log: &str) -> String {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut faults = lines.filter_map(|line| line["error"].as_str().map(ToOwned::to_owned));
    let fault = faults.next_back().unwrap_or_else(|| panic!("{log}"));
    assert!(!fault.contains(char::is_control), "{fault:?}");
    fault
}

#[track_caller]
fn assert_words(fault: &str, words: &[&str], what: &str) {
    for word in words {
        assert!(fault.contains(word), "{what}: no {word:?} in {fault}");
    }
}
