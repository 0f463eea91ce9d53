//! The options for Git LFS: what they say by default, what they refuse, and that they take effect at an unchanged
//! commit.

use std::fs;

use crate::support::lfs::*;
use crate::support::*;

#[test]
fn without_the_option_pointers_stay_and_one_line_says_so() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let line = "there are pointers of Git LFS in place of content; --lfs=on fetches it";
    for option in ["-v0", "--lfs=off"] {
        let _ = fs::remove_dir_all(env.root());
        let running = env.syncline(host.url("up/.git")).arg(option).arg("--period=10ms").spawn();
        running.wait_for("\"published\"");
        let commit = repo.commit(&[("file", option)]);
        running.wait_for(&commit);
        running.wait_for_times("\"published\"", 2);
        let log = running.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("Git LFS")).collect();
        assert!(
            lines.len() == 1
                && lines[0].contains(line)
                && lines[0].contains("2 files")
                && lines[0].contains("\"INFO\""),
            "{log}"
        );
        env.assert_file("a.bin", pointer("content of a\n"));
        env.assert_file("dir/b.bin", pointer("of b\n"));
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
        assert!(!env.root().join(".git/lfs").exists());
    }
    assert_eq!(host.batches(), 0);

    // Where there are none, nothing is said.
    let plain = env.pointer_repo("plain");
    plain.commit(&[("text", &pointer("x")), ("a.bin", "no pointer"), ("empty.bin", "")]);
    let _ = fs::remove_dir_all(env.root());
    let log = env.syncline(plain.url()).sync().stderr;
    assert!(!log.contains("LFS"), "{log}");
}

#[test]
fn options_come_from_the_environment_too() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.commit(&[("out.bin", "out\n"), ("other.bin", "other\n")]);
    let host = LfsHost::start(&env.path(""));
    let endpoint = host.lfs.endpoint("up/.git");
    let log = env
        .syncline(host.url("up/.git"))
        .env("GITSYNC_LFS", "on")
        .env("GITSYNC_LFS_URL", &endpoint)
        .env("GITSYNC_LFS_INCLUDE", "*.bin,nothing")
        .env("GITSYNC_LFS_EXCLUDE", "out.bin,other.bin")
        .env("GITSYNC_LFS_CONFIG", "ignore")
        .env("GITSYNC_LFS_MISSING", "pointer")
        .env("GITSYNC_LFS_TRANSFERS", "1")
        .sync()
        .stderr;
    env.assert_file("a.bin", "content of a\n");
    env.assert_file("out.bin", pointer("out\n"));
    env.assert_file("other.bin", pointer("other\n"));
    assert_eq!((host.lfs.batches().len(), host.lfs.gets().len(), host.objects().len()), (1, 2, 0), "{log}");
}

#[test]
fn faults_of_options_are_named_before_anything_is_touched() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    each_row(
        [
            ("--lfs=maybe", "must be "),
            ("--lfs=", "--lfs"),
            ("--lfs-url=nonsense", "--lfs-url"),
            ("--lfs-url=ftp://canary@host/x", "--lfs-url"),
            ("--lfs-url=file:///etc/canary", "--lfs-url"),
            ("--lfs-url=ssh://canary@host/x", "--lfs-url"),
            ("--lfs-url=/some/canary", "--lfs-url"),
            ("--lfs-url=http:///canary", "--lfs-url"),
            ("--lfs-url=http://host/\ncanary", "--lfs-url"),
            ("--lfs-config=any", "must be "),
            ("--lfs-missing=ignore", "must be "),
            ("--lfs-transfers=0", "--lfs-transfers"),
            ("--lfs-transfers=65", "--lfs-transfers"),
            ("--lfs-transfers=many", "--lfs-transfers"),
            ("--lfs-inculde=*.bin", "did you mean --lfs-include?"),
        ],
        |(option, words)| {
            let finished = env.with_lfs(repo.url()).arg(option).one_time().run();
            assert_eq!(finished.code, Some(1), "{option}: {}", finished.stderr);
            let name = option.split('=').next().unwrap();
            let log = &finished.stderr;
            assert!(log.contains(name) && log.contains(words) && !log.contains("canary"), "{option}: {log}");
            assert!(!env.root().exists(), "{option}");
        },
    );
}

#[test]
fn other_options_take_effect_at_an_unchanged_commit() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let commit = repo.commit(&[("dir/deep/c.bin", "of c\n")]);
    let host = LfsHost::start(&env.path(""));
    let [a, b, c] = ["content of a\n", "of b\n", "of c\n"];
    let ways: [(&[&str], [bool; 3]); 11] = [
        (&["--lfs=off"], [false; 3]),
        (&["--lfs=on"], [true; 3]),
        (&["--lfs=off"], [false; 3]),
        (&["--lfs=on", "--lfs-include=dir"], [false, true, true]),
        (&["--lfs=on", "--lfs-include=a.bin,dir", "--lfs-exclude=deep"], [true, true, false]),
        (&["--lfs=on", "--checkout=copy"], [true; 3]),
        (&["--lfs=on", "--checkout=copy", "--lfs-exclude=dir"], [true, false, false]),
        (&["--lfs=off", "--checkout=copy"], [false; 3]),
        (&["--lfs=on", "--filter=blob:none", "--lfs-exclude=*"], [false; 3]),
        (&["--lfs=on", "--lfs-exclude=*.txt"], [true; 3]),
        (&["--lfs=on"], [true; 3]),
    ];
    for (options, expected) in ways {
        for again in [false, true] {
            let syncline = env.syncline(host.url("up/.git")).arg("-v1");
            let log = options.iter().fold(syncline, Syncline::arg).sync().stderr;
            for (is_content, (file, content)) in
                expected.into_iter().zip([("a.bin", a), ("dir/b.bin", b), ("dir/deep/c.bin", c)])
            {
                env.assert_file(file, if is_content { content.to_owned() } else { pointer(content) });
            }
            assert_eq!(env.published().as_ref(), Some(&commit));
            assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "{options:?}");
            assert!(!again || log.contains("nothing new"), "{options:?}: {log}");
            env.assert_store_is_sound();
            env.assert_no_leftovers();
            assert_objects_are_whole(&env.root().join(".git"));
        }
    }
    env.assert_lfs_published(&repo, &commit);
}

#[test]
fn patterns_leave_the_pointers_that_git_lfs_leaves() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let files = ["x/y/z.bin", "x/a.bin", "dir.bin/a.bin", "dirx/b.bin", "sp ace/a.bin", "deep/dir/c.bin"];
    for file in files {
        repo.write(file, file);
    }
    let all: Vec<&str> = [&files[..], &["a.bin", "dir/b.bin"]].concat();
    repo.commit(&[]);
    let clone = env.path("clone");
    repo.git(&["clone", "--quiet", "--no-checkout", ".", clone.to_str().unwrap()]);
    each_row(
        [
            ("", ""),
            ("*.bin", ""),
            ("a.bin", ""),
            ("/a.bin", ""),
            ("dir", ""),
            ("dir/", ""),
            ("/dir", ""),
            ("x/*", ""),
            ("x/**", ""),
            ("**/a.bin", ""),
            ("x/*.bin,dir/*", ""),
            (" x , dir ", ""),
            ("sp ace", ""),
            ("[ax].bin", ""),
            ("nothing", ""),
            ("*", "x"),
            ("", "x/y"),
            ("", "*"),
            ("x", "x/y/z.bin"),
            ("x", "a.bin"),
            ("", "dir"),
            ("dir.bin", "dir"),
            ("?.bin", "/*.bin"),
        ],
        |(include, exclude)| {
            let _ = fs::remove_dir_all(clone.join(".git/lfs"));
            for file in git(&clone, &["ls-files"]).lines() {
                let _ = fs::remove_file(clone.join(file));
            }
            // Without the driver, pointers are written; `git lfs pull` replaces those that it is to.
            git(&clone, &["checkout", "--quiet", "--force", "main"]);
            let mut pull = vec!["lfs", "pull"];
            // An empty list counts as one that is not given.
            for (option, list) in [("--include", include), ("--exclude", exclude)] {
                pull.extend([option, list].into_iter().filter(|_| !list.is_empty()));
            }
            git(&clone, &[&DRIVER[..], &pull].concat());
            let syncline = env.with_lfs(repo.url()).arg(format!("--lfs-include={include}"));
            syncline.arg(format!("--lfs-exclude={exclude}")).sync();
            let read = |dir: &std::path::Path| -> Vec<_> {
                all.iter().map(|file| (*file, text(&fs::read(dir.join(file)).unwrap()))).collect()
            };
            assert_eq!(read(&env.link()), read(&clone), "{include:?} {exclude:?}");
        },
    );
}
