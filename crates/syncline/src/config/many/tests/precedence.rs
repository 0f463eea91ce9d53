use sync_core::Depth;

use super::*;

/// The first repository of a text, with these options besides.
#[track_caller]
fn first(text: &str, argv: &[&str], variables: &[(&str, &str)]) -> RepoConfig {
    Home::new().judge(text, argv, variables).unwrap().repos.remove(0)
}

#[test]
fn a_repository_beats_defaults_and_those_what_is_typed_and_that_the_environment() {
    let text = |defaults: &str, own: &str| {
        format!("defaults: {{{defaults}}}\nrepos: {{a: {{repo: 'https://h/x', {own}}}}}\n")
    };
    let (typed, set) = (["--depth=2"], [("GITSYNC_DEPTH", "1")]);
    for (text, argv, variables, depth) in [
        (text("", ""), &[][..], &set[..], 1),
        (text("", ""), &typed, &set, 2),
        (text("depth: 3", ""), &typed, &set, 3),
        (text("depth: 3", "depth: 4"), &typed, &set, 4),
        (text("depth: 3", "depth: 0x10"), &typed, &set, 16),
        (text("depth: 3", "depth:"), &typed, &set, 1),
        (text("depth: 3", "depth: ~"), &typed, &set, 1),
        (text("depth: ''", ""), &typed, &set, 1),
        (text("depth: null", "depth: 4"), &typed, &set, 4),
        (text("depth: 3", "depth: []"), &[], &[("GITSYNC_DEPTH", "5")], 1),
    ] {
        let config = first(&text, argv, variables).config;
        assert_eq!(config.source.depth, Depth::new(depth), "{text}");
    }
}

#[test]
fn the_file_yields_to_what_is_typed_or_set_of_the_process() {
    let text = "http-bind: :1\nroot: /file\nverbose: 1\nremoved: delete\nrepos: {}\n";
    let home = Home::new();
    let path = home.write("config.yaml", text);
    let load = |argv: &[&str], variables: &[(&str, &str)]| {
        let line = ["syncline".to_owned(), format!("--config={}", path.display())];
        let line = line.into_iter().chain(argv.iter().map(ToString::to_string)).map(Into::into);
        let environment = Environment::of(variables);
        let Ok(Parsed::Run(args)) = parse(line, &environment) else { panic!("{argv:?}") };
        let bind = http_bind(&args, &environment);
        let process = ManyConfig::load(&args, &environment).unwrap().process;
        assert_eq!(bind, process.http.as_ref().map(|http| http.bind.clone()));
        (bind.unwrap_or_default(), process.root, process.log.verbosity, process.removed)
    };
    let of = |bind: &str, root: &str, verbosity, removed| {
        (bind.to_owned(), PathBuf::from(root), verbosity, removed)
    };
    assert_eq!(load(&[], &[]), of(":1", "/file", 1, Removed::Delete));
    let set = [("GITSYNC_HTTP_BIND", ":2"), ("GITSYNC_ROOT", "set"), ("GITSYNC_REMOVED", "keep")];
    assert_eq!(load(&[], &set), of(":2", "/cwd/set", 1, Removed::Keep));
    assert_eq!(load(&["--root=/typed", "--v=3"], &set), of(":2", "/typed", 3, Removed::Keep));
    let empty = [("GITSYNC_HTTP_BIND", ""), ("GITSYNC_ROOT", "")];
    assert_eq!(load(&["--http-bind="], &empty), of("", "/file", 1, Removed::Delete));
}

#[test]
fn the_file_beats_older_names_of_the_same_option() {
    let older = [
        ("GIT_SYNC_WAIT", "60"),
        ("GIT_SYNC_BRANCH", "old"),
        ("GIT_SYNC_REV", "HEAD"),
        ("GIT_SYNC_HOOK_COMMAND", "/old"),
        ("GIT_SYNC_MAX_SYNC_FAILURES", "7"),
    ];
    let own = first("repos: {a: {repo: 'https://h/x'}}\n", &[], &older).config;
    assert_eq!(own.timing.policy.period, Duration::from_secs(60));
    assert_eq!(
        (own.source.reference.to_string(), own.timing.policy.max_failures),
        ("old".to_owned(), Some(7))
    );
    assert_eq!(own.hooks.list.len(), 1);
    let text =
        "repos:\n  a: {repo: 'https://h/x', period: 5s, ref: new, exechook-command: '', max-failures: ~}\n";
    let own = first(text, &[], &older).config;
    assert_eq!(own.timing.policy.period, Duration::from_secs(5));
    assert_eq!((own.source.reference.to_string(), own.timing.policy.max_failures), ("new".to_owned(), None));
    assert!(own.hooks.list.is_empty());
}

#[test]
fn lists_replace_lists() {
    let text = |own: &str| {
        format!("defaults: {{ca-file: [/a, /b]}}\nrepos: {{x: {{repo: 'https://h/x', {own}}}}}\n")
    };
    let files = |own: &str| {
        let config = first(&text(own), &["--ca-file=/typed"], &[]).config;
        config.connect.http.iter().map(|(_, setting)| format!("{setting:?}")).collect::<Vec<_>>()
    };
    let named = |paths: &[&str]| paths.iter().map(|path| format!("CaFile({path:?})")).collect::<Vec<_>>();
    assert_eq!(files(""), named(&["/a", "/b"]));
    assert_eq!(files("ca-file: /c"), named(&["/c"]));
    assert_eq!(files("ca-file: [/c, d]"), named(&["/c", "/cwd/d"]));
    assert_eq!(files("ca-file: []"), named(&[]));
}

#[test]
fn lists_of_words_are_lists_or_words_with_commas() {
    for own in ["'a, b'", "[a, b]", "[\"a,b\"]"] {
        let text = format!("repos: {{x: {{repo: 'https://h/x', sparse-dirs: {own}}}}}\n");
        let sparse = first(&text, &[], &[]).config.source.selection.sparse.clone();
        assert_eq!(sparse, Some(sync_core::SparsePatterns::directories(["a", "b"])), "{own}");
    }
}

#[test]
fn secrets_of_the_environment_can_be_unset() {
    let text = "repos:\n  a: {repo: 'https://h/x', password: ~, bearer-token-file: /f}\n";
    let set = [("GITSYNC_PASSWORD", "canary"), ("GITSYNC_USERNAME", "u")];
    let found = Home::new().judge(text, &[], &set).unwrap_err();
    assert!(!found.concat().contains("canary"), "{found:?}");
    let text = text.replace("password", "username:, password");
    let own = first(&text, &[], &set).config.login.own.clone();
    assert!(matches!(own, Some(crate::login::AuthMethod::Static(_))), "{own:?}");
}

#[test]
fn in_place_goes_to_the_root_itself() {
    let link = |own: &str| {
        first(&format!("repos: {{x: {{repo: 'https://h/x', {own}}}}}\n"), &[], &[])
            .config
            .publishing
            .link
            .clone()
    };
    assert_eq!(link(""), Path::new("current"));
    assert_eq!(link("publish: directory"), Path::new("current"));
    assert_eq!(link("publish: in-place"), Path::new("."));
    assert_eq!(link("publish: in-place, link: www"), Path::new("www"));
    let link = first("repos: {x: {repo: 'https://h/x'}}\n", &["--publish=in-place"], &[])
        .config
        .publishing
        .link
        .clone();
    assert_eq!(link, Path::new("."));
}

#[test]
fn options_that_are_equal_mean_the_same() {
    let given = |own: &str, variables: &[(&str, &str)]| {
        first(&format!("repos: {{x: {{repo: 'https://h/x', {own}}}}}\n"), &["--root=/r"], variables).given
    };
    let plain = given("", &[]);
    assert_eq!(plain, given("", &[("GITSYNC_HTTP_BIND", ":1")]), "that is the process's");
    assert_eq!(given("depth: 3", &[]), given("", &[("GITSYNC_DEPTH", "3")]));
    for (own, same_hooks) in [
        ("depth: 3", true),
        ("ref: x", true),
        ("required: false", true),
        ("exechook-command: /x", false),
        ("pre-publish-exechook-command: /x", false),
        ("notify-process: x", false),
        ("webhook-url: 'https://h/'", false),
    ] {
        let other = given(own, &[]);
        assert_ne!(plain, other, "{own}");
        assert_eq!(
            (plain.has_same_hooks(&other), other.has_same_hooks(&plain)),
            (same_hooks, same_hooks),
            "{own}"
        );
    }
    let web = "webhook-url: 'https://h/'";
    for (own, same) in [("depth: 3", false), ("ca-file: /x", false), ("period: 1m", true), ("link: x", true)]
    {
        let (one, other) = (given(web, &[]), given(&format!("{web}, {own}"), &[]));
        assert_eq!(one.has_same_hooks(&other), same, "{own}");
    }
    let older = given("", &[("GIT_SYNC_HOOK_COMMAND", "/x")]);
    assert!(!plain.has_same_hooks(&older));
}
