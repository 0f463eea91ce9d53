//! What charts, operators and tutorials that embed git-sync pass to it, with nothing but the program exchanged.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::*;

/// What is set, by name and value. `REPO` and `ROOT` stand for a repository and a directory of this place.
type Variables = &'static [(&'static str, &'static str)];

/// A container that ends after one sync: an init container, or a sidecar that is told `--one-time`.
struct Container {
    who: &'static str,
    variables: &'static [Variables],
    args: &'static [&'static str],
    /// What is published under the root.
    link: &'static str,
    /// The branch that it holds.
    branch: &'static str,
    /// How each warning begins.
    warnings: &'static [&'static str],
}

/// The official chart in the days of git-sync v4, which sets both generations. `dags.gitSync.branch` is not set.
const OFFICIAL: Variables = &[
    ("GIT_SYNC_REV", "HEAD"),
    ("GITSYNC_REF", "trunk"),
    ("GIT_SYNC_BRANCH", "trunk"),
    ("GIT_SYNC_REPO", "REPO"),
    ("GITSYNC_REPO", "REPO"),
    ("GIT_SYNC_DEPTH", "1"),
    ("GITSYNC_DEPTH", "1"),
    ("GIT_SYNC_ROOT", "ROOT"),
    ("GITSYNC_ROOT", "ROOT"),
    ("GIT_SYNC_DEST", "repo"),
    ("GITSYNC_LINK", "repo"),
    ("GIT_SYNC_ADD_USER", "true"),
    ("GITSYNC_ADD_USER", "true"),
    ("GITSYNC_PERIOD", "1s"),
    ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
    ("GITSYNC_MAX_FAILURES", "0"),
];
const OFFICIAL_INIT: Variables = &[("GIT_SYNC_ONE_TIME", "true"), ("GITSYNC_ONE_TIME", "true")];
const OFFICIAL_SSH: Variables = &[
    ("GIT_SSH_KEY_FILE", "/etc/git-secret/ssh"),
    ("GITSYNC_SSH_KEY_FILE", "/etc/git-secret/ssh"),
    ("GIT_SYNC_SSH", "true"),
    ("GITSYNC_SSH", "true"),
    ("GIT_KNOWN_HOSTS", "true"),
    ("GITSYNC_SSH_KNOWN_HOSTS", "true"),
    ("GIT_SSH_KNOWN_HOSTS_FILE", "/etc/git-secret/known_hosts"),
    ("GITSYNC_SSH_KNOWN_HOSTS_FILE", "/etc/git-secret/known_hosts"),
];

/// Older releases of the official chart.
const OFFICIAL_V3: Variables = &[
    ("GIT_SYNC_REV", "HEAD"),
    ("GIT_SYNC_BRANCH", "trunk"),
    ("GIT_SYNC_REPO", "REPO"),
    ("GIT_SYNC_DEPTH", "1"),
    ("GIT_SYNC_ROOT", "ROOT"),
    ("GIT_SYNC_DEST", "repo"),
    ("GIT_SYNC_ADD_USER", "true"),
    ("GIT_SYNC_WAIT", "60"),
    ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
    ("GIT_SYNC_ONE_TIME", "true"),
];

const COMMUNITY: Variables = &[
    ("GIT_SYNC_ONE_TIME", "true"),
    ("GIT_SYNC_ROOT", "ROOT"),
    ("GIT_SYNC_DEST", "repo"),
    ("GIT_SYNC_REPO", "REPO"),
    ("GIT_SYNC_BRANCH", "trunk"),
    ("GIT_SYNC_REV", "HEAD"),
    ("GIT_SYNC_DEPTH", "1"),
    ("GIT_SYNC_WAIT", "60"),
    ("GIT_SYNC_TIMEOUT", "120"),
    ("GIT_SYNC_ADD_USER", "true"),
    ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
    ("GIT_SYNC_SUBMODULES", "recursive"),
    // Even over HTTPS.
    ("GIT_KNOWN_HOSTS", "false"),
    ("AIRFLOW__CORE__DAGS_FOLDER", "/opt/airflow/dags/repo"),
];

const ADD_USER: &str = "GIT_SYNC_ADD_USER does nothing";
const ECHOES: &str = "GIT_SYNC_REPO, GIT_SYNC_DEPTH, GIT_SYNC_ROOT, ";

#[test]
fn a_container_that_syncs_once_publishes_what_its_chart_means() {
    let containers = [
        Container {
            who: "the official Airflow chart",
            variables: &[OFFICIAL, OFFICIAL_INIT],
            warnings: &[ADD_USER, ECHOES],
            ..AIRFLOW
        },
        Container {
            who: "the same with a key for SSH",
            variables: &[OFFICIAL, OFFICIAL_INIT, OFFICIAL_SSH],
            warnings: &[ADD_USER, "GIT_SYNC_SSH: an older name; it does nothing", ECHOES],
            ..AIRFLOW
        },
        Container {
            who: "the same with dags.gitSync.wait",
            variables: &[OFFICIAL, OFFICIAL_INIT, &[("GIT_SYNC_WAIT", "1")]],
            warnings: &[ADD_USER, ECHOES],
            ..AIRFLOW
        },
        Container {
            who: "the same with another ref: the branch wins, as in git-sync",
            variables: &[OFFICIAL, OFFICIAL_INIT, &[("GITSYNC_REF", "main")]],
            warnings: &[
                ADD_USER,
                "GIT_SYNC_BRANCH: an older name; use GITSYNC_REF",
                ECHOES,
                "GIT_SYNC_BRANCH: trunk overrides GITSYNC_REF, as in git-sync; omit it to sync main",
            ],
            ..AIRFLOW
        },
        Container {
            who: "the official chart before git-sync v4",
            variables: &[OFFICIAL_V3],
            warnings: &[
                ADD_USER,
                "GIT_SYNC_REPO, GIT_SYNC_DEPTH, GIT_SYNC_ROOT, GIT_SYNC_ONE_TIME, ",
                "GIT_SYNC_REV: ",
            ],
            ..AIRFLOW
        },
        Container {
            who: "the community's Airflow chart",
            variables: &[COMMUNITY],
            warnings: &[ADD_USER, "GIT_SYNC_REPO, GIT_SYNC_DEPTH, GIT_SYNC_SUBMODULES, ", "GIT_SYNC_REV: "],
            ..AIRFLOW
        },
        Container {
            who: "Airflow 1.10 with KubernetesExecutor",
            variables: &[&[
                ("GIT_SYNC_REPO", "REPO"),
                ("GIT_SYNC_BRANCH", "trunk"),
                ("GIT_SYNC_ROOT", "ROOT"),
                ("GIT_SYNC_DEST", "dags"),
                ("GIT_SYNC_ONE_TIME", "true"),
            ]],
            link: "dags",
            warnings: &[
                "GIT_SYNC_REPO, GIT_SYNC_ROOT, GIT_SYNC_ONE_TIME, GIT_SYNC_BRANCH, GIT_SYNC_DEST: older names; \
                         use GITSYNC_REPO, GITSYNC_ROOT, GITSYNC_ONE_TIME, GITSYNC_REF, GITSYNC_LINK",
            ],
            ..AIRFLOW
        },
        Container {
            who: "Stackable's operators",
            variables: &[&[("GITSYNC_USERNAME", "git"), ("GITSYNC_PASSWORD", "secret")]],
            args: &[
                "--depth=1",
                "--git-config=safe.directory:/tmp/git,http.sslCAInfo:/tmp/ca-cert/ca.crt",
                "--link=current",
                "--one-time=true",
                "--period=20s",
                "--ref=trunk",
                "--repo=REPO",
                "--root=ROOT",
            ],
            link: "current",
            warnings: &[],
            ..AIRFLOW
        },
        Container {
            who: "the same with a user's --rev=HEAD, which means HEAD in git-sync, too",
            args: &[
                "--link=current",
                "--one-time=true",
                "--ref=trunk",
                "--repo=REPO",
                "--rev=HEAD",
                "--root=ROOT",
            ],
            variables: &[],
            link: "current",
            branch: "main",
            warnings: &[
                "--rev: an older name; use --ref",
                "--rev: HEAD overrides --ref, as in git-sync; omit it to sync trunk",
            ],
        },
        Container {
            who: "Apache Submarine",
            variables: &[&[
                ("GIT_SYNC_REPO", "REPO"),
                ("GIT_SYNC_ROOT", "ROOT"),
                ("GIT_SYNC_DEST", "current"),
                ("GIT_SYNC_ONE_TIME", "true"),
            ]],
            link: "current",
            branch: "main",
            warnings: &["GIT_SYNC_REPO, GIT_SYNC_ROOT, GIT_SYNC_ONE_TIME, GIT_SYNC_DEST: older names; use "],
            ..AIRFLOW
        },
        Container {
            who: "git-sync's demo: the root is the image's",
            variables: &[&[("GITSYNC_ROOT", "ROOT"), ("GITSYNC_REPO", "REPO"), ("GIT_SYNC_DEST", "html")]],
            args: &["--one-time"],
            link: "html",
            branch: "main",
            warnings: &["GIT_SYNC_DEST: an older name; use GITSYNC_LINK"],
        },
        Container {
            who: "tutorials of Kubebuilder",
            variables: &[&[
                ("GITSYNC_REPO", "REPO"),
                ("GITSYNC_REF", "trunk"),
                ("GITSYNC_ROOT", "ROOT"),
                ("GITSYNC_PERIOD", "30s"),
            ]],
            args: &["--one-time"],
            link: "dags.git",
            warnings: &[],
            ..AIRFLOW
        },
        Container {
            who: "Astronomer's relay, whose own variables are no fault",
            variables: &[
                OFFICIAL_V3,
                &[
                    ("GIT_SYNC_REPO_FETCH_MODE", "poll"),
                    ("GIT_SYNC_WEBHOOK_SECRET", "secret"),
                    ("GIT_SYNC_AUTH_TYPE", "https-none"),
                    ("GIT_SYNC_HTTPS_SECRET_DIR", "/etc/git-secret/https"),
                ],
            ],
            warnings: &[
                ADD_USER,
                "GIT_SYNC_REPO, GIT_SYNC_DEPTH, ",
                "GIT_SYNC_REV: ",
                "GIT_SYNC_AUTH_TYPE: there is no such option",
                "GIT_SYNC_HTTPS_SECRET_DIR: there is no such option",
                "GIT_SYNC_REPO_FETCH_MODE: there is no such option",
                "GIT_SYNC_WEBHOOK_SECRET: there is no such option",
            ],
            ..AIRFLOW
        },
        Container {
            who: "mistakes that git-sync says nothing about",
            variables: &[&[
                ("GITSYNC_REPO", "REPO"),
                ("GITSYNC_ROOT", "ROOT"),
                ("GITSYNC_LINK", "repo"),
                ("GITSYNC_BRANCH", "trunk"),
                ("GITSYNC_WAIT", "30"),
                ("GITSYNC_SSH", "true"),
                ("GIT_SYNC_DEST", ""),
            ]],
            args: &["--one-time"],
            branch: "main",
            warnings: &[
                "GITSYNC_SSH: an older name; it does nothing: the URL says how to connect",
                "GIT_SYNC_DEST: an older name; use GITSYNC_LINK",
                "GITSYNC_BRANCH: there is no such option; did you mean GITSYNC_REF?",
                "GITSYNC_WAIT: there is no such option; did you mean GITSYNC_PERIOD?",
            ],
            ..AIRFLOW
        },
    ];
    each_row(containers, assert_publishes);
}

/// What most containers here have in common.
const AIRFLOW: Container =
    Container { who: "", variables: &[], args: &[], link: "repo", branch: "trunk", warnings: &[] };

fn assert_publishes(container: Container) {
    let env = Env::new();
    let repo = upstream(&env);
    let mut program = Syncline::new();
    for (name, value) in container.variables.concat() {
        program = program.env(name, filled_in(value, &env, repo.url()));
    }
    let args = container.args.iter().map(|arg| filled_in(arg, &env, repo.url()));
    let finished = args.fold(program, Syncline::arg).run();
    let who = container.who;
    assert_eq!(finished.code, Some(0), "{who}: {}", finished.stderr);
    let link = env.root().join(container.link);
    assert!(link.is_symlink(), "{who}");
    assert_eq!(fs::read_to_string(link.join("branch")).unwrap(), container.branch, "{who}");
    let commit = repo.git(&["rev-parse", container.branch]);
    assert!(fs::read_link(&link).unwrap().ends_with(&commit), "{who}");
    assert_warnings(who, &finished.stderr, container.warnings);
}

/// A repository whose branches, `main` by default and `trunk`, say which they are.
fn upstream(env: &Env) -> Repo {
    let repo = env.repo("dags.git");
    repo.commit(&[("branch", "main")]);
    repo.git(&["switch", "--quiet", "--create", "trunk"]);
    repo.commit(&[("branch", "trunk")]);
    repo.git(&["switch", "--quiet", "main"]);
    repo
}

fn filled_in(value: &str, env: &Env, url: &str) -> String {
    value.replace("REPO", url).replace("ROOT", env.root().to_str().unwrap())
}

/// These warnings, in any order and no others, and no error.
#[track_caller]
fn assert_warnings(who: &str, log: &str, expected: &[&str]) {
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |level: &str| lines.iter().filter(|line| line["level"] == level).collect::<Vec<_>>();
    assert_eq!(at("ERROR").len(), 0, "{who}: {log}");
    let warnings: Vec<&str> = at("WARN").iter().map(|line| line["message"].as_str().unwrap()).collect();
    for start in expected {
        assert_eq!(
            warnings.iter().filter(|text| text.starts_with(start)).count(),
            1,
            "{who}: {start}: {warnings:#?}"
        );
    }
    assert_eq!(warnings.len(), expected.len(), "{who}: {warnings:#?}");
}

/// The chart's startup probe asks `/` at port 1234, and the scheduler reads the link while the sidecar runs.
#[test]
fn the_sidecar_of_the_official_chart_is_ready_after_its_first_sync_and_follows_the_branch() {
    let env = Env::new();
    let repo = upstream(&env);
    let port = free_port();
    let mut program = Syncline::new();
    for (name, value) in OFFICIAL {
        program = program.env(name, filled_in(value, &env, repo.url()));
    }
    let bind = format!(":{port}");
    let program = program.env("GIT_SYNC_HTTP_BIND", &bind).env("GITSYNC_HTTP_BIND", &bind);
    let started = Instant::now();
    let mut running = program.spawn();
    running.wait_for("\"published\"");
    assert_eq!(get(port, "/").0, 200);
    let link = env.root().join("repo");
    assert_eq!(fs::read_to_string(link.join("branch")).unwrap(), "trunk");
    repo.git(&["switch", "--quiet", "trunk"]);
    let commit = repo.commit(&[("branch", "newer")]);
    eventually("the next commit", || fs::read_link(&link).unwrap().ends_with(&commit).then_some(()));
    // Each of GITSYNC_PERIOD and its default would show: the pause is a second, not ten.
    let elapsed = started.elapsed();
    assert!(elapsed < SOON, "{elapsed:?}");
    assert_warnings("the sidecar", &running.log(), &[ADD_USER, ECHOES]);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0));
}

/// The secret's keys are those of one generation or of both, by the tag of the image.
#[test]
fn the_credentials_of_charts_log_in_under_every_name() {
    let env = Env::new();
    let repo = upstream(&env);
    let nginx = Nginx::start(&env.path(""));
    let url = nginx.url("login/dags.git/.git");
    for prefixes in [&["GIT_SYNC"][..], &["GITSYNC"], &["GIT_SYNC", "GITSYNC"]] {
        repo.git(&["switch", "--quiet", "trunk"]);
        let commit = repo.commit(&[]);
        let mut program = Syncline::new();
        for (name, value) in [OFFICIAL, OFFICIAL_INIT].concat() {
            program = program.env(name, filled_in(value, &env, &url));
        }
        for prefix in prefixes {
            program = program.env(&format!("{prefix}_USERNAME"), "user");
            program = program.env(&format!("{prefix}_PASSWORD"), "p@ss");
        }
        let finished = program.run();
        assert_eq!(finished.code, Some(0), "{prefixes:?}: {}", finished.stderr);
        assert!(fs::read_link(env.root().join("repo")).unwrap().ends_with(&commit), "{prefixes:?}");
        assert!(!finished.stderr.contains("p@ss"), "{}", finished.stderr);
    }
}
