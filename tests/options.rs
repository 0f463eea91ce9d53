//! The command line, the environment and the log, as a user meets them.

use crate::support::*;

#[test]
fn every_fault_of_a_command_line_is_reported_and_nothing_is_touched() {
    let env = Env::new();
    let syncline = env.syncline("").arg("--perido=5s").arg("--depth=-3").env("GITSYNC_SYNC_TIMEOUT", "10");
    let finished = syncline.one_time().run();
    assert_eq!(finished.code, Some(1));
    let unknown = "--perido: unknown option; did you mean --period?";
    for option in [unknown, "--repo: is empty", "--depth: ", "GITSYNC_SYNC_TIMEOUT: "] {
        assert!(finished.stderr.contains(option), "{}", finished.stderr);
    }
    assert!(!env.root().exists());
}

#[test]
fn options_come_from_the_environment_too() {
    let env = Env::new();
    let repo = env.repo("up");
    let finished = Syncline::new()
        .env("GITSYNC_REPO", repo.url())
        .env("GITSYNC_ROOT", env.root())
        .env("GITSYNC_LINK", "link")
        .env("GITSYNC_ONE_TIME", "true")
        .env("GITSYNC_LOG_FORMAT", "text")
        .run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    env.assert_published(&repo, &repo.head());
    assert!(finished.stderr.contains(" INFO published"), "{}", finished.stderr);
}

#[test]
fn help_names_every_option_by_topic() {
    let finished = Syncline::new().arg("--help").run();
    assert_eq!(finished.code, Some(0));
    for text in ["What to sync:", "Where to publish:", "--repo <URL>", "--wait-for-lock", "GITSYNC_SOME_NAME"]
    {
        assert!(finished.stdout.contains(text), "{}", finished.stdout);
    }
    let finished = Syncline::new().arg("--version").run();
    assert_eq!(finished.stdout, format!("syncline {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_log_is_json_lines_where_no_terminal_is() {
    let env = Env::new();
    let repo = env.repo("up");
    let log = env.syncline(repo.url()).sync().stderr;
    assert!(log.lines().count() >= 2);
    for line in log.lines() {
        assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with('}'), "{line}");
    }
    assert!(log.contains(&format!("\"commit\":\"{}\"", repo.head())), "{log}");
}

#[test]
fn relative_paths_are_taken_from_the_working_directory() {
    let env = Env::new();
    let repo = env.repo("up");
    let mut command = std::process::Command::new(binary());
    command.args(["--repo=.", "--root=../root", "--one-time"]).current_dir(&repo.path).env_clear();
    assert!(command.output().unwrap().status.success());
    assert!(env.root().join("up/file").exists());
}
