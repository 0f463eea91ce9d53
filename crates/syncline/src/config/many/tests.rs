use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::args::{Parsed, parse};

mod disk;
mod groups;
mod precedence;
mod secrets;
mod syntax;

/// A directory with a file of many repositories.
pub struct Home {
    dir: tempfile::TempDir,
    pub root: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap().join("git");
        Home { dir, root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// What a file or a directory means with these options, and a root if they have none.
    pub fn load(
        &self,
        path: &Path,
        argv: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<ManyConfig, Vec<String>> {
        let mut line = vec!["syncline".into(), format!("--config={}", path.display())];
        if !argv.iter().any(|arg| arg.starts_with("--root")) {
            line.push(format!("--root={}", self.root.display()));
        }
        line.extend(argv.iter().map(ToString::to_string));
        let environment = Environment::of(variables);
        match parse(line.into_iter().map(Into::into), &environment) {
            Ok(Parsed::Run(args)) => ManyConfig::load(&args, &environment),
            other => panic!("{other:?}"),
        }
    }

    /// The same of a text; in errors the path of its file is `F`, and the root is `R`.
    pub fn judge(
        &self,
        text: &str,
        argv: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<ManyConfig, Vec<String>> {
        let path = self.write("config.yaml", text);
        self.load(&path, argv, variables).map_err(|errors| {
            let plain = |error: &String| {
                error.replace(&path.display().to_string(), "F").replace(&self.root.display().to_string(), "R")
            };
            errors.iter().map(plain).collect()
        })
    }
}

/// What a text means.
pub fn judge(text: &str) -> Result<ManyConfig, Vec<String>> {
    Home::new().judge(text, &[], &[])
}

/// What is wrong with a text.
#[track_caller]
pub fn faults(text: &str) -> Vec<String> {
    judge(text).expect_err(text)
}

/// Each text with the beginnings of all its faults.
#[track_caller]
pub fn check_faults(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let found = faults(text);
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(fault, start)| fault.starts_with(start));
        assert!(fits, "{text}\n{found:#?}\nis not\n{expected:#?}");
        assert!(found.iter().all(|fault| !fault.contains('\n')), "{found:#?}");
    }
}

pub const TWO: &str = "repos:\n  site: {repo: 'https://h/site.git'}\n  dags: {repo: 'git@h:dags.git'}\n";

#[test]
fn repositories_groups_and_the_process_are_read() {
    let text = "\
http-bind: :8080
http-metrics: true
max-parallel: 2
removed: delete
defaults:
  depth: 2
  period: 30s
repos:
  site:
    repo: https://example.com/site.git
    ref: main
    depth: 1
  dags:
    repo: git@example.com:data/dags.git
    ssh-key-file: [/etc/keys/a, /etc/keys/b:c]
    readyz-max-age: 1m
    required: false
    on-give-up: exit
    root: elsewhere
    link: now
groups:
  all: {members: [site, dags], max-wait: 10s}
";
    let home = Home::new();
    let config = home.judge(text, &[], &[]).unwrap();
    let http =
        crate::config::Http { bind: ":8080".into(), metrics: true, readyz_max_age: Duration::from_secs(300) };
    let process = Process {
        receive: None,
        root: home.root.clone(),
        http: Some(http),
        log: crate::config::LogConfig::default(),
        group_write: false,
        sync_on_signal: None,
        one_time: false,
        max_parallel: std::num::NonZeroUsize::new(2),
        removed: Removed::Delete,
    };
    assert_eq!(config.process, process);
    let [dags, site] = &config.repos[..] else { panic!("{:?}", config.repos) };
    assert_eq!((&*dags.name, &*site.name), ("dags", "site"));
    assert_eq!((dags.required, site.required), (false, true));
    assert_eq!((dags.on_give_up, site.on_give_up), (GiveUp::Exit, GiveUp::Park));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert_eq!((dags.readyz_max_age, site.readyz_max_age), (minutes(1), minutes(5)));
    let depth = |repo: &RepoConfig| repo.config.source.depth;
    assert_eq!((depth(dags), depth(site)), (sync_core::Depth::new(2), sync_core::Depth::new(1)));
    assert_eq!(site.config.timing.policy.period, Duration::from_secs(30));
    let publishing = |repo: &RepoConfig| {
        let publishing = &repo.config.publishing;
        (publishing.root.clone(), publishing.link.clone())
    };
    assert_eq!(publishing(dags), (home.root.join("elsewhere"), "now".into()));
    assert_eq!(publishing(site), (home.root.join("site"), "current".into()));
    assert_eq!(dags.config.connect.ssh.keys, ["/etc/keys/a", "/etc/keys/b:c"].map(PathBuf::from));
    let [group] = &config.groups[..] else { panic!("{:?}", config.groups) };
    assert_eq!((&*group.name, &group.members[..]), ("all", &["site".to_owned(), "dags".to_owned()][..]));
    assert_eq!((group.settle, group.max_wait), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((group.incomplete, &group.pins, &group.exechook), (Incomplete::Hold, &None, &None));
    assert_eq!(config.path, home.path("config.yaml"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn every_fault_is_reported_with_its_line_and_once() {
    let text = "\
http-bnd: :80
max-parallel: 65
defaults:
  period: '10'
  link: x
repos:
  site:
    repo: https://h/x
    ref: a..b
    depht: 1
  dags:
    ref: main
  Bad: {}
  x: text
groups:
  all: {members: [sit]}
nothing: 1
";
    let found = Home::new().judge(text, &["--depth=x", "--bogus"], &[("GITSYNC_PERIODE", "1")]).unwrap_err();
    let expected = [
        "--bogus: unknown option",
        "--depth: \"x\" is not a whole number",
        "F:1: http-bnd: unknown option; did you mean http-bind?",
        "F:2: max-parallel: must be a number from 1 to 64, not \"65\"",
        "F:4: defaults: period: \"10\" has no unit; write 10s, for example",
        "F:5: defaults: link: cannot be the same for all: write it in each repository",
        "F:9: site: ref: ",
        "F:10: site: depht: unknown option; did you mean depth?",
        "F:11: dags: repo: must be given",
        "F:13: repos: Bad is no name: ",
        "F:14: x: must be a mapping from options to values",
        "F:16: all: members: there is no repository sit; did you mean site?",
        "F:17: nothing: unknown option",
        "GITSYNC_PERIODE: there is no such option; did you mean GITSYNC_PERIOD?",
    ];
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.starts_with(b));
    assert!(fits, "{found:#?}");
}

#[test]
fn what_some_repositories_share_names_them() {
    let entries = |count: usize| -> String {
        let entry = |at| format!("  r{at}: {{repo: 'https://h/x'}}\n");
        (0..count).map(entry).collect()
    };
    let own = "  own: {repo: 'https://h/x', depth: 1, ref: ''}\n";
    for (count, names) in [(1, "r0"), (2, "r0, r1"), (3, "r0, r1, r2"), (5, "r0, r1, r2 and 2 more")] {
        let text = format!("repos:\n{}{own}", entries(count));
        let found = Home::new().judge(&text, &["--depth=x"], &[]).unwrap_err();
        assert_eq!(found, [format!("{names}: --depth: \"x\" is not a whole number")]);
        let text = format!("defaults: {{depth: x}}\nrepos:\n{}{own}", entries(count));
        let found = faults(&text);
        assert_eq!(found, [format!("F:1: defaults: depth: \"x\" is not a whole number (for {names})")]);
    }
    let text = format!("repos:\n{}", entries(3));
    let found = Home::new().judge(&text, &[], &[("GITSYNC_PERIOD", "1")]).unwrap_err();
    assert!(found.len() == 1 && found[0].starts_with("GITSYNC_PERIOD: \"1\" has no unit"), "{found:?}");
    let text = "defaults: {ref: main}\nrepos:\n  a: {repo: 'https://h/x', ref-semver: '1'}\n  b: {repo: 'https://h/x'}\n";
    let found = faults(text);
    assert_eq!(found, ["F:1: defaults: ref: cannot be combined with ref-semver in line 3 (for a)"]);
}

#[test]
fn a_file_of_nothing_but_faults_does_not_flood_the_log() {
    let text: String = (0..1000).map(|at| format!("x{at}: 1\n")).collect();
    let found = faults(&format!("{text}repos: {{}}\n"));
    assert!(found.len() == 201 && found[199].starts_with("F:200: x199: "), "{found:?}");
    assert_eq!(found[200], "and 800 more");
}

#[test]
fn warnings_are_given_once() {
    let text = "repos:\n  a: {repo: 'https://h/x', verify: head, verify-keys: k}\n  b: {repo: 'ssh://h/x'}\n";
    let variables = [("GIT_SYNC_DEPTH", "1"), ("GITSYNC_NOTHING_LIKE_IT", "1"), ("GIT_SSL_NO_VERIFY", "1")];
    let warnings = Home::new().judge(text, &["--ssh-known-hosts=false"], &variables).unwrap().warnings;
    let starts = [
        "GIT_SYNC_DEPTH: an older name",
        "b: --ssh-known-hosts is off",
        "GIT_SSL_NO_VERIFY is set",
        "a: --verify without --forward-only",
        "GITSYNC_NOTHING_LIKE_IT: there is no such option",
    ];
    for start in starts {
        assert_eq!(
            warnings.iter().filter(|text| text.starts_with(start)).count(),
            1,
            "{start}: {warnings:?}"
        );
    }
    assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
}

#[test]
fn names_are_dns_labels() {
    let longest = "a".repeat(63);
    for name in ["a", "0", "a-b", "a--b", "con", "defaults", "repos", &longest] {
        let config = judge(&format!("repos: {{\"{name}\": {{repo: 'https://h/x'}}}}\n")).unwrap();
        assert_eq!(config.repos[0].name, name);
    }
    let too_long = "a".repeat(64);
    for name in [
        "", ".", "..", ".git", "CON", "Site", "a.b", "a/b", "a_b", "-a", "a-", "é", "a b", "a\\0", "a\\n",
        "<<", "a\\\"b", &too_long,
    ] {
        let found = faults(&format!("repos: {{\"{name}\": {{repo: 'https://h/x'}}}}\n"));
        assert!(found.len() == 1 && found[0].starts_with("F:1: repos: "), "{name}: {found:?}");
        assert!(found[0].contains(" is no name: ") && !found[0].contains(['\n', '\0']), "{found:?}");
    }
}

#[test]
fn options_are_where_they_belong() {
    check_faults(&[
        (
            "depth: 1\nrepos: {}\n",
            &["F:1: depth: is an option of a repository: write it there, or under defaults"],
        ),
        (
            "repos:\n  a:\n    repo: https://h/x\n    http-bind: :80\n    max-parallel: 1\n",
            &[
                "F:4: a: http-bind: is an option of the process: write it at the top of the file",
                "F:5: a: max-parallel: is an option of the process",
            ],
        ),
        (
            "defaults: {one-time: true}\nconfig: x\nconfig-check: true\nconfig-hooks: true\nrepos: {}\n",
            &[
                "F:1: defaults: one-time: is an option of the process",
                "F:2: config: can only be given on the command line or in the environment",
                "F:3: config-check: can only be given",
                "F:4: config-hooks: can only be given",
            ],
        ),
        (
            "defaults:\n  root: x\n  link: y\n  repo: z\nrepos: {}\n",
            &[
                "F:2: defaults: root: cannot be the same for all",
                "F:3: defaults: link: cannot be the same for all",
                "F:4: defaults: repo: cannot be the same for all",
            ],
        ),
        (
            "repos:\n  a:\n    repo: https://h/x\n    branch: main\n    ssh: true\n    git: /usr/bin/git\n    add-user: true\n",
            &[
                "F:4: a: branch: is an older name; use ref",
                "F:5: a: ssh: is an older name: it does nothing",
                "F:6: a: git: does nothing: git is not run; remove it",
                "F:7: a: add-user: does nothing",
            ],
        ),
        (
            "repos:\n  a:\n    repo: https://h/x\n    sparse: a\n    sparse-dirs: b\n",
            &["F:5: a: sparse-dirs: is the same option as sparse in line 4"],
        ),
        (
            "repos:\n  a:\n    url: https://h/x\n    --depth: 1\n    ssh_key_file: k\n    token: x\n",
            &[
                "F:3: a: url: unknown option; did you mean repo?",
                "F:4: a: --depth: unknown option; did you mean depth?",
                "F:5: a: ssh_key_file: unknown option; did you mean ssh-key-file?",
                "F:6: a: token: unknown option; did you mean bearer-token-file?",
            ],
        ),
        ("sync-on-signal: HUP\nrepos: {}\n", &["F:1: sync-on-signal: must be another signal"]),
        ("http-metrics: true\nrepos: {}\n", &["F:1: http-metrics: needs --http-bind"]),
        (
            "repositories: {}\n",
            &["F:1: repositories: unknown option; did you mean repos?", "F:1: has no repos"],
        ),
        ("default: {}\nrepos: {}\n", &["F:1: default: unknown option; did you mean defaults?"]),
    ]);
}

#[test]
fn options_of_one_repository_are_no_options_of_many() {
    for (argv, variables, fault) in [
        (&["--repo=x"][..], &[][..], "--repo: cannot be combined with --config"),
        (&["--link=x"], &[], "--link: cannot be combined"),
        (&[], &[("GITSYNC_REPO", "x")], "GITSYNC_REPO: cannot be combined"),
        (&[], &[("GIT_SYNC_REPO", "x")], "GIT_SYNC_REPO: cannot be combined"),
        (&[], &[("GITSYNC_LINK", "x")], "GITSYNC_LINK: cannot be combined"),
        (&[], &[("GIT_SYNC_DEST", "x")], "GIT_SYNC_DEST: cannot be combined"),
        (&["--sync-on-signal=1"], &[], "--sync-on-signal: must be another signal"),
        (&["--root=/"], &[], "--root: must not be the root of the file system"),
        (&["--root="], &[], "--root: must be given, here or as root at the top of the file"),
        (&["--removed=all"], &[], "--removed: must be keep or delete"),
        (&["--config-check=maybe"], &[], "--config-check: must be true or false"),
    ] {
        let found = Home::new().judge(TWO, argv, variables).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with(fault), "{argv:?} {variables:?}: {found:?}");
    }
    assert!(Home::new().judge(TWO, &[], &[("GITSYNC_REPO", ""), ("GITSYNC_LINK", "")]).is_ok());
}

#[test]
fn options_of_many_are_no_options_of_one() {
    let argv = [
        "--config-check",
        "--config-hooks=false",
        "--max-parallel=2",
        "--removed=keep",
        "--required",
        "--on-give-up=park",
    ];
    let found = crate::config::tests::errors(&argv, &[]);
    let names = argv.map(|arg| format!("{}: needs --config", arg.split('=').next().unwrap()));
    assert_eq!(found, names);
    assert_eq!(
        crate::config::tests::errors(&[], &[("GITSYNC_REQUIRED", "true")]),
        ["GITSYNC_REQUIRED: needs --config"]
    );
}

#[test]
fn five_hundred_repositories_are_one_file() {
    let entry = |at| {
        format!(
            "  r{at}:\n    repo: https://h/{at}\n    period: 1m\n    username: u\n    password-file: /p\n"
        )
    };
    let text: String = std::iter::once("repos:\n".to_owned()).chain((0..500).map(entry)).collect();
    let config = Home::new().judge(&text, &[], &[("GITSYNC_DEPTH", "3")]).unwrap();
    assert_eq!(config.repos.len(), 500);
    assert!(config.repos.is_sorted_by_key(|repo| &repo.name));
}
