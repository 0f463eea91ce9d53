//! One content, one inode: the store's object is the tree's file where that is possible, and what somebody does to one
//! of them reaches nothing that is published later.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::lfs::*;
use crate::support::*;

fn inode(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn trees_share_files_with_the_store_where_they_can() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    for name in ["run.bin", "plain.bin"] {
        repo.write(name, "in two modes\n");
    }
    repo.write("only-run.bin", "executable\n");
    for name in ["run.bin", "only-run.bin"] {
        fs::set_permissions(repo.path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    repo.commit(&[("again.bin", "of b\n")]);
    let host = LfsHost::start(&env.path(""));
    for option in ["--checkout=link", "--checkout=copy", "--file-reuse=copy", "--checkout=link"] {
        let _ = fs::remove_dir_all(env.root());
        env.with_lfs(host.url("up/.git")).arg(option).sync();
        env.assert_lfs_published(&repo, &repo.head());
        let is_linked =
            |file: &str, content: &str| inode(env.link().join(file)) == inode(env.lfs_object(content));
        let links = option.ends_with("link");
        for (file, content) in [
            ("a.bin", "content of a\n"),
            ("dir/b.bin", "of b\n"),
            ("again.bin", "of b\n"),
            ("plain.bin", "in two modes\n"),
        ] {
            assert_eq!(is_linked(file, content), links, "{option} {file}");
        }
        assert!(!is_linked("run.bin", "in two modes\n") && !is_linked("only-run.bin", "executable\n"));
        for object in env.lfs_objects() {
            let mode =
                fs::metadata(env.root().join(".git/lfs/objects").join(object_path(&object))).unwrap().mode();
            assert_eq!(mode & 0o111, 0, "{object}");
        }
    }
}

/// No link is needed for what is published to be right.
#[test]
fn files_are_copied_where_links_are_refused() {
    for refusal in ["EPERM", "EXDEV", "EMLINK"] {
        let env = Env::new();
        let repo = env.lfs_repo("up");
        let host = LfsHost::start(&env.path(""));
        for change in ["one", "two"] {
            repo.commit(&[("file", change)]);
            let output = std::process::Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject=linkat,link:error={refusal}")])
                .arg(binary())
                .args(["--one-time", "--link=link", "--lfs=on"])
                .args([format!("--repo={}", host.url("up/.git")), format!("--root={}", env.root().display())])
                .output()
                .unwrap();
            assert!(output.status.success(), "{refusal}: {}", text(&output.stderr));
            env.assert_lfs_published(&repo, &repo.head());
        }
        assert_eq!((host.batches(), host.objects().len()), (1, 2), "{refusal}");
    }
}

#[test]
fn an_unchanged_file_is_shared_by_all_trees() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    fs::set_permissions(repo.path.join("a.bin"), fs::Permissions::from_mode(0o755)).unwrap();
    repo.commit(&[]);
    let host = LfsHost::start(&env.path(""));
    let sync = || env.with_lfs(host.url("up/.git")).sync();
    sync();
    let before = ["a.bin", "dir/b.bin"].map(|file| inode(env.link().join(file)));
    repo.commit(&[("file", "two\n"), ("new.bin", "new\n")]);
    sync();
    assert_eq!(["a.bin", "dir/b.bin"].map(|file| inode(env.link().join(file))), before);
    env.assert_lfs_published(&repo, &repo.head());
}

#[test]
fn what_a_consumer_did_does_not_come_back() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 7] = [
        ("overwritten", |file| fs::write(file, "TAMPERED of a").unwrap()),
        ("longer", |file| fs::write(file, "content of a\nand more").unwrap()),
        ("emptied", |file| fs::write(file, "").unwrap()),
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("replaced", |file| {
            fs::remove_file(file).unwrap();
            fs::write(file, "tampered of a").unwrap();
        }),
        ("a link", |file| {
            fs::remove_file(file).unwrap();
            symlink("/etc/passwd", file).unwrap();
        }),
        ("another mode", |file| fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap()),
    ];
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let sync = || env.with_lfs(host.url("up/.git")).sync().stderr;
    sync();
    for (what, deed) in deeds {
        for changes in [false, true] {
            // Through the tree, and through the store.
            for in_store in [false, true] {
                let file = if in_store { env.lfs_object("content of a\n") } else { env.link().join("a.bin") };
                deed(&fs::canonicalize(&file).unwrap());
                if changes {
                    repo.commit(&[("file", &format!("{what} {in_store}\n"))]);
                }
                sync();
                env.assert_file("a.bin", "content of a\n");
                env.assert_file("dir/b.bin", "of b\n");
                assert_eq!(env.published(), Some(repo.head()));
                // A restart repairs the store where the tree needs it.
                sync();
                assert_eq!(git(&env.link(), &["status", "--porcelain"]), "", "{what} {changes} {in_store}");
            }
        }
    }
    repo.commit(&[("c.bin", "of c\n")]);
    sync();
    env.assert_lfs_published(&repo, &repo.head());
}

/// A new name for a content that is there already: whatever has its name in the store is looked at.
#[test]
fn an_object_that_was_altered_is_not_used_for_another_file() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let sync = || env.with_lfs(host.url("up/.git")).sync();
    sync();
    fs::write(env.link().join("a.bin"), "tampered 4321").unwrap();
    let commit = repo.commit(&[("second.bin", "content of a\n")]);
    sync();
    env.assert_lfs_published(&repo, &commit);
    // Neither is one that somebody put there.
    let foreign = env.lfs_object("of c\n");
    fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs::write(&foreign, "of X\n").unwrap();
    let commit = repo.commit(&[("c.bin", "of c\n")]);
    sync();
    env.assert_lfs_published(&repo, &commit);
    // But one that is right is.
    let before = host.objects().len();
    let given = env.lfs_object("of d\n");
    fs::create_dir_all(given.parent().unwrap()).unwrap();
    fs::write(&given, "of d\n").unwrap();
    let commit = repo.commit(&[("d.bin", "of d\n")]);
    sync();
    env.assert_lfs_published(&repo, &commit);
    assert_eq!(host.objects().len(), before);
}

#[test]
fn a_link_in_the_stores_place_is_not_followed() {
    type Deed = fn(&Path, &Path);
    let deeds: [(&str, Deed); 6] = [
        ("lfs", |git, outside| symlink(outside, git.join("lfs")).unwrap()),
        ("lfs/objects", |git, outside| {
            fs::create_dir(git.join("lfs")).unwrap();
            symlink(outside, git.join("lfs/objects")).unwrap();
        }),
        ("lfs/incomplete", |git, outside| {
            fs::create_dir(git.join("lfs")).unwrap();
            symlink(outside, git.join("lfs/incomplete")).unwrap();
        }),
        ("lfs/objects/aa", |git, outside| {
            fs::create_dir_all(git.join("lfs/objects")).unwrap();
            for fan in 0..=255 {
                symlink(outside, git.join(format!("lfs/objects/{fan:02x}"))).unwrap();
            }
        }),
        ("a file", |git, _| fs::write(git.join("lfs"), "a file").unwrap()),
        ("an object", |git, outside| {
            let object = git.join("lfs/objects").join(object_path(&sha256("content of a\n")));
            fs::create_dir_all(object.parent().unwrap()).unwrap();
            symlink(outside.join("mine"), object).unwrap();
        }),
    ];
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    each_row(deeds, |(what, deed)| {
        let _ = fs::remove_dir_all(env.root());
        let _ = fs::remove_dir_all(env.path("outside"));
        fs::create_dir_all(env.path("outside")).unwrap();
        fs::write(env.path("outside/mine"), "mine").unwrap();
        env.syncline(host.url("up/.git")).sync();
        deed(&env.root().join(".git"), &env.path("outside"));
        let finished = env.with_lfs(host.url("up/.git")).one_time().run();
        assert_eq!(listing(&env.path("outside")).len(), 1, "{what}: {:?}", listing(&env.path("outside")));
        assert_eq!(fs::read_to_string(env.path("outside/mine")).unwrap(), "mine", "{what}");
        match finished.code {
            Some(0) => env.assert_lfs_published(&repo, &repo.head()),
            code => assert_eq!(code, Some(1), "{what}: {}", finished.stderr),
        }
    });
}

#[test]
fn objects_that_no_tree_needs_go() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    for copy in ["link", "copy"] {
        let sync = |keep: &str| {
            let syncline = env.with_lfs(host.url("up/.git")).arg(format!("--checkout={copy}"));
            syncline.arg(format!("--stale-worktree-timeout={keep}")).sync();
        };
        let first = repo.commit(&[("a.bin", "first\n")]);
        sync("1h");
        repo.commit(&[("a.bin", "second\n")]);
        sync("1h");
        repo.commit(&[("a.bin", "third\n")]);
        sync("1h");
        // Old trees are kept whole, and so are their objects.
        for content in ["first\n", "second\n", "third\n", "of b\n"] {
            assert!(env.lfs_object(content).exists(), "{copy} {content}");
        }
        let old = env.root().join(".worktrees").join(&first);
        assert_eq!(fs::read_to_string(old.join("a.bin")).unwrap(), "first\n");
        assert_eq!(git(&old, &["status", "--porcelain"]), "");
        let before = host.objects().len();
        repo.commit(&[("file", copy)]);
        sync("0s");
        let mut expected = ["third\n", "of b\n"].map(sha256);
        expected.sort();
        assert_eq!(env.lfs_objects(), expected, "{copy}");
        env.assert_lfs_published(&repo, &repo.head());
        // Back to what went.
        assert_eq!(host.objects().len(), before);
        repo.commit(&[("a.bin", "first\n")]);
        sync("0s");
        assert_eq!(host.objects().len(), before + 1);
    }
    // Without the option, all go.
    env.syncline(host.url("up/.git")).arg("--stale-worktree-timeout=0s").sync();
    assert_eq!(env.lfs_objects(), [""; 0]);
}

#[test]
fn folding_packs_leaves_objects_alone() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let syncline = env.with_lfs(host.url("up/.git")).arg("--git-gc=aggressive").arg("--period=10ms");
    let running = syncline.arg("-v1").arg("--worktree-reuse-delay=0s").spawn();
    for number in 0..5 {
        let commit = repo.commit(&[("a.bin", &format!("{number}\n")), ("file", &format!("{number}\n"))]);
        eventually("publication", || (env.published()? == commit).then_some(()));
        running.wait_for_more("nothing new", 2);
        env.assert_lfs_shown(&repo, &commit);
    }
    assert!(!running.log().contains("\"WARN\""), "{}", running.log());
    drop(running);
    // The first commit may be published, or not.
    assert!((6..=7).contains(&host.objects().len()), "{:?}", host.objects());
}
