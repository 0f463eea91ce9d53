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
    for text in ["Source:", "Publishing:", "--repo <URL>", "--wait-for-lock", "GITSYNC_SOME_NAME"] {
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

/// Every option of git-sync v4, and of v3 where it still counts.
const GIT_SYNC: &str = "add-user askpass-url branch change-permissions cookie-file credential depth dest error-file \
    exechook-backoff exechook-command exechook-timeout filter git git-config git-config-add git-gc \
    github-app-application-id github-app-client-id github-app-installation-id github-app-private-key-file \
    github-base-url group-write help http-bind http-metrics http-pprof init-max-failures init-period link man \
    max-failures max-sync-failures one-time password password-file period pre-publish-exechook-backoff \
    pre-publish-exechook-command pre-publish-exechook-timeout ref repo rev root sparse-checkout-file ssh \
    ssh-key-file ssh-known-hosts ssh-known-hosts-file stale-worktree-timeout submodules sync-hook-command \
    sync-on-signal sync-timeout timeout touch-file username v verbose version wait webhook-backoff webhook-method \
    webhook-success-status webhook-timeout webhook-url";

#[test]
fn the_migration_guide_misses_no_option() {
    let guide = include_str!("../docs/migrating-from-git-sync.md");
    let manual = Syncline::new().arg("--man").run();
    assert_eq!(manual.code, Some(0));
    let ours = manual.stdout.lines().filter_map(|line| line.strip_prefix("  --"));
    let ours = ours.map(|line| line.split(['=', ' ']).next().unwrap());
    for option in GIT_SYNC.split_whitespace().chain(ours) {
        let named = [format!("`--{option}`"), format!("`--{option}=")];
        assert!(named.iter().any(|name| guide.contains(name)), "--{option} is missing");
    }
}

#[test]
fn man_page_and_completions_come_from_the_program() {
    let page = Syncline::new().arg("generate").arg("man").run();
    assert!(page.code == Some(0) && page.stdout.contains(".TH syncline"), "{}", page.stderr);
    let completions = Syncline::new().arg("generate").arg("bash").run();
    assert!(completions.stdout.contains("_syncline"), "{}", completions.stderr);
    assert_eq!(Syncline::new().arg("generate").arg("nothing").run().code, Some(1));
}
