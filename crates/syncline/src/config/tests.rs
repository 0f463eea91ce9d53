use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sync_core::{Depth, HostKeys, Limits};

use super::*;
use crate::args::{Parsed, parse};
use crate::schedule::Policy;

pub fn configure(argv: &[&str], environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let argv = std::iter::once("syncline").chain(argv.iter().copied()).map(Into::into);
    let environment = Environment::of(environment);
    match parse(argv, &environment) {
        Ok(Parsed::Run(args)) => Config::new(&args, &environment),
        other => panic!("{other:?}"),
    }
}

/// With a repository and a root.
pub fn config(argv: &[&str], environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    configure(&[&["--repo=https://host/x.git", "--root=r"], argv].concat(), environment)
}

pub fn errors(argv: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    config(argv, environment).expect_err(&argv.join(" "))
}

/// The options that errors are about, in order; no error quotes a canary.
pub fn origins(argv: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let errors = errors(argv, environment);
    assert!(!errors.concat().contains("canary"), "{errors:?}");
    errors.iter().map(|error| error.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn defaults_are_git_syncs() {
    let config = config(&[], &[]).unwrap();
    assert_eq!(config.publishing.root, Path::new("/cwd/r"));
    assert_eq!(config.publishing.link, Path::new("x.git"));
    assert_eq!(config.source.reference.to_string(), "HEAD");
    assert_eq!(config.source.depth, Depth::new(1));
    assert_eq!(config.source.selection.limits, Limits::default());
    let policy = Policy {
        period: Duration::from_secs(10),
        idle_period: None,
        init_period: None,
        one_time: false,
        max_failures: None,
        init_max_failures: None,
    };
    assert_eq!(config.timing.policy, policy);
    assert_eq!(config.timing.sync_timeout, Duration::from_secs(120));
    assert_eq!(config.publishing.stale_worktree_timeout, Duration::ZERO);
    assert!(config.hooks.list.is_empty() && config.warnings.is_empty());
}

#[test]
fn every_fault_is_reported_at_once() {
    let errors = configure(
        &[
            "--repo=https://user:secret@good?@evil/x",
            "--ref=a..b",
            "--depth=-1",
            "--period=10",
            "--sync-timeout=1ms",
            "--max-failures=many",
            "--one-time=maybe",
            "--log-format=xml",
            "--sync-on-signal=SIGNOPE",
            "--perido=1s",
        ],
        &[("GITSYNC_INIT_PERIOD", "1ms")],
    )
    .unwrap_err();
    let options: Vec<&str> = errors.iter().filter_map(|error| error.split(':').next()).collect();
    let judged =
        "--repo --ref --depth --root --period GITSYNC_INIT_PERIOD --one-time --max-failures --sync-timeout";
    let mut expected: Vec<&str> =
        judged.split(' ').chain(["--perido", "--log-format", "--sync-on-signal"]).collect();
    let mut found = options.clone();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(!errors.concat().contains("secret"), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("write 10s, for example")), "{errors:?}");
}

#[test]
fn links_keep_clear_of_the_store() {
    for link in [".git", ".git/x", ".worktrees/current", "/"] {
        assert!(config(&["--link", link], &[]).is_err(), "{link}");
    }
    assert_eq!(config(&["--link=/a/b"], &[]).unwrap().publishing.link, Path::new("/a/b"));
    assert_eq!(config(&["--link="], &[]).unwrap().publishing.link, Path::new("x.git"));
    assert_eq!(configure(&["--repo=.", "--root=/r"], &[]).unwrap().publishing.link, Path::new("cwd"));
    assert_eq!(configure(&["--repo=/", "--root=/r"], &[]).unwrap_err().len(), 1);
}

#[test]
fn a_subdirectory_is_a_path_inside_of_a_commit() {
    let subdirectory = |config: Config| config.source.selection.subdirectory.map(|path| path.to_string());
    let taken =
        |argv: &[&str], environment: &[(&str, &str)]| subdirectory(config(argv, environment).unwrap());
    assert_eq!(taken(&["--subdirectory=site/public"], &[]).as_deref(), Some("site/public"));
    assert_eq!(taken(&[], &[("GITSYNC_SUBDIRECTORY", "site")]).as_deref(), Some("site"));
    assert_eq!((taken(&[], &[]), taken(&["--subdirectory="], &[])), (None, None));
    for path in [
        "/",
        "/site",
        "site/",
        "a//b",
        ".",
        "./a",
        "..",
        "a/../b",
        ".git",
        "a/.GIT/b",
        ".gIt",
        "GIT~1",
        "a/git~1",
        ".git ",
        ".git::$DATA",
        "a\\.git",
        ".g\u{200c}it",
    ] {
        let argv = [&format!("--subdirectory={path}")[..], "--depth=-1"];
        let mut found = origins(&argv, &[]);
        found.sort();
        assert_eq!(found, ["--depth", "--subdirectory"], "{path:?}");
    }
}

#[test]
fn a_subdirectory_that_the_sparse_directories_leave_out_is_a_fault() {
    for (sparse, directory, is_fault) in [
        ("site", "site", false),
        ("site", "site/public", false),
        ("site/public,docs", "site", false),
        ("site/public", "site/private", true),
        ("docs", "site", true),
    ] {
        let argv = [format!("--sparse-dirs={sparse}"), format!("--subdirectory={directory}")];
        let found = config(&argv.each_ref().map(String::as_str), &[]);
        assert_eq!(found.is_err(), is_fault, "{argv:?}");
    }
    let found = errors(&["--sparse-dirs=docs", "--subdirectory=site"], &[]);
    assert!(
        found[0].contains("--subdirectory: site is in none of the directories of --sparse-dirs"),
        "{found:?}"
    );
}

#[test]
fn a_v3_manifest_means_what_it_meant() {
    let environment = [
        ("GIT_SYNC_REPO", "https://host/site.git"),
        ("GIT_SYNC_BRANCH", "master"),
        ("GIT_SYNC_ROOT", "/git"),
        ("GIT_SYNC_DEST", "site"),
        ("GIT_SYNC_WAIT", "1.5"),
        ("GIT_SYNC_TIMEOUT", "30"),
        ("GIT_SYNC_MAX_SYNC_FAILURES", "-1"),
        ("GIT_SYNC_HOOK_COMMAND", "/hook"),
        ("GIT_SYNC_DEPTH", "2"),
    ];
    let config = configure(&[], &environment).unwrap();
    assert_eq!(config.source.reference.to_string(), "master");
    assert_eq!(
        (config.publishing.root.as_path(), config.publishing.link.as_path()),
        (Path::new("/git"), Path::new("site"))
    );
    assert_eq!(config.timing.policy.period, Duration::from_millis(1500));
    assert_eq!(config.timing.sync_timeout, Duration::from_secs(30));
    assert_eq!(config.timing.policy.max_failures, Some(-1));
    assert_eq!(config.hooks.list.len(), 1);
    assert_eq!(config.source.depth, Depth::new(2));
    let older = environment.map(|(name, _)| name);
    let (names, today) = config.warnings[0].split_once(": older names; use ").unwrap();
    assert_eq!(BTreeSet::from_iter(names.split(", ")), BTreeSet::from(older));
    assert!(today.contains("GITSYNC_REF, GITSYNC_LINK, GITSYNC_PERIOD"), "{today}");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn older_options_beat_todays_unless_they_say_nothing() {
    let id = "0123456789012345678901234567890123456789";
    for (argv, reference) in [
        (&["--ref=new", "--branch=old"][..], "old"),
        (&["--ref=new", "--branch=old", "--rev=HEAD"], "old"),
        (&["--ref=new", "--rev", id], id),
        (&["--ref=new", "--branch="], "new"),
        (&["--ref=new", "--rev=HEAD"], "HEAD"),
    ] {
        assert_eq!(config(argv, &[]).unwrap().source.reference.to_string(), reference, "{argv:?}");
    }
    for (argv, warned) in [
        (&["--ref=new", "--rev=HEAD"][..], Some("--rev: HEAD")),
        (&["--ref=new", "--rev=HEAD", "--branch=old"], Some("--branch: old")),
        (&["--ref=HEAD", "--rev=HEAD"], None),
        (&["--ref=new", "--branch=new"], None),
        (&["--rev=HEAD"], None),
        (&["--branch=old"], None),
    ] {
        let warnings = config(argv, &[]).unwrap().warnings;
        let undone =
            warned.map(|older| format!("{older} overrides --ref, as in git-sync; omit it to sync new"));
        let found = warnings.into_iter().find(|warning| warning.contains("overrides"));
        assert_eq!(found, undone, "{argv:?}");
    }
    let config =
        config(&["--period=5s", "--wait=0", "--max-failures=3", "--v=2"], &[("GIT_SYNC_TIMEOUT", "0")])
            .unwrap();
    assert_eq!(
        (config.timing.policy.period, config.timing.policy.max_failures),
        (Duration::from_secs(5), Some(3))
    );
    assert_eq!((config.timing.sync_timeout, config.log.verbosity), (Duration::from_secs(120), 2));
    assert_eq!(errors(&["--branch=a", "--rev=b"], &[]).len(), 1);
    assert_eq!(errors(&["--change-permissions=0755"], &[]).len(), 1);
}

#[test]
fn a_reference_is_named_or_chosen() {
    for (argv, reference) in [
        (&["--ref-semver=~3.1"][..], "tags in \"~3.1\""),
        (&["--ref-semver=*", "--ref-tag-prefix=app1/"], "tags app1/ in \"*\""),
        (&["--ref-semver=*-0", "--ref-match=v*-rc*"], "tags like refs/tags/v*-rc* in \"*-0\""),
        (&["--ref-semver=1", "--ref-order=semver"], "tags in \"1\""),
        (&["--ref-match=v*"], "tags like refs/tags/v*"),
        (&["--ref-match=app1/*", "--ref-tag-prefix=app1/"], "tags app1/ like refs/tags/app1/*"),
        (&["--ref-match=nightly-*", "--ref-order=name"], "last of refs/tags/nightly-*"),
        (&["--ref-match=refs/changes/34/1234/*"], "last of refs/changes/34/1234/*"),
        (&["--ref-semver=", "--ref=main"], "main"),
    ] {
        assert_eq!(config(argv, &[]).unwrap().source.reference.to_string(), reference, "{argv:?}");
    }
    let chosen = config(&[], &[("GITSYNC_REF_SEMVER", "^1")]).unwrap().source.reference;
    assert_eq!(chosen.to_string(), "tags in \"^1\"");
    for (argv, at_fault) in [
        (&["--ref-semver=>=1.0.0 <banana"][..], &["--ref-semver"][..]),
        (&["--ref-semver=1", "--ref=main", "--branch=x", "--rev=HEAD"], &["--ref", "--branch", "--rev"]),
        (&["--ref-match=v*", "--ref=main"], &["--ref"]),
        (
            &["--ref-semver=<", "--ref=main", "--ref-match=refs/heads/*"],
            &["--ref-semver", "--ref", "--ref-match"],
        ),
        (&["--ref-semver=1", "--ref-order=name"], &["--ref-order"]),
        (&["--ref-match=refs/heads/*", "--ref-order=semver"], &["--ref-order"]),
        (&["--ref-match=refs/heads/*", "--ref-tag-prefix=x"], &["--ref-tag-prefix"]),
        (&["--ref-tag-prefix=x", "--ref-order=name"], &["--ref-tag-prefix", "--ref-order"]),
        (
            &["--ref-match=[", "--ref-order=date", "--ref-tag-prefix=a b"],
            &["--ref-match", "--ref-tag-prefix", "--ref-order"],
        ),
    ] {
        assert_eq!(origins(argv, &[]), at_fault, "{argv:?}");
    }
    let error = errors(&["--ref-semver=>=1.0.0 <banana"], &[]).concat();
    assert!(error.contains("column 10: \"banana\" is not a version"), "{error}");
}

/// A pod of git-sync v3 may rely on the root of v3's image.
#[test]
fn a_volume_at_the_root_of_v3_is_pointed_out() {
    let environment = |variables: &[(&str, &str)], has_v3_volume| {
        let usual = [("GIT_SYNC_REPO", "/up"), ("GITSYNC_ROOT", "/git")];
        let mut environment = Environment::of(&[&usual, variables].concat());
        environment.has_v3_volume = has_v3_volume;
        environment
    };
    let judge = |environment: Environment| match parse(["syncline".into()], &environment) {
        Ok(Parsed::Run(args)) => Config::new(&args, &environment).map(|config| config.publishing.root),
        other => panic!("{other:?}"),
    };
    let errors = judge(environment(&[], true)).unwrap_err();
    assert!(
        errors[0].starts_with("GITSYNC_ROOT: is /git, which is not a volume, but /tmp/git is"),
        "{errors:?}"
    );
    assert_eq!(judge(environment(&[], false)), Ok("/git".into()));
    assert_eq!(judge(environment(&[("GIT_SYNC_ROOT", "/tmp/git")], true)), Ok("/tmp/git".into()));
}

/// What the charts set where zero, or both generations, could be misread.
#[test]
fn charts_set_the_period_and_patience_that_they_mean() {
    for (environment, period, max_failures) in [
        (
            &[("GITSYNC_PERIOD", "5s"), ("GIT_SYNC_MAX_SYNC_FAILURES", "0"), ("GITSYNC_MAX_FAILURES", "0")][..],
            5,
            Some(0),
        ),
        (&[("GITSYNC_PERIOD", "5s"), ("GIT_SYNC_WAIT", "60")], 60, None),
        (&[("GIT_SYNC_WAIT", "60"), ("GIT_SYNC_MAX_SYNC_FAILURES", "0")], 60, None),
        (
            &[("GITSYNC_PERIOD", "30s"), ("GIT_SYNC_MAX_SYNC_FAILURES", "3"), ("GITSYNC_MAX_FAILURES", "3")],
            30,
            Some(3),
        ),
    ] {
        let policy = config(&[], environment).unwrap().timing.policy;
        assert_eq!(
            (policy.period, policy.max_failures),
            (Duration::from_secs(period), max_failures),
            "{environment:?}"
        );
    }
}

#[test]
fn older_times_are_judged_like_todays() {
    for argv in ["--wait=0.001", "--wait=-1", "--wait=x", "--timeout=-5"] {
        assert_eq!(errors(&[argv], &[]).len(), 1, "{argv}");
    }
}

#[test]
fn ssh_is_told_where_keys_and_known_hosts_are() {
    let config = |argv: &[&str], environment: &[(&str, &str)]| config(argv, environment).unwrap();
    let paths = |config: &Config| config.connect.ssh.keys.clone();
    let default = config(&[], &[]);
    assert_eq!(paths(&default), ["/etc/git-secret/ssh"].map(PathBuf::from));
    assert!(default.connect.ssh.keys_are_optional && default.warnings.is_empty());
    assert!(matches!(&default.connect.ssh.host_keys, HostKeys::File(path) if path.ends_with("known_hosts")));

    let environment = [("GITSYNC_SSH_KEY_FILE", "/a::b"), ("GITSYNC_SSH_KEY_PASSPHRASE_FILE", "p")];
    let set = config(&[], &environment);
    assert_eq!(paths(&set), ["/a", "/cwd/b"].map(PathBuf::from));
    assert_eq!(set.connect.ssh.passphrase_file, Some("/cwd/p".into()));
    assert!(!set.connect.ssh.keys_are_optional);
    let typed = config(&["--ssh-key-file=/x:y", "--ssh-key-file", "/z"], &environment);
    assert_eq!(paths(&typed), ["/x:y", "/z"].map(PathBuf::from));

    for (url, warnings) in [("git@host:site", 1), ("https://host/site", 0), ("/srv/site", 0)] {
        let unchecked = config(&["--ssh-known-hosts=false", "--repo", url], &[]);
        assert!(matches!(unchecked.connect.ssh.host_keys, HostKeys::Any));
        assert_eq!(unchecked.warnings.len(), warnings, "{url}: {:?}", unchecked.warnings);
    }
    assert_eq!(errors(&["--ssh-known-hosts=maybe"], &[]).len(), 1);
}
