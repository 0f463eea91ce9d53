//! Upstream repositories of known shapes, the same in every run.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{git, isolated_git};

/// A bare repository below the server's directory.
pub struct Repository {
    pub name: String,
    path: PathBuf,
    label: String,
}

impl Repository {
    /// One commit of this many text files, sized as source code is: half below 2 KiB, a few above 30.
    pub fn files(base: &Path, name: &str, count: usize) -> Repository {
        let mut random = Random(42);
        Repository::import(base, name, format!("{count} files"), |stream| {
            header(stream, 0);
            for number in 0..count {
                let path = format!("dir{}/sub{}/file{number}.txt", number % 60, number / 60 % 50);
                let size = random.size();
                file(stream, &path, &random.text(size));
            }
        })
    }

    /// This many commits, each changing two of 300 files.
    pub fn history(base: &Path, name: &str, commits: usize) -> Repository {
        let mut random = Random(43);
        Repository::import(base, name, format!("300 files, {commits} commits"), |stream| {
            for commit in 0..commits {
                header(stream, commit);
                for change in 0..if commit == 0 { 300 } else { 2 } {
                    let number = if commit == 0 { change } else { random.below(300) };
                    let size = random.size();
                    file(stream, &format!("dir{}/file{number}.txt", number % 20), &random.text(size));
                }
            }
        })
    }

    fn import(base: &Path, name: &str, label: String, write: impl FnOnce(&mut dyn Write)) -> Repository {
        let path = base.join(name);
        git(base, &["init", "--quiet", "--bare", "--initial-branch=main", name]);
        git(&path, &["config", "gc.auto", "0"]);
        let mut import = isolated_git()
            .arg("-C")
            .arg(&path)
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stream = BufWriter::new(import.stdin.take().unwrap());
        write(&mut stream);
        stream.flush().unwrap();
        drop(stream);
        assert!(import.wait().unwrap().success());
        git(&path, &["repack", "--quiet", "-a", "-d"]);
        Repository { name: name.into(), path, label }
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn head(&self) -> String {
        git(&self.path, &["rev-parse", "main"])
    }

    /// A commit on top with one file changed, not yet on the branch.
    pub fn prepare_change(&self, text: &str) -> String {
        let head = self.head();
        let mut import = isolated_git()
            .arg("-C")
            .arg(&self.path)
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stream = import.stdin.take().unwrap();
        writeln!(stream, "commit refs/prepared\ncommitter A <a@example.com> 1700000000 +0000").unwrap();
        writeln!(stream, "data 0\nfrom {head}").unwrap();
        file(&mut stream, "dir0/sub0/file0.txt", text);
        drop(stream);
        assert!(import.wait().unwrap().success());
        git(&self.path, &["rev-parse", "refs/prepared"])
    }

    pub fn publish(&self, commit: &str) {
        git(&self.path, &["update-ref", "refs/heads/main", commit]);
    }
}

fn header(stream: &mut dyn Write, number: usize) {
    let time = 1_600_000_000 + number;
    writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.com> {time} +0000\ndata 0").unwrap();
}

fn file(stream: &mut dyn Write, path: &str, text: &str) {
    writeln!(stream, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
}

/// xorshift64*: the same repositories everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn size(&mut self) -> usize {
        let scale = [200, 500, 1_000, 2_000, 2_000, 4_000, 6_000, 14_000][self.below(8)];
        scale / 2 + self.below(scale)
    }

    /// Words that compress about as well as source code.
    fn text(&mut self, size: usize) -> String {
        const SYLLABLES: [&str; 16] = [
            "re", "turn", "let", "mut", "con", "fig", "get", "set", "err", "or", "ing", "al", "use", "str",
            "ent", "val",
        ];
        let mut text = String::with_capacity(size + 16);
        while text.len() < size {
            for _ in 0..=self.below(3) {
                text.push_str(SYLLABLES[self.below(16)]);
            }
            text.push_str([" ", " ", " ", "_", "(", ");\n", "\n    ", " = "][self.below(8)]);
        }
        text
    }
}
