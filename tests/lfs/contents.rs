//! What becomes of the files of a commit: which have the content, and which are left as they are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::lfs::*;
use crate::support::*;
use crate::ways::advance;

/// Two commits between which files of git-lfs come, go, change and move.
fn first_and_second(repo: &Repo) -> [String; 2] {
    repo.write("big.bin", noise(1, 300_000));
    repo.write("empty.bin", "");
    repo.write("becomes.bin", "small\n");
    repo.write("deep/er/stays.bin", noise(2, 5000));
    let first = repo.commit(&[]);
    repo.git(&["mv", "dir/b.bin", "moved.bin"]);
    fs::remove_file(repo.path.join("becomes.bin")).unwrap();
    repo.write("big.bin", noise(3, 300_000));
    repo.write("run.bin", "#!/bin/sh\n");
    fs::set_permissions(repo.path.join("run.bin"), fs::Permissions::from_mode(0o755)).unwrap();
    repo.write("becomes.bin/inside.bin", "inside\n");
    let second = repo.commit(&[("a.bin", "another a\n"), ("empty.bin", "no more\n"), ("file", "two\n")]);
    [first, second]
}

#[test]
fn files_have_their_content_whatever_the_source() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let commits = first_and_second(&repo);
    let bare = repo.push_lfs(&env.path("bare.git"));
    let host = LfsHost::start(&env.path(""));
    let git = GitDaemon::start(&env.path(""));
    let ca = format!("--git-config=http.sslCAInfo:{}", host.nginx.ca_file().display());
    let endpoint = format!("--lfs-url={}", host.lfs.endpoint("up/.git"));
    each_row(
        [
            (repo.url().to_owned(), "-v0"),
            (format!("file://{}/.git", repo.url()), "-v0"),
            (bare.url().to_owned(), "-v0"),
            (host.url("up/.git"), "-v0"),
            (host.url("up"), "-v0"),
            (host.url("bare.git"), "-v0"),
            (host.nginx.tls_url("up/.git"), &ca),
            (git.url("up/.git"), &endpoint),
        ],
        |(url, option)| {
            let _ = fs::remove_dir_all(env.root());
            for commit in [&commits[0], &commits[1], &commits[0]] {
                advance(&repo, commit);
                bare.git(&["update-ref", "refs/heads/main", commit]);
                env.with_lfs(&url).arg(option).sync();
                env.assert_lfs_published(&repo, commit);
            }
        },
    );
}

/// Its objects are neither used nor changed by what happens in the root.
#[test]
fn objects_of_a_local_repository_are_copied_and_looked_at() {
    use std::os::unix::fs::MetadataExt;
    let env = Env::new();
    let repo = env.lfs_repo("up");
    repo.write("big.bin", noise(1, 300_000));
    let commit = repo.commit(&[]);
    env.with_lfs(repo.url()).sync();
    env.assert_lfs_published(&repo, &commit);
    let inode = |path| fs::metadata(path).unwrap().ino();
    assert_ne!(inode(repo.lfs_object(noise(1, 300_000))), inode(env.link().join("big.bin")));

    each_row(
        [
            (10, "another content", |path| fs::write(path, noise(9, 5000)).unwrap()),
            (11, "a part", |path| fs::write(path, noise(11, 4999)).unwrap()),
            (12, "a link to elsewhere", |path: &std::path::Path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            }),
            (13, "nothing", |path| fs::remove_file(path).unwrap()),
        ] as [(u64, &str, fn(&std::path::Path)); 4],
        |(seed, what, spoil)| {
            repo.git(&["reset", "--quiet", "--hard", &commit]);
            repo.write("new.bin", noise(seed, 5000));
            let next = repo.commit(&[]);
            let object = repo.lfs_object(noise(seed, 5000));
            fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
            spoil(&object);
            let before = env.published();
            let fault = fault(&env.with_lfs(repo.url()).fail());
            assert!(fault.contains("\"new.bin\""), "{what}: {fault}");
            assert_eq!(env.published(), before, "{what}");
            assert_objects_are_whole(&env.root().join(".git"));
            env.assert_no_leftovers();
            let _ = fs::remove_file(&object);
            repo.add_lfs_object(noise(seed, 5000));
            env.with_lfs(repo.url()).sync();
            env.assert_lfs_published(&repo, &next);
        },
    );
}

/// A pointer to a content in a repository that has it, spoiled in some way.
fn case(alter: impl Fn(&str, &str) -> String) -> String {
    let (pointer, oid) = (pointer("content\n"), sha256("content\n"));
    alter(&pointer, &oid)
}

#[test]
fn what_is_a_pointer_to_git_lfs_is_one_here() {
    let line_end = |size: usize| case(|pointer, _| format!("{pointer}{}", "\n".repeat(size - pointer.len())));
    let version = "https://git-lfs.github.com/spec/v1";
    let cases = [
        case(|pointer, _| pointer.to_owned()),
        case(|pointer, _| pointer.trim_end().to_owned()),
        case(|pointer, _| pointer.replace('\n', "\r\n")),
        case(|pointer, _| pointer.replace('\n', "\r")),
        case(|pointer, _| pointer.replace('\n', "\n\n")),
        case(|pointer, _| format!("\n \t{pointer} \n\n")),
        case(|pointer, _| format!("\u{feff}{pointer}")),
        case(|pointer, _| format!("{pointer}\0")),
        case(|pointer, _| pointer.replace("size", "\0size")),
        case(|pointer, oid| pointer.replace(oid, &oid.to_uppercase())),
        case(|pointer, oid| pointer.replace(oid, &oid[1..])),
        case(|pointer, oid| pointer.replace(oid, &format!("{oid}0"))),
        case(|pointer, oid| pointer.replace(oid, &format!("{oid} "))),
        case(|pointer, _| pointer.replace("sha256:", "SHA256:")),
        case(|pointer, _| pointer.replace("sha256:", "")),
        case(|pointer, _| pointer.replace("sha256:", "md5:")),
        case(|pointer, _| pointer.replace(' ', "\t")),
        case(|pointer, _| pointer.replace(' ', "  ")),
        case(|pointer, _| pointer.replace("\noid", "\n oid")),
        case(|pointer, _| pointer.replace("version", "Version")),
        case(|pointer, _| format!("{pointer}x y\n")),
        case(|pointer, _| format!("{pointer}x\n")),
        case(|pointer, _| pointer.replacen("version ", "version x\nversion ", 1)),
        case(|pointer, _| pointer.lines().rev().map(|line| format!("{line}\n")).collect()),
        case(|pointer, _| pointer.lines().skip(1).map(|line| format!("{line}\n")).collect()),
        case(|pointer, _| pointer.lines().take(2).map(|line| format!("{line}\n")).collect()),
        case(|pointer, _| pointer.replace(version, "https://hawser.github.com/spec/v1")),
        case(|pointer, _| pointer.replace(version, "http://git-media.io/v/2")),
        case(|pointer, _| pointer.replace(version, "https://git-lfs.github.com/spec/v2")),
        case(|pointer, _| pointer.replace("https", "http")),
        case(|pointer, _| pointer.replace("size 8", "size -8")),
        case(|pointer, _| pointer.replace("size 8", "size 0x8")),
        case(|pointer, _| pointer.replace("size 8", "size 8.0")),
        case(|pointer, _| pointer.replace("size 8", "size 1_0")),
        case(|pointer, _| pointer.replace("size 8", "size 9223372036854775808")),
        case(|pointer, _| pointer.replace("size 8", "size 008")),
        case(|pointer, _| pointer.replace("size 8", "size ")),
        pointer(""),
        line_end(1023),
        "a text about git-lfs\n".into(),
        "version of a text\n".into(),
        format!("version {version}\n"),
        String::new(),
        "x".repeat(1023),
    ];
    let env = Env::new();
    let repo = env.pointer_repo("up");
    repo.add_lfs_object("content\n");
    for (number, text) in cases.iter().enumerate() {
        repo.write(&format!("{number}.bin"), text);
    }
    // Without the attribute, it is a text as any other.
    repo.write("no-attribute", pointer("content\n"));
    symlink("0.bin", repo.path.join("link.bin")).unwrap();
    let commit = repo.commit(&[]);
    let fresh = env.path("fresh");
    let add = ["worktree", "add", "--quiet", "--detach", fresh.to_str().unwrap(), &commit];
    repo.git(&[&DRIVER[..], &add].concat());
    env.with_lfs(repo.url()).sync();
    each_row(listing(&env.link()).into_iter().zip(listing(&fresh)), |(found, expected)| {
        assert_eq!(found, expected);
    });
    assert_eq!(env.lfs_objects(), [sha256("content\n")]);
}

#[test]
fn what_only_looks_like_a_pointer_is_left_as_it_is() {
    let padded = |size| case(|pointer, _| format!("{pointer}{}", "\n".repeat(size - pointer.len())));
    let extended = case(|pointer, oid| pointer.replace("\noid", &format!("\next-0-case sha256:{oid}\noid")));
    let env = Env::new();
    let repo = env.pointer_repo("up");
    repo.add_lfs_object("content\n");
    let cases = [
        // The size of a pointer is below 1024 bytes by its specification.
        ("1024.bin", padded(1024)),
        ("2000.bin", padded(2000)),
        ("plus.bin", case(|pointer, _| pointer.replace("size 8", "size +8"))),
        ("minus.bin", case(|pointer, _| pointer.replace("size 8", "size -0"))),
        // It stands for what a program makes of the object, and no program is run.
        ("extended.bin", extended),
        ("no-attribute", pointer("content\n")),
        ("content.bin", "committed without git-lfs\n".into()),
    ];
    for (file, text) in &cases {
        repo.write(file, text);
    }
    repo.commit(&[]);
    let log = env.with_lfs(repo.url()).sync().stderr;
    for (file, text) in &cases {
        env.assert_file(file, text);
    }
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("extended.bin"), "{log}");
    assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
    assert_eq!(env.lfs_objects(), [""; 0]);
}

#[test]
fn a_first_sync_writes_the_other_files_while_the_pack_comes() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    for number in 0..100 {
        repo.write(&format!("d{}/text{number}", number % 7), noise(number, 3000));
        repo.write(&format!("d{}/{number}.bin", number % 7), noise(1000 + number, 3000));
    }
    let commit = repo.commit(&[]);
    let host = LfsHost::start(&env.path(""));
    let log = env.with_lfs(host.url("up/.git")).sync().stderr;
    env.assert_lfs_published(&repo, &commit);
    let (written, early) = crate::unpacking::written(&log);
    assert!(early >= 100 && early <= written, "{early} of {written}: {log}");
}
