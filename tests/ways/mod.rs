//! The ways to publish besides a symbolic link: a directory that is exchanged, and one that is brought up to date in
//! place.

mod directory;
mod in_place;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::stepping::steps::{Deed, Effect, step_through};
use crate::submodules::{commit, pin};
use crate::support::*;

/// What a tree is made from in these tests: every kind of file, and changes of kind.
pub fn first_and_second(repo: &Repo) -> [String; 2] {
    symlink("file", repo.path.join("link")).unwrap();
    repo.write("becomes-dir", "a file\n");
    repo.write("becomes-file/inside/deep", "deep\n");
    repo.write("stays/a", "a\n");
    repo.write("goes/away/entirely", "bye\n");
    repo.write("executable", "#!/bin/sh\n");
    let first = repo.commit(&[]);
    for path in ["becomes-dir", "link"] {
        fs::remove_file(repo.path.join(path)).unwrap();
    }
    for path in ["becomes-file", "goes"] {
        fs::remove_dir_all(repo.path.join(path)).unwrap();
    }
    symlink("stays/a", repo.path.join("link")).unwrap();
    repo.write("becomes-dir/inside", "inside\n");
    repo.write("becomes-file", "a file\n");
    repo.write("file", "two\n");
    fs::set_permissions(repo.path.join("executable"), fs::Permissions::from_mode(0o755)).unwrap();
    let second = repo.commit(&[]);
    repo.git(&["checkout", "--quiet", "-B", "main", &first]);
    [first, second]
}

pub fn advance(repo: &Repo, commit: &str) {
    repo.git(&["checkout", "--quiet", "-B", "main", commit]);
}

/// The directory has what git would check out, and nothing else but `others`.
#[track_caller]
pub fn assert_holds(dir: &Path, repo: &Repo, others: &[&str]) {
    let lines = |dir: &Path, others: &[&str]| {
        let mut lines = listing(dir);
        lines
            .retain(|line| !line.starts_with(".git/") && !others.iter().any(|other| line.starts_with(other)));
        lines
    };
    assert_eq!(lines(dir, others), lines(&repo.path, &[]));
}

/// Kill a change from one commit to another at its `step`th change of `dir`; whether it got so far.
pub fn is_killed(syncline: &Syncline, dir: &Path, step: usize) -> bool {
    let mut made = 0;
    let code = step_through(&syncline.command, dir, |call| {
        made += usize::from(call.effect == Effect::Changes);
        if made == step { Deed::Kill } else { Deed::Allow }
    });
    code.is_none()
}

#[test]
fn in_place_a_submodule_is_brought_along() {
    let env = Env::new();
    let (inner, outer) = (env.repo("inner"), env.repo("outer"));
    pin(&outer, "sub", "../../inner/.git", &inner.head());
    commit(&outer);
    let nginx = Nginx::start(&env.path(""));
    for way in ["directory", "in-place"] {
        let dir = env.path(way);
        env.syncline(nginx.url("outer/.git")).arg(format!("--publish={way}")).arg("--link").arg(&dir).sync();
        assert_eq!(fs::read_to_string(dir.join("sub/file")).unwrap(), "one\n");
        assert_eq!(git(&dir.join("sub"), &["rev-parse", "HEAD"]), inner.head());
        assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    }
}

#[test]
fn no_name_is_ours_that_a_commit_or_a_consumer_may_have() {
    for way in ["directory", "in-place"] {
        for path in [".syncline-tmp", ".syncline-tmp/inside", "dir/.syncline-tmp", "dir/.syncline-tmp/inside"]
        {
            let env = Env::new();
            let repo = env.repo("up");
            let dir = env.path("served");
            let sync = || env.syncline(repo.url()).arg(format!("--publish={way}")).arg("--link").arg(&dir);
            for text in ["one", "two"] {
                repo.commit(&[(path, text), ("file", text)]);
                sync().sync();
                assert_holds(&dir, &repo, &[]);
            }
            repo.git(&["rm", "--quiet", path]);
            repo.commit(&[]);
            sync().sync();
            assert_holds(&dir, &repo, &[]);
        }
    }
}

#[test]
fn what_others_have_beside_a_published_path_stays() {
    for way in ["symlink", "directory"] {
        let env = Env::new();
        let repo = env.repo("up");
        let dir = env.path("served");
        fs::create_dir_all(&dir).unwrap();
        let files = [".site.tmp-new", ".site.tmp-old-0", ".site.tmp-new-1", ".site.tmp-mine"];
        for name in files {
            fs::write(dir.join(name), "mine").unwrap();
        }
        let links = ["tmp-link", ".site.tmp-link"];
        for name in links {
            symlink("elsewhere", dir.join(name)).unwrap();
        }
        for text in ["one", "two"] {
            repo.commit(&[("file", text)]);
            let syncline = env.syncline(repo.url()).arg(format!("--publish={way}"));
            syncline.arg("--stale-worktree-timeout=0s").arg("--link").arg(dir.join("site")).sync();
            assert_holds(&dir.join("site"), &repo, &[]);
            for name in files {
                assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), "mine", "{way} {name}");
            }
            assert!(links.iter().all(|name| dir.join(name).is_symlink()), "{way}");
            assert_eq!(fs::read_dir(&dir).unwrap().count(), files.len() + links.len() + 1, "{way}");
        }
    }
}
