use super::*;

fn run(argv: &[&str], environment: &[(&str, &str)]) -> Result<Parsed, Vec<String>> {
    let argv = std::iter::once("syncline").chain(argv.iter().copied()).map(Into::into);
    parse(argv, &Environment::of(environment))
}

fn args(argv: &[&str], environment: &[(&str, &str)]) -> Args {
    match run(argv, environment) {
        Ok(Parsed::Run(args)) if args.errors.is_empty() => args,
        other => panic!("{other:?}"),
    }
}

fn values(args: &Args, name: &str) -> Vec<String> {
    let given = args.given.get(name).map(|given| given.values.clone()).unwrap_or_default();
    given.into_iter().map(|value| value.into_string().unwrap()).collect()
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
fn every_option_has_its_twin_in_the_environment() {
    for option in options() {
        for variable in option.variables() {
            let args = args(&[], &[(&variable, "1")]);
            assert_eq!(values(&args, option.name), ["1"], "{variable}");
        }
    }
}

#[test]
fn what_is_typed_beats_the_environment() {
    let environment = [("GITSYNC_REF", "env"), ("GITSYNC_MAX_FAILURES", "-1"), ("GITSYNC_ONE_TIME", "false")];
    let args = args(&["--ref", "typed", "--one-time"], &environment);
    assert_eq!(values(&args, "ref"), ["typed"]);
    assert_eq!(values(&args, "max-failures"), ["-1"]);
    assert_eq!(values(&args, "one-time"), ["true"]);
    assert_eq!(args.get(&options::MAX_FAILURES).unwrap().origin.name(), "GITSYNC_MAX_FAILURES");
}

#[test]
fn the_oldest_name_in_the_environment_wins_and_is_mentioned() {
    let args = args(&[], &[("GITSYNC_REPO", "new"), ("GIT_SYNC_REPO", "old")]);
    assert_eq!(values(&args, "repo"), ["old"]);
    assert_eq!(args.warnings, ["GIT_SYNC_REPO: an older name; use GITSYNC_REPO"]);
}

#[test]
fn both_generations_that_say_the_same_are_mentioned_on_one_line() {
    let both = [
        ("GIT_SYNC_REPO", "r"),
        ("GITSYNC_REPO", "r"),
        ("GIT_SYNC_BRANCH", "b"),
        ("GIT_SYNC_REV", "HEAD"),
        ("GITSYNC_REF", "b"),
        ("GIT_SYNC_WAIT", "60"),
        ("GITSYNC_PERIOD", "60s"),
        ("GIT_SYNC_DEST", "d"),
        ("GITSYNC_LINK", "d\n"),
        ("GIT_SSH_KEY_FILE", "/k"),
        ("GITSYNC_SSH_KEY_FILE", "/k"),
    ];
    let mut warnings = args(&[], &both).warnings;
    let line = warnings.pop().unwrap();
    let (names, text) = line.split_once(": ").unwrap();
    let mut names: Vec<_> = names.split(", ").collect();
    names.sort_unstable();
    let older = ["GIT_SSH_KEY_FILE", "GIT_SYNC_BRANCH", "GIT_SYNC_DEST", "GIT_SYNC_REPO", "GIT_SYNC_REV"];
    assert_eq!(names, [&older[..], &["GIT_SYNC_WAIT"]].concat());
    assert!(warnings.is_empty() && text == "older names that repeat today's", "{warnings:?}");
    for other in [("GITSYNC_REF", "c"), ("GITSYNC_PERIOD", "60m")] {
        let older = if other.0 == "GITSYNC_REF" { both[2] } else { both[5] };
        let warnings = args(&[], &[older, other]).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("an older name; "), "{warnings:?}");
    }
}

#[test]
fn a_line_break_at_the_end_of_a_variable_is_no_part_of_it() {
    let secrets = || options().filter(|option| matches!(option.kind, Kind::Secret));
    assert!(secrets().count() >= 3);
    let others = options().filter(|option| ["username", "repo", "depth"].contains(&option.name));
    for option in secrets().chain(others) {
        for (set, expected) in [(" x y \n", " x y "), ("x\r\n\n", "x"), ("a\nb\n", "a\nb"), ("\n", "")] {
            let args = args(&[], &[(&option.variables()[0], set)]);
            assert_eq!(values(&args, option.name), [expected], "{}", option.name);
        }
    }
    assert_eq!(values(&args(&["--username=x\n"], &[]), "username"), ["x\n"], "it was typed");
}

#[test]
fn our_names_beat_shared_ones() {
    let shared = [("HTTP_PROXY", "upper"), ("http_proxy", "lower")];
    assert_eq!(values(&args(&[], &shared), "http-proxy"), ["lower"]);
    let ours = [shared[0], shared[1], ("GITSYNC_HTTP_PROXY", "ours")];
    assert_eq!(values(&args(&[], &ours), "http-proxy"), ["ours"]);
}

#[test]
fn an_empty_list_in_the_environment_is_none() {
    let lists = || options().filter(|option| option.is_list());
    assert!(lists().count() > 5);
    for option in lists() {
        let variable = &option.variables()[0];
        assert!(args(&[], &[(variable, "")]).get(option).is_none(), "{variable}");
    }
    let older = args(&[], &[("GIT_SSH_KEY_FILE", ""), ("GITSYNC_SSH_KEY_FILE", "key")]);
    assert_eq!(values(&older, "ssh-key-file"), ["key"]);
    assert_eq!(values(&args(&["--exechook-arg="], &[]), "exechook-arg"), [""]);
    assert_eq!(values(&args(&[], &[("GITSYNC_FILTER", "")]), "filter"), [""]);
}

#[test]
fn older_options_work_and_are_mentioned() {
    let args = args(&["--wait", "30", "--ssh", "--max-sync-failures", "-1"], &[("GIT_SYNC_BRANCH", "b")]);
    assert_eq!((values(&args, "wait"), values(&args, "branch")), (vec!["30".into()], vec!["b".into()]));
    assert_eq!(values(&args, "max-sync-failures"), ["-1"]);
    assert_eq!(args.warnings.len(), 4, "{:?}", args.warnings);
}

#[test]
fn aliases_are_the_same_option_and_the_last_one_counts() {
    for (argv, environment, value, origin) in [
        (&["--checkout=copy"][..], &[][..], "copy", "--checkout"),
        (&["--checkout=copy", "--file-reuse=hardlink"], &[], "hardlink", "--file-reuse"),
        (&["--file-reuse=hardlink", "--checkout=copy"], &[], "copy", "--checkout"),
        (&[], &[("GITSYNC_CHECKOUT", "copy")], "copy", "GITSYNC_CHECKOUT"),
    ] {
        let args = args(argv, environment);
        let given = args.get(&options::FILE_REUSE).unwrap();
        assert_eq!((given.values.last().unwrap().to_str(), given.origin.name()), (Some(value), origin));
        assert!(args.warnings.is_empty(), "{:?}", args.warnings);
    }
    let help = run(&["--help"], &[]);
    assert!(matches!(help, Ok(Parsed::Show(text)) if !text.contains("--checkout")));
}

#[test]
fn repeated_options_are_kept_in_order_and_stray_words_are_passed_over() {
    let args =
        args(&["--period=1s", "--period", "2s", "--one-time", "true", "-v1", "--git", "/usr/bin/git"], &[]);
    assert_eq!(values(&args, "period"), ["1s", "2s"]);
    assert_eq!(values(&args, "verbose"), ["1"]);
    assert_eq!(args.warnings, ["--git does nothing: git is not run"]);
}

#[test]
fn all_unknown_options_are_collected() {
    let Ok(Parsed::Run(args)) =
        run(&["--perido=5s", "--one-time", "--bogus", "x", "-q", "--interval=5s"], &[])
    else {
        panic!();
    };
    assert!(args.get(&options::ONE_TIME).is_some());
    let expected = [
        "--perido: unknown option; did you mean --period?",
        "--bogus: unknown option",
        "-q: unknown option",
        "--interval: unknown option; did you mean --period?",
    ];
    assert_eq!(args.errors, expected);
}

#[test]
fn an_option_without_its_value_is_named() {
    let Ok(Parsed::Run(args)) = run(&["--repo"], &[]) else { panic!() };
    assert_eq!(args.errors, ["--repo: needs a value"]);
}

#[test]
fn help_and_version_are_shown_whatever_else_is_wrong() {
    assert!(
        matches!(run(&["--help"], &[]), Ok(Parsed::Show(text)) if text.contains("--stale-worktree-timeout"))
    );
    assert!(matches!(run(&["--version"], &[]), Ok(Parsed::Show(text)) if text.starts_with("syncline ")));
}
