//! What is promised to be absent.

use std::process::Command;

use crate::support::*;

fn cargo_tree(args: &[&str]) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--prefix=none",
            "--edges=normal,build",
            "--manifest-path",
            manifest,
        ])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_core_knows_no_runtime_and_no_command_line() {
    let direct = cargo_tree(&["--package=sync-core", "--depth=1"]);
    let names: Vec<&str> = direct.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"gix"), "{direct}");
    for absent in ["clap", "humantime", "tracing"] {
        assert!(!names.contains(&absent), "{absent} in {names:?}");
    }
    // SSH needs a runtime; nothing else may know of it, nor any user of the library.
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sync-core/src");
    // What fuzzing reaches is behind a feature that no user turns on.
    for path in rust_files(&source).into_iter().filter(|path| !path.ends_with("fuzzing.rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_inside =
            path.components().any(|part| part.as_os_str() == "ssh") && !path.ends_with("url/ssh.rs");
        for line in text.lines().filter(|line| !is_inside || line.trim_start().starts_with("pub ")) {
            // `russh::keys` is the crate ssh-key, which needs no runtime.
            let line = line.replace("russh::keys::", "");
            let named = ["tokio::", "russh::", "async "].iter().find(|name| line.contains(**name));
            assert!(named.is_none() || line.trim_start().starts_with("//"), "{}: {line}", path.display());
        }
    }
}

fn rust_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn no_foreign_git_or_tls_is_in_the_tree() {
    let all = cargo_tree(&["--workspace"]);
    for absent in [
        "git2 ",
        "libgit2-sys ",
        "openssl ",
        "openssl-sys ",
        "aws-lc-rs ",
        "aws-lc-sys ",
        "cmake ",
        "reqwest ",
    ] {
        assert!(!all.lines().any(|line| line.starts_with(absent)), "{absent}");
    }
}

#[test]
fn no_other_program_is_run() {
    let env = Env::new();
    let repo = env.repo("up");
    let nginx = Nginx::start(&env.path(""));
    let sshd = Sshd::start(&env);
    let key = sshd.authorized_key();
    let known_hosts = sshd.known_hosts(&sshd.host_line("ed25519"));
    for url in [nginx.url("up/.git"), repo.url().to_owned(), sshd.url(&repo.path)] {
        let trace = env.path("trace");
        let output = Command::new("strace")
            .args(["-f", "-e", "trace=execve,execveat,fork,vfork", "-o"])
            .arg(&trace)
            .arg(binary())
            .args([format!("--repo={url}"), format!("--root={}", env.root().display())])
            .args(["--one-time", "--link=link"])
            .arg(format!("--ssh-key-file={}", key.display()))
            .arg(format!("--ssh-known-hosts-file={}", known_hosts.display()))
            .output()
            .expect("strace is installed");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let trace = std::fs::read_to_string(trace).unwrap();
        assert_eq!(trace.matches("exec").count(), 1, "{trace}");
        assert_eq!(trace.matches("fork").count(), 0, "{trace}");
    }
}

/// Without it, every request over git:// waits 40 ms for the other side's acknowledgement.
#[test]
fn connections_do_not_wait_to_fill_packets() {
    let env = Env::new();
    let _repo = env.repo("up");
    let daemon = GitDaemon::start(&env.path(""));
    let trace = env.path("trace");
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=setsockopt", "-o"])
        .arg(&trace)
        .arg(binary())
        .args([format!("--repo={}", daemon.url("up/.git")), format!("--root={}", env.root().display())])
        .args(["--one-time", "--link=link"])
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.expect("strace is installed").success());
    let trace = std::fs::read_to_string(trace).unwrap();
    for option in ["TCP_NODELAY, [1]", "SO_KEEPALIVE, [1]"] {
        assert!(trace.contains(option), "{option}: {trace}");
    }
}
