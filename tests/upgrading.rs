//! A store that an earlier syncline wrote is taken over.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::*;

/// As syncline 0.1.0 writes it. This is not to follow what later versions write.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
    \tlogallrefupdates = true\n[gc]\n\tauto = 0\n";

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The store and the tree of the newest commit, as syncline 0.1.0 leaves them after a first sync of depth 1.
fn write_store(root: &Path, repo: &Repo) {
    let (store, commit) = (root.join(".git"), repo.head());
    write(&store.join("HEAD"), "ref: refs/heads/git-sync\n");
    write(&store.join("config"), CONFIG);
    write(&store.join("syncline-owner"), "pid 7 on syncline-5d9f7b\n");
    write(&store.join("refs/heads/git-sync"), format!("{commit}\n"));
    write(&store.join("logs/refs/heads/git-sync"), "");
    write(&store.join("shallow"), format!("{commit}\n"));

    fs::create_dir_all(store.join("objects/info")).unwrap();
    fs::create_dir_all(store.join("objects/pack")).unwrap();
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let below = repo.git(&["ls-tree", "-r", "-t", "--format=%(objectname)", "HEAD"]);
    let pack = store.join("objects/pack/pack");
    let arguments = ["-c", "pack.writeReverseIndex=false", "pack-objects", "--quiet", pack.to_str().unwrap()];
    git_with_input(&repo.path, &arguments, format!("{commit}\n{tree}\n{below}\n"));

    let (worktree, record) = (root.join(".worktrees").join(&commit), store.join("worktrees").join(&commit));
    write(&record.join("HEAD"), format!("{commit}\n"));
    write(&record.join("commondir"), "../..\n");
    write(&record.join("gitdir"), format!("{}/.git\n", worktree.display()));
    write(&worktree.join(".git"), format!("gitdir: ../../.git/worktrees/{commit}\n"));
    git(&worktree, &["read-tree", "HEAD"]);
    git(&worktree, &["checkout-index", "--all", "--index"]);
}

/// The published directory, whose files are those of the tree.
fn link_files(dir: &Path, root: &Path, commit: &str) {
    write(&dir.join(".git"), format!("gitdir: ../root/.git/worktrees/{commit}\n"));
    fs::create_dir(dir.join("dir")).unwrap();
    for file in ["file", "dir/other"] {
        fs::hard_link(root.join(".worktrees").join(commit).join(file), dir.join(file)).unwrap();
    }
}

/// How each way to publish shows a commit.
type Show = fn(dir: &Path, root: &Path, commit: &str) -> io::Result<()>;
const WAYS: [(&str, Show); 3] = [
    ("symlink", |dir, _, commit| symlink(format!("root/.worktrees/{commit}"), dir)),
    ("directory", |dir, root, commit| {
        link_files(dir, root, commit);
        Ok(())
    }),
    ("in-place", |dir, root, commit| {
        link_files(dir, root, commit);
        let record = format!("2\0../site\0\0\0{commit}\0.git\0dir/\0dir/other\0file\0");
        fs::write(root.join(".worktrees/.in-place"), record)
    }),
];

#[test]
fn a_store_of_a_later_format_is_refused_and_left_as_it_is() {
    let env = Env::new();
    let repo = env.repo("up");
    env.syncline(repo.url()).sync();
    let config = env.root().join(".git/config");
    let written = fs::read_to_string(&config).unwrap();
    assert!(written.contains("[syncline]\n\tformat = 1\n"), "{written}");
    let later = written.replace("format = 1", "format = 2");
    fs::write(&config, &later).unwrap();
    let leftover = env.root().join(".git/tmp-something");
    fs::write(&leftover, "").unwrap();
    let log = env.syncline(repo.url()).fail();
    assert!(log.contains("its store has format 2, of a later syncline"), "{log}");
    assert_eq!(fs::read_to_string(&config).unwrap(), later);
    assert!(leftover.exists());
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_store_of_syncline_0_1_is_taken_over() {
    for (way, show) in WAYS {
        let env = Env::new();
        let repo = env.repo("up");
        let first = repo.commit(&[("file", "two\n")]);
        let nginx = Nginx::start(&env.path(""));
        let site = env.path("site");
        let sync = || {
            let syncline = env.syncline(nginx.url("up/.git")).arg("-v1").arg(format!("--publish={way}"));
            let before = nginx.requests().len();
            let log = syncline.arg("--link").arg(&site).sync().stderr;
            (log, nginx.requests().split_off(before))
        };
        write_store(&env.root(), &repo);
        show(&site, &env.root(), &first).unwrap();
        let inode = |file: &str| site.join(file).metadata().unwrap().ino();
        let before = ["", "file", "dir/other"].map(inode);

        // Two requests are what it takes to look: what the server can do, and its references.
        let (log, requests) = sync();
        assert!(log.contains("nothing new") && requests.len() == 2, "{way}: {requests:#?}\n{log}");
        assert!(!log.contains("\"WARN\"") && !log.contains("\"published\""), "{way}: {log}");
        assert_eq!(["", "file", "dir/other"].map(inode), before, "{way}");
        assert_eq!(git(&site, &["rev-parse", "HEAD"]), first, "{way}");
        assert_eq!(git(&site, &["status", "--porcelain"]), "", "{way}");

        let second = repo.commit(&[("file", "three\n")]);
        let (log, requests) = sync();
        assert!(log.contains(r#""written":1,"early":0,"reused":1"#), "{way}: {log}");
        let bytes: usize = requests.last().unwrap().split(' ').nth(5).unwrap().parse().unwrap();
        assert!(requests.len() == 3 && bytes < 900, "{way}: {requests:#?}");
        assert_eq!(git(&site, &["rev-parse", "HEAD"]), second, "{way}");
        assert_eq!(git(&site, &["status", "--porcelain"]), "", "{way}");
        assert_eq!(inode("dir/other"), before[2], "{way}");
        env.assert_store_is_sound();
        env.assert_no_leftovers();
    }
}
