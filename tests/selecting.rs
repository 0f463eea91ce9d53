//! Sparse checkouts and filters: only what is wanted becomes files, and only that travels.

use std::fs;

use crate::support::*;

/// A repository with a file of noise in each of three directories, which servers may filter.
fn upstream(env: &Env) -> Repo {
    let repo = env.repo("up");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    for (number, file) in ["wanted/big", "unwanted/big", "wanted/deep/big"].iter().enumerate() {
        repo.write(file, noise(number as u64 + 1, 200_000));
    }
    repo.commit(&[
        ("top", "top\n"),
        ("unwanted/.gitattributes", "*.txt eol=crlf\n"),
        ("wanted/x.txt", "one\n"),
    ]);
    repo
}

fn files(env: &Env) -> Vec<String> {
    let mut files = Vec::new();
    let root = fs::canonicalize(env.link()).unwrap();
    walk(&root, &mut |path| {
        if path.is_file() && !path.ends_with(".git") {
            files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
        }
    });
    files.sort();
    files
}

/// What stock git checks out under the same patterns.
fn as_git_does(repo: &Repo, env: &Env, patterns: &str) -> Vec<String> {
    let clone = env.path("by-git");
    let _ = fs::remove_dir_all(&clone);
    repo.git(&["clone", "--quiet", "--no-checkout", ".", clone.to_str().unwrap()]);
    git(&clone, &["sparse-checkout", "init"]);
    fs::write(clone.join(".git/info/sparse-checkout"), patterns).unwrap();
    git(&clone, &["checkout", "--quiet", "main"]);
    git(&clone, &["ls-files", "-t"])
        .lines()
        .filter_map(|line| line.strip_prefix("H "))
        .map(Into::into)
        .collect()
}

/// Bytes that the server sent since a number of requests.
fn sent(nginx: &Nginx, since: usize) -> usize {
    nginx.requests()[since..]
        .iter()
        .map(|line| line.split(' ').nth(5).unwrap().parse::<usize>().unwrap())
        .sum()
}

#[test]
fn patterns_select_what_git_would_select() {
    let env = Env::new();
    let repo = upstream(&env);
    let patterns = env.path("patterns");
    for text in [
        "/*\n!/*/\n/wanted/\n",
        "/wanted/deep/\n",
        "/*\n!/*/\n/wanted/\n!/wanted/*/\n/wanted/deep/\n",
        "*.txt\n",
        "/*\n!unwanted\n",
        "wanted/*\n!wanted/deep/\n",
    ] {
        fs::write(&patterns, text).unwrap();
        env.syncline(repo.url()).arg("--sparse-checkout-file").arg(&patterns).sync();
        assert_eq!(files(&env), as_git_does(&repo, &env, text), "{text:?}");
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
        env.assert_store_is_sound();
    }
    // Without patterns everything is back.
    env.syncline(repo.url()).sync();
    env.assert_published(&repo, &repo.head());
}

#[test]
fn directories_can_be_given_inline() {
    let env = Env::new();
    let repo = upstream(&env);
    env.syncline(repo.url()).arg("--sparse=wanted/deep").sync();
    assert_eq!(files(&env), ["file", "top", "wanted/big", "wanted/deep/big", "wanted/x.txt"]);
    let next = repo.commit(&[("wanted/deep/new", "x"), ("unwanted/new", "x")]);
    env.syncline(repo.url()).arg("--sparse=wanted/deep").sync();
    assert_eq!(env.published(), Some(next));
    assert!(env.link().join("wanted/deep/new").exists() && !env.link().join("unwanted").exists());
    let log = env.syncline(repo.url()).arg("--sparse-dirs=a,*.txt").fail();
    assert!(log.contains("--sparse-dirs: \"*.txt\" is a pattern"), "{log}");
}

#[test]
fn a_missing_pattern_file_is_a_clear_error_and_the_old_tree_stays() {
    let env = Env::new();
    let repo = upstream(&env);
    env.syncline(repo.url()).sync();
    let log = env.syncline(repo.url()).arg("--sparse-checkout-file=/nonexistent/patterns").fail();
    assert!(log.contains("read the sparse patterns") && log.contains("/nonexistent/patterns"), "{log}");
    env.assert_published(&repo, &repo.head());
}

#[test]
fn a_filter_with_patterns_brings_only_the_blobs_that_are_needed() {
    let env = Env::new();
    let repo = upstream(&env);
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    for filter in ["blob:none", "tree:0"] {
        let _ = fs::remove_dir_all(env.root());
        let syncline = || {
            let filter = format!("--filter={filter}");
            env.syncline(nginx.url("up/.git")).arg(filter).arg("--sparse=wanted/deep")
        };
        let before = nginx.requests().len();
        syncline().sync();
        // The handshake, the listing, the skeleton, and all blobs at once.
        assert_eq!(nginx.requests().len() - before, 4, "{:?}", &nginx.requests()[before..]);
        let bytes = sent(&nginx, before);
        assert!((400_000..500_000).contains(&bytes), "{bytes} bytes for two of three files");
        assert_eq!(env.read("wanted/x.txt"), "one\n");
        env.assert_store_is_sound();
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");

        // A change outside brings no blob; one inside brings one.
        let before = nginx.requests().len();
        repo.commit(&[("unwanted/new", &"x".repeat(10_000))]);
        syncline().sync();
        assert_eq!(nginx.requests().len() - before, 3);
        let before = nginx.requests().len();
        let inside = repo.commit(&[("wanted/deep/new", filter)]);
        syncline().sync();
        assert_eq!(nginx.requests().len() - before, 4);
        assert!(sent(&nginx, before) < 5_000);
        assert_eq!((env.published(), env.read("wanted/deep/new")), (Some(inside.clone()), filter.into()));
        env.assert_store_is_sound();

        // Other patterns at the same commit bring what they need.
        let all = env.syncline(nginx.url("up/.git")).arg(format!("--filter={filter}"));
        all.sync();
        env.assert_published(&repo, &inside);
        // And without a filter the store is whole again.
        env.syncline(daemon.url("up/.git")).sync();
        env.assert_published(&repo, &inside);
        assert!(!fs::read_to_string(env.root().join(".git/config")).unwrap().contains("promisor"));
    }
}

#[test]
fn attributes_are_fetched_only_where_they_apply() {
    let env = Env::new();
    let repo = upstream(&env);
    let nginx = Nginx::start(&env.path(""));
    repo.commit(&[
        (".gitattributes", "*.md eol=crlf\n"),
        ("wanted/deep/.gitattributes", "*.txt eol=crlf\n"),
        ("wanted/deep/y.txt", "y\n"),
        ("wanted/deep/z.md", "z\n"),
        ("unwanted/.gitattributes", "*.bin binary\n"),
        // The same content as the one that applies.
        ("unwanted/again/.gitattributes", "*.txt eol=crlf\n"),
    ]);
    let id = repo.git(&["rev-parse", "main:unwanted/.gitattributes"]);
    // In the second case the attributes at the top are left out, and apply.
    let patterns = env.path("patterns");
    fs::write(&patterns, "wanted/deep/*\n").unwrap();
    let by_file = format!("--sparse-checkout-file={}", patterns.display());
    for selection in ["--sparse=wanted/deep".to_owned(), by_file] {
        let _ = fs::remove_dir_all(env.root());
        env.syncline(nginx.url("up/.git")).arg("--filter=blob:none").arg(&selection).sync();
        assert_eq!(
            (env.read("wanted/deep/y.txt"), env.read("wanted/deep/z.md")),
            ("y\r\n".into(), "z\r\n".into())
        );
        let objects = git(&env.link(), &["rev-list", "--objects", "--missing=print", "HEAD"]);
        assert!(objects.contains(&format!("?{id}")), "{selection}: {objects}");
        assert_eq!(git(&env.link(), &["status", "--porcelain"]), "");
    }
}

#[test]
fn a_server_without_filters_works_with_one_warning() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    for url in [nginx.url("up/.git"), nginx.url("v0/up/.git")] {
        let _ = fs::remove_dir_all(env.root());
        let running = env.syncline(&url).arg("--filter=blob:none").arg("--period=10ms").arg("-v1").spawn();
        running.wait_for("published");
        repo.commit(&[("file", &url)]);
        running.wait_for_times("\"published\"", 2);
        assert_eq!(running.log().matches("does not support --filter").count(), 1, "{}", running.log());
        drop(running);
        env.syncline(&url).arg("--filter=blob:none").sync();
        env.assert_published(&repo, &repo.head());
    }
}

#[test]
fn a_filtered_store_stays_bounded() {
    let env = Env::new();
    let repo = upstream(&env);
    let nginx = Nginx::start(&env.path(""));
    let running = env
        .syncline(nginx.url("up/.git"))
        .arg("--filter=blob:none")
        .arg("--sparse=wanted/deep")
        .arg("--period=10ms")
        .spawn();
    for number in 0..45 {
        let commit = repo.commit(&[("wanted/deep/changing", &number.to_string())]);
        eventually("publication", || (env.published()? == commit).then_some(()));
    }
    drop(running);
    env.syncline(nginx.url("up/.git")).arg("--filter=blob:none").arg("--sparse=wanted/deep").sync();
    assert_eq!(env.read("wanted/deep/changing"), "44");
    env.assert_store_is_sound();
    let packs = fs::read_dir(env.root().join(".git/objects/pack")).unwrap();
    assert!(
        packs.filter(|entry| entry.as_ref().unwrap().path().extension() == Some("pack".as_ref())).count()
            <= 41
    );
}
