//! The image that ships, run by podman.

use std::fs;
use std::process::Command;

use crate::support::pods::{CONSUMER, Done, Pods, SYNCLINE};
use crate::support::*;

#[test]
fn it_holds_the_program_and_a_directory_and_nothing_else() {
    let env = Env::new();
    let Some(pods) = Pods::start(&env) else { return };
    let archive = env.path("image.tar");
    let unpacked = env.path("image");
    fs::create_dir(&unpacked).unwrap();
    pods.podman(&["save", "--quiet", "--format=docker-dir", "--output", archive.to_str().unwrap(), SYNCLINE]);
    // One layer, beside what describes it.
    let layer = fs::read_dir(&archive).unwrap().map(|entry| entry.unwrap().path());
    let layer = layer.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    Command::new("tar").arg("-xpf").arg(layer).arg("-C").arg(&unpacked).done();
    let listed = Command::new("find").arg(&unpacked).args(["-mindepth", "1", "-printf", "%P %m %u\n"]).done();
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["git 1777 root", "syncline 755 root"]);
}

#[test]
fn it_says_what_it_is() {
    let env = Env::new();
    let Some(pods) = Pods::start(&env) else { return };
    let label = |name: &str| {
        let format = format!("--format={{{{index .Labels \"org.opencontainers.image.{name}\"}}}}");
        pods.podman(&["image", "inspect", &format, SYNCLINE])
    };
    assert_eq!(label("title"), "syncline");
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("revision").len(), 40);
    assert!(label("created").ends_with('Z'), "{}", label("created"));
}

#[test]
fn it_works_with_every_restriction_as_any_user() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let repo = env.repo("site");
    repo.commit_incompressible(8 << 20);
    let nginx = Nginx::start(&env.path(""));
    // The network is loopback with this one port.
    pods.let_through(nginx.port());
    for user in ["65533:65533", "1234567:7654321", "0:0"] {
        let volume = format!("git-{}", user.replace(':', "-"));
        let url = nginx.url("site/.git");
        let mut args = vec!["run", "--rm", "--network=host", "--read-only", "--read-only-tmpfs=false"];
        // What podman gives unasked: a line in passwd, and a home.
        args.extend([
            "--passwd=false",
            "--unsetenv-all",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
        ]);
        args.extend(["--memory=48m", "--memory-swap=48m", "--pids-limit=16"]);
        let (user, mount, repo) =
            (format!("--user={user}"), format!("--volume={volume}:/git"), format!("--repo={url}"));
        args.extend([user.as_str(), &mount, SYNCLINE, &repo, "--root=/git", "--link=link", "--one-time"]);
        pods.podman(&args);
        let mount = format!("{mount}:ro");
        let read = pods.podman(&["run", "--rm", "--network=none", &mount, CONSUMER, "cat", "/git/link/file"]);
        assert_eq!(read, "one");
    }
}
