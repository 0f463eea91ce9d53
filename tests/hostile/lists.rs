//! Files of repositories that mean harm, at the start and while the program runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::many::{Many, entry, file};
use crate::support::*;

const REFUSED: &str = "the configuration is wrong; the last one stays in force";

/// A good file, which the program runs by, and that nothing is beside the root but what is there now.
struct Victim {
    many: Many,
    repo: Repo,
    good: String,
}

impl Victim {
    fn new() -> Victim {
        let (many, [repo]) = Many::with(["one"]);
        let good = file("", "period: 50ms", &[entry("one", repo.url(), "")]);
        Victim { many, repo, good }
    }

    fn beside(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.many.env.path("")).unwrap().collect::<Result<_, _>>().unwrap();
        names.sort_by_key(fs::DirEntry::file_name);
        names.iter().map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// What `put` puts in the file's place is refused with these words, soon, and with little memory.
    #[track_caller]
    fn assert_refused(&self, put: impl Fn(&Path), words: &str) {
        let file = self.many.file();
        let _ = fs::remove_file(&file);
        put(&file);
        let before = self.beside();
        for check in [true, false] {
            let syncline = self.many.syncline();
            let finished = if check { syncline.arg("--config-check") } else { syncline }.run();
            assert_eq!(finished.code, Some(1), "{words}: {}", finished.stderr);
            assert!(finished.stderr.contains(words), "no {words:?} in {}", finished.stderr);
            assert!(finished.stderr.len() < 100_000 && finished.stdout.is_empty());
        }
        assert_eq!(self.beside(), before, "{words}");

        let mut running = self.many.spawn(&self.good);
        self.many.wait_for("one", &self.repo.head());
        fs::remove_file(&file).unwrap();
        put(&file);
        running.signal(Signal::HUP);
        running.wait_for(REFUSED);
        running.wait_for(words);
        let commit = self.repo.commit(&[("file", words)]);
        self.many.wait_for("one", &commit);
        let peak = peak_memory(&running);
        assert!(peak < 100 << 20, "{words}: {peak} bytes");
        running.signal(Signal::TERM);
        assert_eq!(running.wait().0, Some(0));
        fs::remove_dir_all(self.many.env.root()).unwrap();
    }
}

fn peak_memory(running: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_list_without_end_is_refused_soon_and_the_last_one_stays() {
    let victim = Victim::new();
    let large = |path: &Path| fs::write(path, victim.good.clone() + &"# more\n".repeat(15 << 20)).unwrap();
    let endless = |path: &Path| symlink("/dev/zero", path).unwrap();
    let bomb = |path: &Path| {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", "));
        }
        fs::write(path, text + &victim.good).unwrap();
    };
    let deep = |path: &Path| fs::write(path, format!("repos: {}", "[".repeat(100_000))).unwrap();
    victim.assert_refused(large, "config.yaml is larger than the limit of 1048576 bytes");
    victim.assert_refused(endless, "config.yaml is larger");
    victim.assert_refused(bomb, "anchor");
    victim.assert_refused(deep, "recursion limit exceeded");
}

/// Opening a named pipe that nobody writes to would wait for ever.
#[test]
fn a_list_that_is_a_named_pipe_stops_neither_syncs_nor_signals() {
    let victim = Victim::new();
    let mut running = victim.many.spawn(&victim.good);
    victim.many.wait_for("one", &victim.repo.head());
    fs::remove_file(victim.many.file()).unwrap();
    assert!(Command::new("mkfifo").arg(victim.many.file()).status().unwrap().success());
    running.signal(Signal::HUP);
    for round in 0..3 {
        let commit = victim.repo.commit(&[("file", &round.to_string())]);
        victim.many.wait_for("one", &commit);
    }
    running.signal(Signal::TERM);
    let (code, took) = running.wait();
    assert_eq!(code, Some(0), "{}", running.log());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn names_roots_and_links_that_lead_elsewhere_are_refused() {
    let victim = Victim::new();
    let (good, outside) = (&victim.good, victim.many.env.path("outside"));
    let url = victim.repo.url();
    let long = "x".repeat(300);
    let put = |text: String| move |path: &Path| fs::write(path, &text).unwrap();
    for name in
        ["..", ".", ".git", ".groups", "a/b", "a b", "\"a\\\"} 1\\nup{x=\\\"\"", "\"a\\0b\"", "CON", &long]
    {
        victim.assert_refused(put(format!("{good}  {name}: {{repo: '{url}'}}\n")), "is no name");
    }
    for (options, words) in [
        ("root: /", "must not be the root of the file system"),
        ("root: ../..", "root"),
        ("root: .groups/x", "is inside"),
        ("root: one/.worktrees", "is inside the root of one"),
        ("link: ../one/current", "is where one is published, too"),
        ("link: ../one/.git/config", "is inside the root of one"),
        ("link: ../.groups", "is where the groups are"),
        ("link: ../.groups/all", "is where the groups are"),
    ] {
        victim.assert_refused(put(good.clone() + &entry("two", url, options)), words);
    }
    assert!(!outside.exists());
}
