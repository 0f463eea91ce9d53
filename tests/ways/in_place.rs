//! A directory that is brought up to date in place.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::{advance, assert_holds, first_and_second, is_killed};
use crate::support::*;

#[test]
fn in_place_the_root_itself_has_the_files() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let own = [".worktrees"];
    fs::create_dir_all(env.root()).unwrap();
    fs::write(env.root().join("mine"), "mine").unwrap();
    fs::create_dir_all(env.root().join("goes/away")).unwrap();
    fs::write(env.root().join("goes/mine"), "mine").unwrap();
    for commit in [&commits[0], &commits[1], &commits[0]] {
        advance(&repo, commit);
        Syncline::new()
            .env("GIT_REPO", repo.url())
            .arg("--root")
            .arg(env.root())
            .arg("--publish=in-place")
            .sync();
        let others: &[&str] =
            if commit == &commits[0] { &["mine ", "goes/mine "] } else { &["mine ", "goes"] };
        assert_holds(&env.root(), &repo, &[&own, others].concat());
        assert_eq!(fs::read_to_string(env.root().join("goes/mine")).unwrap(), "mine");
        env.assert_store_is_sound();
        env.assert_no_leftovers();
        assert_eq!(git(&env.root(), &["rev-parse", "HEAD"]), *commit);
        assert_eq!(git(&env.root(), &["status", "--porcelain", "--untracked-files=no"]), "");
    }
}

#[test]
fn in_place_another_directory_has_the_files_and_only_what_changed_is_replaced() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    for checkout in ["link", "copy"] {
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::remove_dir_all(env.root());
        let sync = || {
            env.syncline(repo.url())
                .arg("--publish=in-place")
                .arg(format!("--checkout={checkout}"))
                .arg("--link")
                .arg(&dir)
                .sync()
        };
        advance(&repo, &commits[0]);
        sync();
        assert_holds(&dir, &repo, &[]);
        let inode = |path: &str| dir.join(path).metadata().unwrap().ino();
        let before = [inode("stays/a"), inode("file")];
        advance(&repo, &commits[1]);
        sync();
        assert_holds(&dir, &repo, &[]);
        assert_eq!(git(&dir, &["rev-parse", "HEAD"]), commits[1]);
        if checkout == "link" {
            assert_eq!(inode("stays/a"), before[0]);
        }
        assert_ne!(inode("file"), before[1]);
        // What somebody altered is made good at the next start.
        fs::write(dir.join("becomes-dir/inside"), "altered\n").unwrap();
        let log = sync().stderr;
        assert!(log.contains("altered"), "{log}");
        assert_holds(&dir, &repo, &[]);
    }
}

#[test]
fn in_place_nothing_of_others_is_touched() {
    let env = Env::new();
    let repo = env.repo("up");
    let dir = env.path("served");
    let sync = || env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir);
    for in_the_way in ["file", "dir"] {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(in_the_way), "mine").unwrap();
        let log = sync().fail();
        assert!(log.contains(&format!("{in_the_way} is in the way, and is not syncline's")), "{log}");
        assert_eq!(listing(&dir).len(), 1, "{:?}", listing(&dir));
    }
    // A link that leads elsewhere is not followed.
    fs::remove_file(dir.join("dir")).unwrap();
    fs::create_dir_all(env.path("elsewhere")).unwrap();
    symlink(env.path("elsewhere"), dir.join("dir")).unwrap();
    sync().fail();
    assert_eq!(listing(&env.path("elsewhere")), Vec::<String>::new());
    fs::remove_file(dir.join("dir")).unwrap();
    sync().sync();
    assert_holds(&dir, &repo, &[]);
    // Later, a new file meets one of theirs, and a directory with one of theirs is to go.
    fs::write(dir.join("dir/mine"), "mine").unwrap();
    fs::write(dir.join("new"), "mine").unwrap();
    repo.git(&["rm", "--quiet", "-r", "dir"]);
    repo.commit(&[("new", "new\n")]);
    let log = sync().fail();
    assert!(log.contains("new is in the way"), "{log}");
    assert_eq!(fs::read_to_string(dir.join("dir/other")).unwrap(), "other\n");
    fs::remove_file(dir.join("new")).unwrap();
    sync().sync();
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "new\n");
    assert!(dir.join("dir/mine").exists() && !dir.join("dir/other").exists());
}

#[test]
fn in_place_an_interrupted_run_is_completed_by_the_next() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits = first_and_second(&repo);
    let dir = env.path("served");
    let sync = || env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir);
    let mut step = 0;
    loop {
        advance(&repo, &commits[0]);
        sync().sync();
        assert_holds(&dir, &repo, &[]);
        advance(&repo, &commits[1]);
        step += 1;
        if !is_killed(&sync().one_time(), &dir, step) {
            break;
        }
        // Not even the same commit is needed.
        advance(&repo, &commits[step % 2]);
        sync().sync();
        assert_holds(&dir, &repo, &[]);
        env.assert_no_leftovers();
    }
    assert!(step > 15, "{step}");
}

#[test]
fn in_place_a_file_of_others_is_not_taken_for_a_leftover() {
    let env = Env::new();
    let repo = env.repo("up");
    let dir = env.path("served");
    let mine = [
        ".syncline-tmp",
        ".syncline-0123456789abcdef",
        "dir/.syncline-tmp",
        "dir/.syncline-0123456789abcdef",
    ];
    fs::create_dir_all(dir.join("dir")).unwrap();
    for path in mine {
        fs::write(dir.join(path), "mine").unwrap();
    }
    for text in ["one", "two"] {
        repo.commit(&[("file", text), ("dir/other", text)]);
        env.syncline(repo.url()).arg("--publish=in-place").arg("--link").arg(&dir).sync();
        assert_holds(&dir, &repo, &mine);
        for path in mine {
            assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), "mine", "{path}");
        }
    }
}

/// As an init container and a sidecar may see the same volumes.
#[test]
fn in_place_goes_on_where_volumes_are_mounted_at_other_paths() {
    let [volume, site] = ["volume", "volume/site"];
    each_row(
        [
            ("volume", volume, (volume, "moved")),
            ("volume/root", site, (volume, "moved")),
            ("volume/root", "volume/root/link", (volume, "moved")),
            ("root", "site", ("site", "www")),
            ("root", "site", ("root", "store")),
        ],
        |(root, dir, (from, to))| {
            let env = Env::new();
            let repo = env.repo("up");
            let commits = first_and_second(&repo);
            let sync = |root: &str, dir: &str| {
                let syncline =
                    Syncline::new().arg("--repo").arg(repo.url()).arg("--root").arg(env.path(root));
                syncline.arg("--publish=in-place").arg("--verbose=1").arg("--link").arg(env.path(dir)).sync()
            };
            let others: &[&str] = if root == dir { &[".worktrees"] } else { &[] };
            advance(&repo, &commits[0]);
            sync(root, dir);
            fs::rename(env.path(from), env.path(to)).unwrap();
            let [root, dir] = [root, dir].map(|path| path.replacen(from, to, 1));
            advance(&repo, &commits[1]);
            sync(&root, &dir);
            assert_holds(&env.path(&dir), &repo, others);
            let log = sync(&root, &dir).stderr;
            assert!(log.contains("nothing new"), "{root} {dir}: {log}");
        },
    );
}
