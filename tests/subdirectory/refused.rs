//! Commits and options that are refused.

use std::fs;
use std::os::unix::fs::symlink;

use super::{WAYS, assert_shows, served, syncline, upstream};
use crate::support::*;

/// Put something else in the place of `site/public` or of a directory above it.
fn replace(repo: &Repo, path: &str, kind: &str) {
    repo.git(&["rm", "--quiet", "-r", path]);
    match kind {
        "link" => symlink("/etc", repo.path.join(path)).unwrap(),
        "file" => repo.write(path, "a file\n"),
        "submodule" => {
            let entry = format!("160000,{},{path}", repo.head());
            repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
            repo.git(&["commit", "--quiet", "--message=submodule"]);
            return;
        }
        _ => {}
    }
    repo.commit(&[]);
}

#[test]
fn a_commit_without_the_directory_is_refused_and_what_was_published_stays() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let good = repo.head();
        let sync = || syncline(&env, repo.url(), way, "site/public");
        for (path, kind, words) in [
            ("site/public", "nothing", "the commit has no files there"),
            ("site", "nothing", "the commit has no files there"),
            ("site/public", "link", "\"site/public\" is a symbolic link, not a directory"),
            ("site", "link", "\"site\" is a symbolic link, not a directory"),
            ("site/public", "file", "\"site/public\" is a file, not a directory"),
            ("site", "file", "\"site\" is a file, not a directory"),
            ("site/public", "submodule", "\"site/public\" is a submodule, not a directory"),
        ] {
            sync().sync();
            let before = (listing(&served(&env)), fs::read_link(served(&env)).ok());
            replace(&repo, path, kind);
            for _ in 0..2 {
                let fault = fault(&sync().fail());
                let step = format!("find the subdirectory \"site/public\" in {}", repo.head());
                assert!(fault.contains(words) && fault.contains(&step), "{way} {path} {kind}: {fault}");
                assert_eq!((listing(&served(&env)), fs::read_link(served(&env)).ok()), before);
                env.assert_no_leftovers();
            }
            repo.git(&["reset", "--quiet", "--hard", &good]);
            let _ = fs::remove_dir_all(env.root());
            let _ = fs::remove_dir_all(served(&env));
            let _ = fs::remove_file(served(&env));
        }
    }
}

#[test]
fn a_directory_that_turns_hostile_is_refused_as_a_first_sync_and_as_a_change() {
    let hostile = Hostile::new();
    for (path, kind, words) in [
        ("dir", "link", "\"dir\" is a symbolic link"),
        ("dir", "file", "\"dir\" is a file"),
        ("dir", "submodule", "\"dir\" is a submodule"),
        ("dir", "nothing", "the commit has no files there"),
    ] {
        hostile.reset();
        replace(&hostile.repo, path, kind);
        hostile.assert_refused(&[words, "\"dir\""], |syncline| syncline.arg("--subdirectory=dir"));
    }
    // A tree that git does not make: a directory without files.
    let empty = hostile.repo.raw_tree(&[]);
    let blob = hostile.repo.blob("x");
    let tree = hostile.repo.raw_tree(&[("40000", b"dir", &empty), ("100644", b"file", &blob)]);
    hostile.reset();
    hostile.repo.commit_tree(&tree);
    hostile.assert_refused(&["the commit has no files there"], |syncline| syncline.arg("--subdirectory=dir"));
}

#[test]
fn a_directory_that_the_commit_lacks_is_refused_on_restart_too() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        for before in ["", "docs"] {
            syncline(&env, repo.url(), way, before).sync();
            let shown = listing(&served(&env));
            for (directory, words) in [
                ("nowhere", "the commit has no files there"),
                ("Site/public", "the commit has no files there"),
                ("docs/index", "\"docs/index\" is a file"),
                ("docs/index/x", "\"docs/index\" is a file"),
            ] {
                let fault = fault(&syncline(&env, repo.url(), way, directory).fail());
                assert!(fault.contains(words), "{way} {directory}: {fault}");
                assert_eq!(listing(&served(&env)), shown, "{way} {directory}");
                env.assert_no_leftovers();
            }
        }
    }
}

#[test]
fn a_path_out_of_the_commit_is_a_fault_at_start() {
    let env = Env::new();
    let repo = upstream(&env);
    for path in
        ["/etc", "a/../b", "..", "./site", "site/", ".git", "site/.GIT", "GIT~1", ".git.", "site\\.git"]
    {
        let log = syncline(&env, repo.url(), "symlink", path).arg("--depth=-1").fail();
        assert!(log.contains("--subdirectory: ") && log.contains("--depth: "), "{path}: {log}");
        assert!(!env.root().exists(), "{path}");
    }
}

#[test]
fn links_in_the_directory_may_not_leave_it_where_links_have_to_stay_inside() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let sync = || syncline(&env, repo.url(), way, "site/public").arg("--symlinks=inside");
        symlink("../docs/index", repo.path.join("site/outside")).unwrap();
        symlink("deep/page", repo.path.join("site/public/within")).unwrap();
        repo.commit(&[]);
        sync().sync();
        assert_shows(&env, &repo, "site/public");
        symlink("../readme", repo.path.join("site/public/out")).unwrap();
        repo.commit(&[]);
        let before = listing(&served(&env));
        let fault = fault(&sync().fail());
        let words = "\"site/public/out\" -> \"../readme\" leads out of the subdirectory";
        assert!(fault.contains(words), "{way}: {fault}");
        assert_eq!(listing(&served(&env)), before);
        // In the whole tree it is allowed. That is no reason to show it in its directory later.
        syncline(&env, repo.url(), way, "").arg("--symlinks=inside").sync();
        let fault = crate::support::fault(&sync().fail());
        assert!(fault.contains(words), "{way}: {fault}");
    }
}

#[test]
fn sparse_patterns_may_leave_out_the_rest_but_not_the_directory() {
    for way in WAYS {
        let env = Env::new();
        let repo = upstream(&env);
        let sync = || syncline(&env, repo.url(), way, "site/public");
        sync().arg("--sparse-dirs=site/public").sync();
        assert_shows(&env, &repo, "site/public");
        let tree = env.root().join(".worktrees").join(repo.head());
        assert!(!tree.join("docs").exists());
        let log = sync().arg("--sparse-dirs=docs").fail();
        assert!(log.contains("--subdirectory: site/public is in none of the directories"), "{log}");
        let patterns = env.path("patterns");
        fs::write(&patterns, "/docs/\n").unwrap();
        let fault = fault(&sync().arg("--sparse-checkout-file").arg(&patterns).fail());
        assert!(fault.contains("the sparse patterns leave out all of it"), "{way}: {fault}");
        assert_shows(&env, &repo, "site/public");
    }
}
