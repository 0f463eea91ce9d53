//! A repository that one `git fast-import` writes for as long as it lives: a commit costs no process.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::rc::Rc;

use super::tree::{Node, Tree};
use crate::support::{git, isolated_git};

pub struct Upstream {
    pub path: PathBuf,
    pub commits: Vec<Commit>,
    import: Child,
    answers: BufReader<ChildStdout>,
}

pub struct Commit {
    pub id: String,
    pub tree: Rc<Tree>,
    pub parents: Vec<usize>,
}

impl Upstream {
    pub fn init(path: &Path, format: &str) -> Upstream {
        std::fs::create_dir_all(path).unwrap();
        git(
            path,
            &["init", "--quiet", "--bare", "--initial-branch=main", &format!("--object-format={format}")],
        );
        for (key, value) in [
            ("gc.auto", "0"),
            ("core.fsync", "none"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
        ] {
            git(path, &["config", key, value]);
        }
        let mut import = isolated_git()
            .arg("-C")
            .arg(path)
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(import.stdout.take().unwrap());
        Upstream { path: path.to_owned(), commits: Vec::new(), import, answers }
    }

    /// Commit a tree on top of others, given by their numbers; the new one's number. Nobody sees it yet.
    pub fn commit(&mut self, tree: Rc<Tree>, parents: &[usize]) -> usize {
        let number = self.commits.len();
        let mut script = Vec::new();
        let mut say = |line: String| script.extend_from_slice(line.as_bytes());
        let message = format!("change {number}");
        say("reset refs/heads/main\n\ncommit refs/heads/main\n".into());
        // A mark's number begins with 1.
        say(format!(
            "mark :{}\ncommitter C O Mitter <a@example.com> {} +0000\n",
            number + 1,
            1_700_000_000 + number
        ));
        say(format!("data {}\n{message}\n", message.len()));
        for (position, parent) in parents.iter().enumerate() {
            say(format!("{} :{}\n", if position == 0 { "from" } else { "merge" }, parent + 1));
        }
        let before = parents.first().map(|parent| self.commits[*parent].tree.clone()).unwrap_or_default();
        write_difference(&before, &tree, &mut script);
        script.extend_from_slice(format!("\nget-mark :{}\n", number + 1).as_bytes());
        let id = self.ask(&script);
        self.commits.push(Commit { id, tree, parents: parents.to_vec() });
        number
    }

    /// Let the branch name a commit.
    pub fn publish(&mut self, number: usize) {
        let script = format!("reset refs/heads/main\nfrom :{}\n\ncheckpoint\nprogress done\n", number + 1);
        assert_eq!(self.ask(script.as_bytes()), "progress done");
    }

    fn ask(&mut self, script: &[u8]) -> String {
        let stdin = self.import.stdin.as_mut().unwrap();
        stdin.write_all(script).and_then(|()| stdin.flush()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.import.kill();
        let _ = self.import.wait();
    }
}

fn write_difference(before: &Tree, after: &Tree, script: &mut Vec<u8>) {
    for (path, _) in before.iter().filter(|(path, _)| after.get(path).is_none()) {
        script.extend_from_slice(format!("D {}\n", quoted(path)).as_bytes());
    }
    for (path, node) in after.iter().filter(|(path, node)| before.get(path) != Some(node)) {
        let path = quoted(path);
        let (mode, content) = match node {
            Node::File { content, executable: false } => ("100644", content),
            Node::File { content, executable: true } => ("100755", content),
            Node::Link(target) => ("120000", target),
            Node::Module { commit, .. } => {
                script.extend_from_slice(format!("M 160000 {commit} {path}\n").as_bytes());
                continue;
            }
        };
        script.extend_from_slice(format!("M {mode} inline {path}\ndata {}\n", content.len()).as_bytes());
        script.extend_from_slice(content);
        script.push(b'\n');
    }
}

fn quoted(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let part = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("\\{byte:03o}") };
    format!("\"{}\"", path.iter().map(part).collect::<String>())
}
