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
    files: usize,
}

impl Repository {
    /// One commit of this many text files, sized as source code is: half below 2 KiB, a few above 30.
    pub fn files(base: &Path, files: usize) -> Repository {
        let mut random = Random(42);
        Repository::import(base, format!("{files} files"), files, &[], |stream| {
            header(stream, 0);
            for number in 0..files {
                let size = random.size();
                file(stream, &path(number), random.text(size).as_bytes());
            }
        })
    }

    /// One commit of this many files of about 100 bytes.
    pub fn small_files(base: &Path, files: usize) -> Repository {
        let mut random = Random(46);
        Repository::import(base, format!("{files} small files"), files, &[], |stream| {
            header(stream, 0);
            for number in 0..files {
                file(stream, &path(number), random.text(60).as_bytes());
            }
        })
    }

    /// This many commits, each changing two of 300 files.
    pub fn history(base: &Path, commits: usize) -> Repository {
        let mut random = Random(43);
        Repository::import(base, format!("300 files, {commits} commits"), 300, &[], |stream| {
            for commit in 0..commits {
                header(stream, commit);
                for change in 0..if commit == 0 { 300 } else { 2 } {
                    let number = if commit == 0 { change } else { random.below(300) };
                    let size = random.size();
                    file(stream, &path(number), random.text(size).as_bytes());
                }
            }
        })
    }

    /// So many objects: commits that each change one of 3,000 files, and so two directories and their root.
    pub fn long_history(base: &Path, objects: usize) -> Repository {
        const FILES: usize = 3_000;
        let (mut random, label) = (Random(47), format!("{objects} objects of history"));
        let repository = Repository::init(base, label, FILES, &[]);
        repository.fast_import(|stream| {
            header(stream, 0);
            for number in 0..FILES {
                file(stream, &path(number), random.text(60).as_bytes());
            }
            // The first commit has a directory for each file, and one for fifty.
            for commit in 1..objects.saturating_sub(2 * FILES + FILES / 50) / 5 {
                header(stream, commit);
                file(stream, &path(random.below(FILES)), format!("{commit}: {}", random.text(40)).as_bytes());
            }
        });
        // The deltas that the import made will do. With a bitmap the server knows what to send without looking.
        git(&repository.path, &["-c", "pack.window=0", "repack", "--quiet", "-a", "-d", "-b"]);
        repository
    }

    /// One commit of files that nothing makes smaller.
    pub fn noise(base: &Path, files: usize, megabytes: usize) -> Repository {
        let mut random = Random(44);
        // Nor does anybody try for long.
        let settings = ["core.compression=0", "core.bigFileThreshold=1m"];
        Repository::import(base, format!("{files} files of {megabytes} MB"), files, &settings, |stream| {
            header(stream, 0);
            for number in 0..files {
                file(stream, &path(number), &random.bytes(megabytes * 1_000_000));
            }
        })
    }

    /// One commit of files that are each nearly the same as 19 others, so that most are deltas in a pack.
    pub fn variants(base: &Path, files: usize) -> Repository {
        let mut random = Random(45);
        Repository::import(base, format!("{files} files, 20 variants of each"), files, &[], |stream| {
            header(stream, 0);
            for original in 0..files / 20 {
                let text = random.text(8_000);
                for variant in 0..20 {
                    let (start, end) = text.split_at(random.below(text.len()));
                    let varied = format!("{start}{}{end}", random.text(40));
                    file(
                        stream,
                        &format!("variant{variant}/dir{}/{original}.txt", original % 50),
                        varied.as_bytes(),
                    );
                }
            }
        })
    }

    /// One commit with this many annotated tags, of 100 minor versions for each major one.
    pub fn tags(base: &Path, tags: usize) -> Repository {
        let repository = Repository::import(base, format!("{tags} tags"), 1, &[], |stream| {
            header(stream, 0);
            file(stream, &path(0), b"tagged");
            for tag in 0..tags {
                let (major, minor, patch) = (tag / 1000, tag / 10 % 100, tag % 10);
                writeln!(stream, "tag v{major}.{minor}.{patch}\nfrom refs/heads/main").unwrap();
                writeln!(stream, "tagger A <a@example.com> 1600000000 +0000\ndata 0").unwrap();
            }
        });
        git(&repository.path, &["pack-refs", "--all"]);
        repository
    }

    fn import(
        base: &Path,
        label: String,
        files: usize,
        settings: &[&str],
        write: impl FnOnce(&mut dyn Write),
    ) -> Repository {
        let repository = Repository::init(base, label, files, settings);
        repository.fast_import(write);
        git(&repository.path, &["repack", "--quiet", "-a", "-d", "-f"]);
        repository
    }

    fn init(base: &Path, label: String, files: usize, settings: &[&str]) -> Repository {
        let name = label.replace([' ', ','], "-");
        let path = base.join(&name);
        git(base, &["init", "--quiet", "--bare", "--initial-branch=main", &name]);
        for setting in [&["gc.auto=0", "uploadpack.allowFilter=true"], settings].concat() {
            let (key, value) = setting.split_once('=').unwrap();
            git(&path, &["config", key, value]);
        }
        Repository { name, path, label, files }
    }

    fn fast_import(&self, write: impl FnOnce(&mut dyn Write)) {
        let mut command = isolated_git();
        command.arg("-C").arg(&self.path).args(["fast-import", "--quiet", "--force"]);
        let mut import = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stream = BufWriter::new(import.stdin.take().unwrap());
        write(&mut stream);
        stream.flush().unwrap();
        drop(stream);
        assert!(import.wait().unwrap().success());
    }

    /// Whether it is one commit of text files, few of which are deltas.
    pub fn is_of_files(&self) -> bool {
        self.label == format!("{} files", self.files)
    }

    /// How many files it has.
    pub fn count(&self) -> usize {
        self.files
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn head(&self) -> String {
        git(&self.path, &["rev-parse", "main"])
    }

    /// A commit on top with this many files changed, all over, not yet on the branch.
    pub fn prepare_change(&self, files: usize) -> String {
        let head = self.head();
        self.fast_import(|stream| {
            writeln!(stream, "commit refs/prepared\ncommitter A <a@example.com> 1700000000 +0000").unwrap();
            writeln!(stream, "data 0\nfrom {head}").unwrap();
            for number in 0..files {
                file(stream, &path(number * self.files / files), format!("{number} after {head}").as_bytes());
            }
        });
        git(&self.path, &["rev-parse", "refs/prepared"])
    }

    /// So many commits on top, each of which changes one file, not yet on the branch. The last one.
    pub fn prepare_commits(&self, commits: usize) -> String {
        let head = self.head();
        self.fast_import(|stream| {
            for number in 0..commits {
                let time = 1_700_000_000 + number;
                writeln!(stream, "commit refs/prepared\ncommitter A <a@example.com> {time} +0000").unwrap();
                writeln!(stream, "data 9\nA message").unwrap();
                if number == 0 {
                    writeln!(stream, "from {head}").unwrap();
                }
                file(stream, &path(0), format!("{number} after {head}").as_bytes());
            }
        });
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

fn path(number: usize) -> String {
    format!("dir{}/sub{}/file{number}.txt", number % 60, number / 60 % 50)
}

fn file(stream: &mut dyn Write, path: &str, content: &[u8]) {
    writeln!(stream, "M 100644 inline {path}\ndata {}", content.len()).unwrap();
    stream.write_all(content).unwrap();
    stream.write_all(b"\n").unwrap();
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

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(size).collect()
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
