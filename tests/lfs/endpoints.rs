//! Where the server of a repository's objects is.

use std::fs;

use crate::support::lfs::*;
use crate::support::*;

/// The path of the last request of the batch API.
fn asked_at(server: &LfsServer) -> String {
    server.batches().last().unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn the_endpoint_follows_from_the_url() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let commit = repo.commit(&[]);
    repo.push_lfs(&env.path("bare.git"));
    repo.push_lfs(&env.path("deep/er.er/bare.git"));
    let host = LfsHost::start(&env.path(""));
    each_row(
        [
            ("up/.git", "/up/.git/info/lfs/objects/batch"),
            ("up/.git/", "/up/.git/info/lfs/objects/batch"),
            ("up", "/up.git/info/lfs/objects/batch"),
            ("up/", "/up.git/info/lfs/objects/batch"),
            ("bare.git", "/bare.git/info/lfs/objects/batch"),
            ("deep/er.er/bare.git", "/deep/er.er/bare.git/info/lfs/objects/batch"),
        ],
        |(path, expected)| {
            let _ = fs::remove_dir_all(env.root());
            env.with_lfs(host.url(path)).sync();
            assert_eq!(asked_at(&host.lfs), expected);
            env.assert_lfs_published(&repo, &commit);
        },
    );
}

#[test]
fn the_user_names_another_endpoint() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let commit = repo.commit(&[]);
    repo.push_lfs(&env.path("elsewhere.git"));
    let (host, daemon) = (LfsHost::start(&env.path("")), GitDaemon::start(&env.path("")));
    for url in [host.url("up/.git"), daemon.url("up/.git"), repo.url().to_owned()] {
        for (path, expected) in [
            ("elsewhere.git/info/lfs", "/elsewhere.git/info/lfs/objects/batch"),
            ("elsewhere.git/info/lfs/", "/elsewhere.git/info/lfs/objects/batch"),
        ] {
            let _ = fs::remove_dir_all(env.root());
            let before = host.batches();
            env.with_lfs(&url).arg(format!("--lfs-url={}", host.lfs.url(path))).sync();
            assert_eq!((asked_at(&host.lfs), host.batches()), (expected.to_owned(), before + 1), "{url}");
            env.assert_lfs_published(&repo, &commit);
        }
    }
    assert_eq!(host.objects(), [""; 0]);
    // Secrets of that URL are not told.
    let _ = fs::remove_dir_all(env.root());
    let refusing = Canned::status("403 Forbidden");
    let named = refusing.url("x/info/lfs").replace("://", "://user:canary@");
    let log = env.with_lfs(host.url("up/.git")).arg(format!("--lfs-url={named}")).arg("-v9").fail();
    assert!(log.contains("403") && !log.contains("canary"), "{log}");
}

/// Without a server that is known, the usual place is tried, and named.
#[test]
fn other_protocols_lead_to_https() {
    let env = Env::new();
    let _repo = env.lfs_repo("up");
    let daemon = GitDaemon::start(&env.path(""));
    let fault = fault(&env.with_lfs(daemon.url("up/.git")).arg("--sync-timeout=20s").fail());
    assert!(fault.contains("https://127.0.0.1") && fault.contains("/up/.git/info/lfs"), "{fault}");
    assert_eq!(env.published(), None);
}

#[test]
fn a_server_without_lfs_is_named() {
    let env = Env::new();
    let _repo = env.lfs_repo("up");
    // nginx hands this to git, which knows no such service.
    let nginx = Nginx::start(&env.path(""));
    let fault = fault(&env.with_lfs(nginx.url("up/.git")).fail());
    let endpoint = nginx.url("up/.git/info/lfs");
    assert!(fault.contains(&endpoint) && (fault.contains("404") || fault.contains("403")), "{fault}");
}

/// Git and the objects are behind the same certificates, proxies and time limits.
#[test]
fn certificates_and_proxies_are_those_of_git() {
    let env = Env::new();
    let repo = env.lfs_repo("up");
    let host = LfsHost::start(&env.path(""));
    let proxy = Tinyproxy::start(&env.path(""));
    let ca = format!("--ca-file={}", host.nginx.ca_file().display());
    let log = env.with_lfs(host.nginx.tls_url("up/.git")).fail();
    assert!(log.contains("certificate"), "{log}");
    env.with_lfs(host.nginx.tls_url("up/.git")).arg(&ca).arg(format!("--https-proxy={}", proxy.url())).sync();
    env.assert_lfs_published(&repo, &repo.head());
    assert_eq!((host.batches(), host.objects().len()), (1, 2));
    // The tests' own server for objects is reached through it, too.
    fs::remove_dir_all(env.root()).unwrap();
    env.with_lfs(host.url("up/.git"))
        .arg(format!("--lfs-url={}", host.lfs.endpoint("up/.git")))
        .arg(format!("--git-config=\"http.proxy\":\"{}\"", proxy.url()))
        .sync();
    assert!(!header(&host.lfs.batches()[1], "via").is_empty(), "{:?}", host.lfs.batches()[1]);
    assert!(host.lfs.gets().iter().all(|get| !header(get, "via").is_empty()), "{:?}", host.lfs.gets());
}
