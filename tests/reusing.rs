//! A tree is made from what an earlier one has: by links, or from a retired tree in place.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// A running program that has published two commits, so that the tree of the first is retired.
struct Reusing {
    env: Env,
    repo: Repo,
    running: Running,
    published: usize,
}

impl Reusing {
    fn start() -> Reusing {
        let env = Env::new();
        let repo = env.repo("up");
        for number in 0..10 {
            repo.write(&format!("many/{number}"), "same\n");
        }
        repo.commit(&[
            ("same", "same\n"),
            ("dir/same", "same\n"),
            ("dir/sub/same", "same\n"),
            ("run", "#!\n"),
        ]);
        symlink("same", repo.path.join("link")).unwrap();
        fs::set_permissions(repo.path.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        repo.commit(&[]);
        let running = env.syncline(repo.url()).arg("--period=10ms").arg("--worktree-reuse-delay=0s").spawn();
        let mut reusing = Reusing { env, repo, running, published: 0 };
        reusing.wait();
        reusing.repo.commit(&[("file", "two\n")]);
        reusing.wait();
        reusing
    }

    /// Wait until the newest commit is published and the tree before it retired.
    #[track_caller]
    fn wait(&mut self) {
        self.published += 1;
        self.running.wait_for_times("\"published\"", self.published);
        if self.published > 1 {
            eventually("a retired tree", || self.retired());
        }
        assert_eq!(self.env.published().unwrap(), self.repo.head());
    }

    fn retired(&self) -> Option<PathBuf> {
        let mut trees =
            fs::read_dir(self.env.root().join(".worktrees")).unwrap().map(|tree| tree.unwrap().path());
        trees.find(|tree| tree.file_name().unwrap().to_str().unwrap().starts_with(".tmp-old-"))
    }

    /// How the newest tree was made, as the log says.
    fn by(&self) -> String {
        let log = self.running.log();
        let line = log.lines().rfind(|line| line.contains("\"published\"")).unwrap();
        line.split("\"by\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_retired_tree_becomes_the_next() {
    let mut reusing = Reusing::start();
    assert_eq!(reusing.by(), "hard links");
    let inside = inode(&reusing.retired().unwrap());
    let repo = &reusing.repo;
    for gone in ["dir/same", "dir/other", "link"] {
        fs::remove_file(repo.path.join(gone)).unwrap();
    }
    fs::remove_dir_all(repo.path.join("dir/sub")).unwrap();
    fs::set_permissions(repo.path.join("run"), fs::Permissions::from_mode(0o644)).unwrap();
    // A file where a directory was, a directory where a file was, a link where a file was.
    let commit = repo.commit(&[("dir/sub", "file\n"), ("link/file", "x\n"), ("new/deep/file", "x\n")]);
    reusing.wait();
    assert_eq!(reusing.by(), "retired tree");
    assert_eq!(inode(&reusing.env.link()), inside);
    reusing.env.assert_published(&reusing.repo, &commit);
    // And on it goes, back to what was there before.
    for _ in 0..3 {
        reusing.repo.git(&["revert", "--no-edit", "HEAD"]);
        reusing.wait();
        assert_eq!(reusing.by(), "retired tree");
        reusing.env.assert_published(&reusing.repo, &reusing.repo.head());
    }
}

/// A consumer that resolved the link once and reads on finds the files of its commit, or none at all.
#[test]
fn whoever_holds_a_retired_tree_open_never_reads_another_commit() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=10ms").spawn();
    let mut held = Vec::new();
    for number in 0..12 {
        let text = format!("{number}\n");
        let commit = repo.commit(&[("file", &text), ("dir/other", &text), (&format!("new/{number}"), &text)]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        running.wait_for_times("\"published\"", held.len() + 1);
        held.push((text, fs::File::open(env.link()).unwrap()));
        for (text, tree) in &held {
            let tree = PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
            for file in ["file", "dir/other"] {
                match fs::read_to_string(tree.join(file)) {
                    Ok(read) => assert_eq!(&read, text, "{file}"),
                    Err(err) => assert_eq!(err.kind(), std::io::ErrorKind::NotFound, "{file}: {err}"),
                }
            }
            let new = fs::read_dir(tree.join("new")).into_iter().flatten().count();
            assert!(new <= text.trim().parse::<usize>().unwrap() + 1, "{new} files in the tree of {text}");
        }
    }
    assert!(!running.log().contains("retired tree"), "{}", running.log());
    drop(running);
    env.assert_published(&repo, &repo.head());
}

#[test]
fn what_a_consumer_did_to_a_retired_tree_does_not_reach_the_next() {
    type Deed = fn(&Path);
    let deeds: [Deed; 9] = [
        |tree| fs::write(tree.join("dir/same"), "tampered\n").unwrap(),
        |tree| fs::remove_file(tree.join("same")).unwrap(),
        |tree| fs::write(tree.join("dir/foreign"), "x").unwrap(),
        |tree| fs::create_dir(tree.join("dir/foreign")).unwrap(),
        |tree| fs::set_permissions(tree.join("dir/sub"), fs::Permissions::from_mode(0o700)).unwrap(),
        |tree| {
            fs::rename(tree.join("dir/sub"), tree.join("../../elsewhere")).unwrap();
            symlink("../../../elsewhere", tree.join("dir/sub")).unwrap();
        },
        |tree| {
            fs::remove_file(tree.join("link")).unwrap();
            symlink("elsewhere", tree.join("link")).unwrap();
        },
        |tree| fs::remove_file(tree.join(".git")).unwrap(),
        |tree| fs::remove_dir_all(tree).unwrap(),
    ];
    let mut reusing = Reusing::start();
    for (number, deed) in deeds.iter().enumerate() {
        deed(&reusing.retired().unwrap());
        let commit = reusing.repo.commit(&[("file", &format!("after {number}\n"))]);
        reusing.wait();
        assert_eq!(reusing.by(), "hard links", "deed {number}");
        reusing.env.assert_published(&reusing.repo, &commit);
    }
}

/// The retired tree shares its files with the published one.
#[test]
fn an_edit_of_the_published_tree_does_not_come_back_by_a_retired_one() {
    let mut reusing = Reusing::start();
    for round in 0..3 {
        fs::write(reusing.env.link().join("dir/same"), "tampered\n").unwrap();
        let commit = reusing.repo.commit(&[("file", &format!("after {round}\n"))]);
        reusing.wait();
        reusing.env.assert_published(&reusing.repo, &commit);
        assert_eq!(reusing.env.read("dir/same"), "same\n");
    }
    assert!(reusing.running.log().contains("dir/same"), "{}", reusing.running.log());
}

/// The directory of a file that is not taken over is not there either.
#[test]
fn a_file_comes_where_the_directory_of_an_altered_one_was() {
    let env = Env::new();
    let repo = env.repo("up");
    repo.commit(&[("was/dir/altered", "x\n")]);
    env.syncline(repo.url()).sync();
    fs::write(env.link().join("was/dir/altered"), "tampered\n").unwrap();
    fs::remove_dir_all(repo.path.join("was")).unwrap();
    let commit = repo.commit(&[("was", "a file now\n")]);
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &commit);
}

#[test]
fn attributes_that_may_change_every_file_have_every_file_written() {
    let reusing = Reusing::start();
    let commit = reusing.repo.commit(&[(".gitattributes", "same text eol=crlf\n")]);
    reusing.running.wait_for_times("\"published\"", 3);
    assert_eq!(reusing.by(), "");
    assert_eq!(reusing.env.read("same"), "same\r\n");
    reusing.env.assert_published(&reusing.repo, &commit);
}

#[test]
fn a_retired_tree_goes_with_the_process() {
    let mut reusing = Reusing::start();
    reusing.running.signal(rustix::process::Signal::TERM);
    assert_eq!(reusing.running.wait().0, Some(0));
    reusing.env.assert_no_leftovers();
}

/// No retired tree takes space where it would share none with what is published.
#[test]
fn trees_that_share_nothing_are_removed() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=10ms").arg("--checkout=copy").spawn();
    running.wait_for("\"published\"");
    for round in 2..4 {
        repo.commit(&[("file", &format!("{round}\n"))]);
        running.wait_for_times("\"published\"", round);
        eventually("one tree", || {
            (fs::read_dir(env.root().join(".worktrees")).unwrap().count() == 1).then_some(())
        });
    }
}

#[test]
fn files_are_copied_where_links_are_refused() {
    for refusal in ["EPERM", "EXDEV", "EMLINK"] {
        let env = Env::new();
        let repo = env.repo("up");
        env.syncline(repo.url()).sync();
        let old = inode(&env.link().join("dir/other"));
        fs::set_permissions(repo.path.join("file"), fs::Permissions::from_mode(0o755)).unwrap();
        let commit = repo.commit(&[("new", "new\n")]);
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject=linkat,link:error={refusal}")])
            .arg(binary())
            .args([format!("--repo={}", repo.url()), format!("--root={}", env.root().display())])
            .args(["--one-time", "--link=link"])
            .output()
            .unwrap();
        let log = text(&output.stderr);
        assert!(log.contains(r#""written":2,"early":0,"reused":1,"by":"copies""#), "{log}");
        env.assert_published(&repo, &commit);
        assert_ne!(inode(&env.link().join("dir/other")), old);
    }
}

#[test]
fn what_a_consumer_adds_to_an_index_does_not_reach_the_next_tree() {
    let mut reusing = Reusing::start();
    for number in 0..3 {
        let tree = fs::canonicalize(reusing.env.link()).unwrap();
        // What is in the store already, so that git finds nothing to complain about there.
        fs::write(tree.join("dir/same"), "#!\n").unwrap();
        fs::write(tree.join("dir/foreign"), "#!\n").unwrap();
        git(&tree, &["add", "--all"]);
        git(&tree, &["update-index", "--force-remove", "many/3"]);
        let commit = reusing.repo.commit(&[("file", &format!("after {number}\n"))]);
        reusing.wait();
        reusing.env.assert_published(&reusing.repo, &commit);
    }
}

#[test]
fn a_mode_that_no_tree_has_does_not_reach_the_next_tree() {
    let mut reusing = Reusing::start();
    for number in 0..3 {
        let tree = format!("root/.git/worktrees/{}/index", reusing.env.published().unwrap());
        let index = reusing.env.path(&tree);
        let mut bytes = fs::read(&index).unwrap();
        let name = bytes.windows(8).position(|bytes| bytes == b"dir/same").unwrap();
        // Between a mode and a path there are user, group and size, an id and flags (gitformat-index(5)).
        bytes[name - 38..name - 34].copy_from_slice(&0o100645_u32.to_be_bytes());
        fs::write(&index, bytes).unwrap();
        let commit = reusing.repo.commit(&[("file", &format!("after {number}\n"))]);
        // No tree has such an index, so nothing is reused.
        reusing.published += 1;
        reusing.running.wait_for_times("\"published\"", reusing.published);
        reusing.env.assert_published(&reusing.repo, &commit);
    }
}

#[test]
fn a_name_that_is_refused_is_not_taken_from_an_index_either() {
    let reusing = Reusing::start();
    let (published, name) = (reusing.env.published(), "dir/.g\u{200c}it/x");
    reusing.repo.commit(&[(name, "x\n")]);
    reusing.running.wait_for("may never be used");
    let tree = fs::canonicalize(reusing.env.link()).unwrap();
    fs::create_dir(tree.join("dir/.g\u{200c}it")).unwrap();
    fs::write(tree.join(name), "x\n").unwrap();
    git(&tree, &["add", "--all"]);
    let commit = reusing.repo.commit(&[("file", "three\n")]);
    reusing.running.wait_for(&format!("read the tree of {commit}"));
    assert_eq!(reusing.env.published(), published);
}
