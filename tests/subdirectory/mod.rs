//! Only a directory of the commit is published.

mod refused;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use sync_core::{ErrorKind, Mirror, Resources, Source, Store, Subdirectory};
use syncline::config::Publish;
use syncline::publish::{self, CopyOptions};

use crate::submodules::{commit, pin};
use crate::support::*;
use crate::ways::is_killed;

const WAYS: [&str; 3] = ["symlink", "directory", "in-place"];

/// A repository with files inside and outside of `site/public`.
fn upstream(env: &Env) -> Repo {
    let repo = env.repo("up");
    repo.commit(&[
        ("site/public/index", "one\n"),
        ("site/public/deep/page", "page\n"),
        ("site/readme", "readme\n"),
        ("docs/index", "docs\n"),
    ]);
    repo
}

fn served(env: &Env) -> PathBuf {
    env.path("served")
}

/// The program, publishing `directory`, or the whole tree if it is empty, at the served path.
fn syncline(env: &Env, url: &str, way: &str, directory: &str) -> Syncline {
    let syncline = env.syncline(url).arg("--verbose=1").arg(format!("--publish={way}"));
    syncline.arg("--link").arg(served(env)).arg(format!("--subdirectory={directory}"))
}

/// Consumers find the files of a directory of the upstream, and no others.
#[track_caller]
fn assert_shows(env: &Env, repo: &Repo, directory: &str) {
    let upstream = repo.path.join(directory);
    let lines = |dir: &Path| {
        let mut lines = listing(dir);
        lines.retain(|line| !line.starts_with(".git/"));
        lines
    };
    assert_eq!(lines(&served(env)), lines(&upstream), "{directory}");
}

fn packs(env: &Env) -> usize {
    fs::read_dir(env.root().join(".git/objects/pack")).unwrap().count()
}

#[test]
fn consumers_find_the_files_of_the_directory_and_no_others() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let sync = || syncline(&env, repo.url(), way, "site/public").sync().stderr;
        for change in [
            None,
            Some(("site/public/index", "two\n")),
            Some(("site/readme", "changed outside\n")),
            Some(("site/public/new/file", "new\n")),
        ] {
            let commit = repo.commit(change.as_slice());
            let log = sync();
            assert!(log.contains(&format!("\"commit\":\"{commit}\"")), "{way}: {log}");
            assert_shows(&env, &repo, "site/public");
            env.assert_store_is_sound();
            env.assert_no_leftovers();
            let log = sync();
            assert!(log.contains("nothing new"), "{way}: {log}");
        }
        repo.git(&["rm", "--quiet", "-r", "site/public/deep"]);
        repo.commit(&[]);
        sync();
        assert_shows(&env, &repo, "site/public");
    }
}

#[test]
fn each_way_says_which_directory_of_which_commit_it_shows() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let (commit, pointer) = (repo.head(), served(&env).join(".git"));
        syncline(&env, repo.url(), way, "site/public").sync();
        match way {
            "symlink" => {
                let target = fs::read_link(served(&env)).unwrap();
                assert_eq!(target, Path::new(&format!("root/.worktrees/{commit}/site/public")));
                assert!(!pointer.exists());
            }
            "directory" => {
                let text = fs::read_to_string(pointer).unwrap();
                assert_eq!(text, format!("gitdir: ../root/.git/worktrees/{commit}/site/public\n"));
                let status = isolated_git().arg("-C").arg(served(&env)).arg("status").output().unwrap();
                assert!(!status.status.success(), "git must not take the files for those of the commit");
            }
            _ => {
                let state = fs::read(env.root().join(".worktrees/.in-place")).unwrap();
                let shown = format!("{commit}:site/public");
                assert!(state.split(|byte| *byte == 0).any(|field| field == shown.as_bytes()));
                assert!(!pointer.exists());
            }
        }
    }
}

#[test]
fn another_directory_of_the_same_commit_is_shown_without_new_objects_or_a_new_tree() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        syncline(&env, repo.url(), way, "").sync();
        let (packs_before, tree) = (packs(&env), env.root().join(".worktrees").join(repo.head()));
        let files = listing(&tree);
        for directory in ["site/public", "docs", "site", "site/public", ""] {
            let log = syncline(&env, repo.url(), way, directory).sync().stderr;
            assert!(log.contains("others of this tree are wanted"), "{way} {directory}: {log}");
            assert_shows(&env, &repo, directory);
            assert_eq!((packs(&env), listing(&tree)), (packs_before, files.clone()), "{way} {directory}");
            env.assert_no_leftovers();
            let log = syncline(&env, repo.url(), way, directory).sync().stderr;
            assert!(log.contains("nothing new") && !log.contains("wanted"), "{way} {directory}: {log}");
        }
        // Nothing reminds of the option.
        if way == "symlink" {
            let target = fs::read_link(served(&env)).unwrap();
            assert_eq!(target, Path::new("root/.worktrees").join(repo.head()));
        } else {
            assert_eq!(git(&served(&env), &["status", "--porcelain"]), "");
            assert_eq!(git(&served(&env), &["rev-parse", "HEAD"]), repo.head());
        }
    }
}

#[test]
fn a_link_that_somebody_leads_to_another_directory_of_the_tree_is_led_back() {
    for directory in ["site/public", ""] {
        let env = Env::new();
        let repo = upstream(&env);
        let running = syncline(&env, repo.url(), "symlink", directory).arg("--period=10ms").spawn();
        running.wait_for("published");
        let target = fs::read_link(served(&env)).unwrap();
        for elsewhere in ["docs", "site"] {
            let tree = Path::new("root/.worktrees").join(repo.head());
            symlink(tree.join(elsewhere), env.path("new")).unwrap();
            fs::rename(env.path("new"), served(&env)).unwrap();
            eventually("the link", || (fs::read_link(served(&env)).unwrap() == target).then_some(()));
        }
    }
}

#[test]
fn a_change_of_the_directory_that_is_killed_at_any_step_is_completed_by_the_next_run() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let sync = |directory| syncline(&env, repo.url(), way, directory);
        let mut step = 0;
        loop {
            sync("site/public").sync();
            assert_shows(&env, &repo, "site/public");
            step += 1;
            if !is_killed(&sync("docs").one_time(), &env.path(""), step) {
                break;
            }
            sync(["docs", "site"][step % 2]).sync();
            assert_shows(&env, &repo, ["docs", "site"][step % 2]);
            env.assert_no_leftovers();
        }
        assert!(step > 3, "{way}: {step}");
    }
}

#[test]
fn another_directory_and_a_new_commit_may_come_together() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        for (text, directory) in [("1", "site"), ("2", "docs"), ("3", ""), ("4", "site/public")] {
            repo.commit(&[("docs/index", text), ("site/public/index", text)]);
            let log = syncline(&env, repo.url(), way, directory).sync().stderr;
            assert_shows(&env, &repo, directory);
            if text != "1" {
                assert!(log.contains("\"by\":\"hard links\""), "{way} {directory}: {log}");
            }
            assert_eq!(fs::read_dir(env.root().join(".git/worktrees")).unwrap().count(), 1, "{way}");
        }
    }
}

#[test]
fn a_root_published_in_place_moves_between_its_tree_and_a_directory_of_it() {
    let env = Env::new();
    let repo = upstream(&env);
    fs::create_dir_all(env.root()).unwrap();
    fs::write(env.root().join("mine"), "mine").unwrap();
    for directory in ["", "site", "docs", ""] {
        let syncline = Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(env.root());
        syncline.arg("--publish=in-place").arg(format!("--subdirectory={directory}")).sync();
        let mut lines = listing(&env.root());
        lines.retain(|line| ![".git/", ".worktrees", "mine"].iter().any(|own| line.starts_with(own)));
        let mut expected = listing(&repo.path.join(directory));
        expected.retain(|line| !line.starts_with(".git/"));
        assert_eq!(lines, expected, "{directory}");
        assert_eq!(fs::read_to_string(env.root().join("mine")).unwrap(), "mine");
        assert_eq!(env.root().join(".git/index").exists(), directory.is_empty());
        env.assert_store_is_sound();
    }
    assert_eq!(git(&env.root(), &["status", "--porcelain", "--untracked-files=no"]), "");
}

#[test]
fn readers_always_find_one_of_the_directories_and_never_a_mixture() {
    for way in ["symlink", "directory"] {
        let env = Env::new();
        let repo = env.repo("up");
        let commit = |round: usize| {
            let text = round.to_string();
            let files = ["one/a", "one/b", "two/a", "two/b"];
            repo.commit(&files.map(|file| (file, text.as_str())));
        };
        let sync = |directory: &str| {
            syncline(&env, repo.url(), way, directory).arg("--stale-worktree-timeout=1h").sync();
        };
        commit(0);
        sync("one");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::Relaxed) {
                    let dir = rustix::fs::open(served(&env), OFlags::PATH, Mode::empty()).unwrap();
                    let inside = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir));
                    let read = |file| fs::read_to_string(format!("{inside}/{file}")).unwrap();
                    assert_eq!(read("a"), read("b"));
                    seen += 1;
                }
                seen
            });
            for round in 1..=8 {
                if round % 2 == 0 {
                    commit(round);
                }
                sync(["two", "one", "one", "two"][round % 4]);
            }
            over.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 8);
        });
    }
}

#[test]
fn what_somebody_altered_in_the_directory_is_made_good() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let sync = || syncline(&env, repo.url(), way, "site/public").sync().stderr;
        sync();
        fs::remove_file(served(&env).join("deep/page")).unwrap();
        let log = sync();
        assert!(log.contains("altered"), "{way}: {log}");
        assert_shows(&env, &repo, "site/public");
        // The same files, but the tree leads to them by a link.
        let tree = env.root().join(".worktrees").join(repo.head());
        fs::rename(tree.join("site"), env.path("moved")).unwrap();
        symlink(env.path("moved"), tree.join("site")).unwrap();
        sync();
        assert_shows(&env, &repo, "site/public");
        assert!(!tree.join("site").is_symlink());
    }
}

#[test]
fn a_mirror_of_the_library_publishes_the_directory() {
    for mode in [Publish::Symlink, Publish::Directory, Publish::InPlace] {
        let env = Env::new();
        let repo = upstream(&env);
        let subdirectory: Option<Subdirectory> = Some("site/public".parse().unwrap());
        let mut source = Source::new(repo.url().parse().unwrap(), "main".parse().unwrap());
        source.selection.subdirectory = subdirectory.clone();
        let store = Store::open(&env.root(), Resources::default()).unwrap();
        let options = CopyOptions { shares_files: true, is_durable: false };
        let publisher = publish::open(&store, mode, &served(&env), subdirectory, options).unwrap();
        let mut mirror = Mirror::builder(source).publisher(publisher).build(store);
        let outcome = mirror.sync().unwrap();
        assert_eq!(outcome.commit().to_string(), repo.head());
        assert_shows(&env, &repo, "site/public");
        repo.git(&["rm", "--quiet", "-r", "site"]);
        repo.commit(&[]);
        assert_eq!(mirror.sync().unwrap_err().kind(), ErrorKind::Rejected);
        assert_eq!(mirror.published().unwrap(), Some(outcome.commit()));
    }
}

#[test]
fn a_submodule_in_the_directory_comes_along() {
    let env = Env::new();
    let (inner, outer) = (env.repo("inner"), env.repo("outer"));
    pin(&outer, "dir/sub", "../../inner/.git", &inner.head());
    commit(&outer);
    let nginx = Nginx::start(&env.path(""));
    for way in WAYS {
        let _ = fs::remove_file(served(&env)).or_else(|_| fs::remove_dir_all(served(&env)));
        syncline(&env, &nginx.url("outer/.git"), way, "dir").sync();
        let sub = served(&env).join("sub");
        assert_eq!(fs::read_to_string(sub.join("file")).unwrap(), "one\n");
        assert_eq!(git(&sub, &["rev-parse", "HEAD"]), inner.head());
    }
}

#[test]
fn hooks_run_in_the_whole_tree() {
    use std::os::unix::fs::PermissionsExt;
    let env = Env::new();
    let repo = upstream(&env);
    let (hook, told) = (env.path("hook"), env.path("told"));
    fs::write(&hook, format!("#!/bin/sh\necho \"$GITSYNC_HASH $(pwd)\" >> {}\n", told.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let syncline = syncline(&env, repo.url(), "symlink", "site/public").env("PATH", "/usr/bin:/bin");
    let syncline = syncline.arg("--exechook-command").arg(&hook);
    syncline.arg("--pre-publish-exechook-required").arg("--pre-publish-exechook-command").arg(&hook).sync();
    let tree = fs::canonicalize(env.root().join(".worktrees").join(repo.head())).unwrap();
    let line = format!("{} {}\n", repo.head(), tree.display());
    assert_eq!(fs::read_to_string(&told).unwrap(), line.repeat(2));
}
