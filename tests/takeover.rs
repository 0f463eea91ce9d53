//! Roots that hold a repository already, and what others put into `.worktrees`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

type Prepare = fn(&Path, &Repo);

fn write(root: &Path, file: &str, text: &str) {
    fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
    fs::write(root.join(file), text).unwrap();
}

fn init(root: &Path) {
    fs::create_dir_all(root).unwrap();
    git(root, &["init", "--quiet"]);
}

/// What is left when the parts of `.git` that `gone` names are lost.
fn synced_without(root: &Path, repo: &Repo, gone: &[&str]) {
    let finished = Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(root).arg("--link=link");
    finished.sync();
    for gone in gone {
        let path = root.join(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

#[test]
fn a_root_is_taken_over_where_no_work_can_be_lost() {
    let prepared: [(&str, Prepare); 18] = [
        ("an empty directory", |root, _| fs::create_dir_all(root).unwrap()),
        ("git init", |root, _| init(root)),
        ("a HEAD that names nothing", |root, _| {
            init(root);
            write(root, ".git/HEAD", "0123456789012345678901234567890123456789\n");
        }),
        ("a HEAD that is garbage", |root, _| {
            init(root);
            write(root, ".git/HEAD", "garbage");
        }),
        ("no HEAD", |root, _| {
            init(root);
            fs::remove_file(root.join(".git/HEAD")).unwrap();
        }),
        ("references to objects that are gone", |root, repo| {
            init(root);
            write(root, ".git/refs/heads/main", &format!("{}\n", repo.head()));
            write(root, ".git/packed-refs", &format!("{} refs/tags/v1\n", repo.head()));
        }),
        ("a clone that was killed", |root, _| {
            init(root);
            write(root, ".git/objects/pack/tmp_pack_x1y2z3", "PACK");
            write(root, ".git/shallow.lock", "");
            write(root, ".git/config", "[core]\n\tbare = fal");
        }),
        ("git-sync's first step", |root, _| {
            fs::create_dir_all(root).unwrap();
            git(root, &["init", "--quiet", "-b", "git-sync"]);
            write(root, "file", "of a consumer");
        }),
        ("lost+found beside it", |root, _| {
            init(root);
            write(root, "lost+found/#12", "x");
        }),
        ("empty directories beside it", |root, _| {
            init(root);
            fs::create_dir_all(root.join("data/empty")).unwrap();
        }),
        (".git is an empty file", |root, _| write(root, ".git", "")),
        (".git is garbage", |root, _| write(root, ".git", "garbage\n")),
        (".git leads nowhere", |root, _| write(root, ".git", "gitdir: /nowhere\n")),
        (".git is a link to nowhere", |root, _| {
            fs::create_dir_all(root).unwrap();
            symlink("/nowhere", root.join(".git")).unwrap();
        }),
        ("ours, and .git is a file", |root, repo| {
            synced_without(root, repo, &[".git"]);
            write(root, ".git", "garbage\n");
            write(root, "file", "of a consumer");
        }),
        ("ours, and .git is git's", |root, repo| {
            synced_without(root, repo, &[".git"]);
            init(root);
            write(root, "file", "of a consumer");
        }),
        ("ours without its owner's file", |root, repo| {
            synced_without(root, repo, &[".git/syncline-owner", ".git/HEAD", ".worktrees"]);
            write(root, "file", "of a consumer");
        }),
        ("only our link is left", |root, _| {
            init(root);
            symlink(format!(".worktrees/{}", "1".repeat(40)), root.join("link")).unwrap();
            write(root, "file", "of a consumer");
        }),
    ];
    each_row(prepared, |(name, prepare)| {
        let env = Env::new();
        let repo = env.repo("up");
        prepare(&env.root(), &repo);
        let had_file = env.root().join("file").exists();
        let finished = env.syncline(repo.url()).one_time().run();
        assert_eq!(finished.code, Some(0), "{name}: {}", finished.stderr);
        env.assert_published(&repo, &repo.head());
        assert_eq!(env.root().join("file").exists(), had_file, "{name}");
        env.assert_no_leftovers();
    });
}

#[test]
fn a_root_with_somebodys_work_is_refused_and_what_was_seen_is_said() {
    let prepared: [(&str, Prepare); 11] = [
        ("commits (refs/", |root, repo| {
            repo.git(&["clone", "--quiet", "--no-checkout", ".", root.to_str().unwrap()]);
            let _ = fs::remove_file(root.join(".git/index"));
        }),
        ("commits (refs/tags/v1", |root, repo| {
            repo.git(&["clone", "--quiet", "--bare", ".", root.join(".git").to_str().unwrap()]);
            git(root, &["--git-dir=.git", "tag", "v1"]);
            git(root, &["--git-dir=.git", "update-ref", "-d", "refs/heads/main"]);
            git(root, &["--git-dir=.git", "pack-refs", "--all"]);
        }),
        ("commits (HEAD", |root, repo| {
            repo.git(&["clone", "--quiet", "--bare", ".", root.join(".git").to_str().unwrap()]);
            fs::remove_file(root.join(".git/packed-refs")).unwrap();
            write(root, ".git/HEAD", &format!("{}\n", repo.head()));
        }),
        ("commits (refs/stash", |root, repo| {
            init(root);
            git(root, &["fetch", "--quiet", repo.url(), "HEAD"]);
            git(root, &["update-ref", "refs/stash", "FETCH_HEAD"]);
        }),
        ("commits (refs/", |root, repo| {
            repo.git(&["clone", "--quiet", "--no-checkout", ".", root.to_str().unwrap()]);
            let _ = fs::remove_file(root.join(".git/index"));
            fs::remove_file(root.join(".git/HEAD")).unwrap();
        }),
        ("an index (.git/index)", |root, _| {
            init(root);
            write(root, "staged", "x");
            git(root, &["add", "staged"]);
            fs::remove_file(root.join("staged")).unwrap();
        }),
        ("files beside it (dir/mine)", |root, _| {
            init(root);
            write(root, "dir/mine", "x");
        }),
        ("files beside it (mine)", |root, _| {
            write(root, ".git", "gitdir: ../elsewhere/.git/worktrees/root\n");
            write(root, "mine", "x");
        }),
        // A directory of this name is nobody's mark.
        ("files beside it (.worktrees/feature/mine)", |root, _| {
            init(root);
            write(root, ".worktrees/feature/mine", "x");
        }),
        ("a worktree (.git/worktrees/elsewhere)", |root, _| {
            init(root);
            write(root, ".git/worktrees/elsewhere/HEAD", "ref: refs/heads/x\n");
        }),
        ("references (.git/reftable/tables.list)", |root, _| {
            init(root);
            write(root, ".git/reftable/tables.list", "0x1.ref\n");
        }),
    ];
    each_row(prepared, |(seen, prepare)| {
        let env = Env::new();
        let repo = env.repo("up");
        prepare(&env.root(), &repo);
        let all = || {
            let mut paths = Vec::new();
            walk(&env.root(), &mut |path| paths.push((path.to_owned(), fs::read(path).ok())));
            paths
        };
        let before = all();
        let log = env.syncline(repo.url()).fail();
        assert!(log.contains(seen) && log.contains("choose another root"), "{seen}: {log}");
        assert!(all() == before, "{seen}: something was touched");
    });
}

#[test]
fn what_is_no_worktree_goes_from_the_programs_own_directory() {
    let env = Env::new();
    let repo = env.repo("up");
    write(&env.path("outside"), "mine", "x");
    let trees = env.root().join(".worktrees");
    for change in ["a first sync", "the same commit", "another commit"] {
        let next = repo.commit(&[("file", change)]);
        for (path, text) in
            [("notes", "x"), ("not-an-id/deep/file", "x"), (&"a".repeat(40), "a file named after a commit")]
        {
            write(&trees, path, text);
        }
        symlink(env.path("outside"), trees.join("link")).unwrap();
        symlink(env.path("outside"), trees.join("b".repeat(40))).unwrap();
        // In the way of what is to be published.
        match change {
            "a first sync" => write(&trees, &next, "a file"),
            "another commit" => symlink(env.path("outside"), trees.join(&next)).unwrap(),
            _ => _ = env.syncline(repo.url()).sync(),
        }
        env.syncline(repo.url()).sync();
        env.assert_published(&repo, &next);
        let left: Vec<_> = fs::read_dir(&trees).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [next.as_str()], "{change}");
        assert!(env.path("outside/mine").exists());
    }
}

#[test]
fn what_is_mounted_in_the_programs_own_directory_stays() {
    let env = Env::new();
    let repo = env.repo("up");
    let trees = env.root().join(".worktrees");
    write(&env.path("outside"), "mine", "x");
    fs::create_dir_all(trees.join("not-an-id/mounted")).unwrap();
    let script = format!(
        "mount --bind {} {}/not-an-id/mounted && exec {} --one-time --repo={} --root={} --link=link",
        env.path("outside").display(),
        trees.display(),
        binary().display(),
        repo.url(),
        env.root().display(),
    );
    let output =
        std::process::Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let log = text(&output.stderr);
    assert!(output.status.success() && log.contains("something is mounted at or below"), "{log}");
    assert!(env.path("outside/mine").exists());
    env.assert_published(&repo, &repo.head());
}
