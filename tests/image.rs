//! The image that ships, run by podman.

use std::fs;
use std::path::Path;
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
    assert_eq!(listed, ["git 1777 root", "git-sync 777 root", "syncline 755 root"]);
    // The second name costs nothing.
    assert_eq!(fs::read_link(unpacked.join("git-sync")).unwrap(), Path::new("syncline"));
}

/// Pods of git-sync may name its program, and those of v3 may rely on the root of v3's image.
#[test]
fn it_does_what_pods_of_git_sync_expect() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    env.repo("site");
    let nginx = Nginx::start(&env.path(""));
    pods.let_through(nginx.port());
    let repo = format!("--env=GIT_SYNC_REPO={}", nginx.url("site/.git"));
    let run = |more: &[&str]| {
        let options =
            ["run", "--rm", "--network=host", "--volume=v3:/tmp/git", "--env=GIT_SYNC_DEST=html", &repo];
        pods.podman_command(&[&options, more, &[SYNCLINE, "--one-time"]].concat()).output().unwrap()
    };
    let failed = run(&["--entrypoint=/git-sync"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let said = text(&failed.stderr);
    assert!(said.contains("GITSYNC_ROOT: is /git, which is not a volume, but /tmp/git is"), "{said}");
    for root in ["--env=GITSYNC_ROOT=/tmp/git", "--env=GIT_SYNC_ROOT=/tmp/git"] {
        let done = run(&["--entrypoint=/git-sync", "--user=0", root]);
        assert!(done.status.success(), "{done:?}");
        let read = [
            "run",
            "--rm",
            "--network=none",
            "--volume=v3:/tmp/git:ro",
            CONSUMER,
            "cat",
            "/tmp/git/html/file",
        ];
        assert_eq!(pods.podman(&read), "one");
    }
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
