use super::*;

#[test]
fn what_yaml_can_do_beyond_a_file_of_options_is_refused() {
    check_faults(&[
        ("", &["F:1: the file is empty; without repositories, write \"repos: {}\""]),
        ("# nothing\n", &["F:1: the file is empty"]),
        ("\u{feff}", &["F:1: the file is empty"]),
        ("---\n", &["F:1: the file is empty"]),
        ("text\n", &["F:1: must be a mapping"]),
        ("- a\n", &["F:1: must be a mapping"]),
        ("repos: {}\n---\nrepos: {}\n", &["F:2: a second document begins"]),
        ("a: &x {}\nrepos: {}\nb: *x\n", &["F:1: an anchor", "F:3: an alias"]),
        ("repos: *unknown\n", &["F:1: is not YAML: "]),
        ("repos: {}\nremoved: !!str keep\n", &["F:2: a tag"]),
        ("repos: {}\nremoved: !keep keep\n", &["F:2: a tag"]),
        ("repos: {}\nrepos: {}\n", &["F:2: repos is there already, in line 1"]),
        (
            "repos:\n  a: {repo: 'https://h/x'}\n  b: {repo: 'https://h/x'}\n  a: {}\n",
            &["F:4: a is there already, in line 2"],
        ),
        (
            "repos:\n  a:\n    repo: https://h/x\n    depth: 1\n    depth: 2\n    depth: 3\n",
            &["F:5: depth is there already, in line 4", "F:6: depth is there already, in line 4"],
        ),
        ("repos: {}\n? [a]\n: b\n", &["F:2: a key must be a text"]),
        ("repos: {}\n? {a: b}\n: b\n", &["F:2: a key must be a text"]),
        ("repos:\n\ta: 1\n", &["F:2: is not YAML: "]),
        ("repos: {}\ndefaults: {touch-file: \"a\\0\"}\n", &["F:2: a text has a NUL character"]),
        ("repos: [a]\n", &["F:1: repos: must be a mapping from names to options"]),
        ("repos: text\n", &["F:1: repos: must be a mapping from names to options"]),
        ("repos:\n", &["F:1: repos: is empty; without repositories, write \"repos: {}\""]),
        ("repos: ~\n", &["F:1: repos: is empty"]),
        ("defaults: {}\n", &["F:1: has no repos"]),
        ("defaults: [a]\nrepos: {}\n", &["F:1: defaults: must be a mapping from options to values"]),
        ("groups: [a]\nrepos: {}\n", &["F:1: groups: must be a mapping from names to options"]),
    ]);
}

#[test]
fn a_file_that_is_not_complete_is_refused() {
    let whole = "http-bind: ':80'\nrepos:\n  site:\n    repo: \"https://h/x\"\n    ref: [main]\n";
    for (end, fault) in [
        (4, "F:1: "),
        (14, "F:1: is not YAML"),
        (22, "F:3: is not YAML"),
        (24, "F:2: repos: is empty"),
        (32, "F:3: site: repo: must be given"),
        (41, "F:3: site: repo: must be given"),
        (52, "F:4: is not YAML"),
        (70, "F:6: is not YAML"),
    ] {
        let found = faults(&whole[..end]);
        assert!(found.iter().any(|text| text.starts_with(fault)), "{:?}: {found:?}", &whole[..end]);
    }
}

#[test]
fn bombs_do_nothing() {
    let mut laughs = "a0: &a0 [lol, lol]\n".to_owned();
    (1..40).for_each(|at| laughs.push_str(&format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1)));
    let found = faults(&laughs);
    assert!(found.iter().all(|text| text.contains("an anchor") || text.contains("an alias")), "{found:?}");
    for (open, levels) in [("[", 100), ("[", 100_000), ("{a: ", 100_000), ("- ", 100_000), ("? ", 100_000)] {
        let text = format!("repos:\n  {}", open.repeat(levels));
        let found = faults(&text);
        assert!(found.len() == 1 && found[0].starts_with("F:2: "), "{open}: {found:?}");
    }
    let nested = |levels: usize| format!("repos: {{}}\nx: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(faults(&nested(7))[0].starts_with("F:2: x: unknown option"));
    assert_eq!(faults(&nested(8)), ["F:2: is nested more than 8 levels deep"]);
}

#[test]
fn a_file_has_as_many_values_as_is_allowed_and_no_more() {
    // The mapping around all and that of the repositories are values, too.
    let list = |count: usize| format!("repos: {{}}\nx: [{}]\n", vec!["a"; count].join(","));
    assert!(faults(&list(9_997))[0].starts_with("F:2: x: unknown option"));
    assert_eq!(faults(&list(9_998)), ["F:2: there are more than 10000 values; use several files"]);
}

#[test]
fn a_file_is_as_large_as_is_allowed_and_no_larger() {
    let home = Home::new();
    let of_size = |size: usize| format!("repos: {{}}\n#{}", "x".repeat(size - 11));
    let largest = home.write("largest.yaml", of_size(1 << 20));
    assert!(home.load(&largest, &[], &[]).is_ok());
    let path = home.write("larger.yaml", of_size((1 << 20) + 1));
    let found = home.load(&path, &[], &[]).unwrap_err();
    assert_eq!(found, [format!("--config: {} is larger than the limit of 1048576 bytes", path.display())]);
    assert!(digest(&path).is_err());
    let found = home.load(Path::new("/dev/zero"), &[], &[]).unwrap_err();
    assert!(found[0].contains("is larger"), "{found:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let home = Home::new();
    let found = home.load(&home.path("none"), &["--bogus"], &[("GITSYNC_DEPHT", "1")]).unwrap_err();
    assert!(found[0] == "--bogus: unknown option" && found[1].starts_with("--config: "), "{found:?}");
    assert!(
        found[1].contains(&home.path("none").display().to_string()) && found[2].starts_with("GITSYNC_DEPHT")
    );
    let path = home.write("latin.yaml", b"repos: {}\n# \xe9\n");
    let found = home.load(&path, &[], &[]).unwrap_err();
    assert_eq!(found, [format!("{}:1: the file is not UTF-8", path.display())]);
    let args = |argv: [&str; 2]| match parse(argv.map(Into::into), &Environment::of(&[])) {
        Ok(Parsed::Run(args)) => args,
        other => panic!("{other:?}"),
    };
    let found = ManyConfig::load(&args(["syncline", "--config="]), &Environment::of(&[])).unwrap_err();
    assert_eq!(found, ["--config: is empty"]);
    assert!(!ManyConfig::is_asked(&args(["syncline", "--depth=1"])));
    assert!(ManyConfig::is_asked(&args(["syncline", "--config=x"])));
    assert!(ManyConfig::is_only_judged(&args(["syncline", "--config-check"])));
    assert!(!ManyConfig::is_only_judged(&args(["syncline", "--config-check=false"])));
}

#[test]
fn every_editor_and_json_is_understood() {
    let json =
        r#"{"repos": {"site": {"repo": "https:\/\/h\/x", "depth": 3, "required": false, "ref": "null"}}}"#;
    for text in [
        json.replace("\\/", "/"),
        format!("\u{feff}{}", json.replace("\\/", "/")),
        "repos:\r\n  site:\r\n    repo: https://h/x\r\n    depth: 3\r\n    required: false\r\n    ref: \"null\"\r\n".into(),
        "%YAML 1.2\n---\nrepos:\n  site:\n    repo: |\n      https://h/x\n    depth: '3'\n    required: F\n    ref: 'null'\n...\n"
            .into(),
    ] {
        let config = judge(&text).unwrap();
        let repo = &config.repos[0];
        assert_eq!(repo.config.source.url.to_string(), "https://h/x");
        assert_eq!(repo.config.source.depth, sync_core::Depth::new(3));
        assert_eq!((repo.required, repo.config.source.reference.to_string()), (false, "null".to_owned()));
    }
}

#[test]
fn scalars_are_the_texts_that_would_be_typed() {
    let config = judge(
        "repos:\n  a: {repo: 'https://h/x', ref: 1.10, ref-on: no, exechook-command: /x, exechook-arg: [no, 1e3, '']}\n",
    );
    let config = config.unwrap().repos.remove(0).config;
    assert_eq!(config.source.reference.to_string(), "1.10");
    assert_eq!(config.rules.on_branch.as_deref(), Some("refs/heads/no"));
    let hook = format!("{:?}", config.hooks.list[0]);
    assert!(hook.contains(r#"["no", "1e3", ""]"#), "{hook}");
    check_faults(&[
        (
            "repos:\n  a:\n    repo: https://h/x\n    required: yes\n    group-write: on\n",
            &[
                "F:4: a: required: must be true or false, not \"yes\"",
                "F:5: a: group-write: is an option of the process",
            ],
        ),
        (
            "repos:\n  a:\n    repo: [x]\n    depth: {a: b}\n    exechook-arg: [a, [b]]\n    ca-file: [~]\n    required: [true]\n",
            &[
                "F:3: a: repo: takes one value, not a list",
                "F:4: a: depth: must be a text, not a mapping; write it in quotation marks",
                "F:5: a: exechook-arg: item 2 of the list is not a text",
                "F:6: a: ca-file: item 1 of the list is not a text",
                "F:7: a: required: takes one value, not a list",
            ],
        ),
    ]);
}

#[test]
fn a_broken_option_of_the_process_is_one_fault() {
    let home = Home::new();
    let path = home.write("config.yaml", "root: [a]\nmax-parallel: [1]\nrepos: {}\n");
    let load = |argv: &[&str]| {
        let line = ["syncline".to_owned(), format!("--config={}", path.display())];
        let line = line.into_iter().chain(argv.iter().map(ToString::to_string)).map(Into::into);
        let Ok(Parsed::Run(args)) = parse(line, &Environment::of(&[])) else { panic!("{argv:?}") };
        ManyConfig::load(&args, &Environment::of(&[])).unwrap_err()
    };
    let own = [1, 2].map(|line| format!("{}:{line}: ", path.display()));
    let found = load(&[]);
    assert!(
        found.len() == 2 && found.iter().zip(&own).all(|(fault, line)| fault.starts_with(line)),
        "{found:?}"
    );
    let found = load(&["--max-parallel=0"]);
    assert!(found.len() == 3 && found[0].starts_with("--max-parallel: must be a number"), "{found:?}");
}

#[test]
fn a_directory_is_read_in_the_order_of_names() {
    let home = Home::new();
    let directory = home.path("conf");
    let entry = |name: &str| format!("repos: {{{name}: {{repo: 'https://h/x'}}}}\n");
    home.write("conf/b.yml", format!("defaults: {{depth: 7}}\n{}", entry("b")));
    home.write(
        "conf/a.yaml",
        format!("removed: delete\n{}groups: {{all: {{members: [a, b]}}}}\n", entry("a")),
    );
    home.write("conf/.hidden.yaml", "]");
    home.write("conf/notes.txt", "]");
    let config = home.load(&directory, &[], &[]).unwrap();
    let names: Vec<&str> = config.repos.iter().map(|repo| &*repo.name).collect();
    assert_eq!((names, config.process.removed), (vec!["a", "b"], Removed::Delete));
    let depths = [0, 1].map(|at| config.repos[at].config.source.depth);
    assert_eq!(depths, [1, 7].map(sync_core::Depth::new), "defaults are those of the file");
    assert_eq!((config.path, config.groups.len()), (directory.clone(), 1));

    home.write("conf/c.yaml", format!("removed: keep\n{}groups: {{b: {{members: [a]}}}}\n", entry("a")));
    home.write("conf/d.yaml", "defaults: {depth: x}\n");
    let found = home.load(&directory, &[], &[]).unwrap_err();
    let at = |file: &str| directory.join(file).display().to_string();
    for expected in [
        format!("{}:1: removed: is there already, in {}:1", at("c.yaml"), at("a.yaml")),
        format!("{}:2: a: is there already, in {}:2", at("c.yaml"), at("a.yaml")),
        format!("{}:3: b: is there already, in {}:2", at("c.yaml"), at("b.yml")),
        format!("{}:1: has no repos", at("d.yaml")),
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(&expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn a_directory_has_files_and_only_files() {
    let home = Home::new();
    fs_err::create_dir(home.path("conf")).unwrap();
    let found = home.load(&home.path("conf"), &[], &[]).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("has no file that ends in .yaml or .yml"), "{found:?}");
    fs_err::create_dir(home.path("conf/x.yaml")).unwrap();
    let found = home.load(&home.path("conf"), &[], &[]).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("x.yaml is not a file"), "{found:?}");
}

#[test]
fn the_digest_is_that_of_all_that_was_read() {
    let home = Home::new();
    let path = home.write("conf/a.yaml", "repos: {}\n");
    let of_file = home.load(&path, &[], &[]).unwrap().sha256;
    assert_eq!(of_file, "a31c7207141f194886f1338b65543e48b8fca5d4bb73e022725e1b9a4d4b2a22", "as sha256sum");
    assert_eq!(digest(&path).unwrap(), of_file);
    let directory = home.path("conf");
    let of_one = digest(&directory).unwrap();
    assert_eq!(home.load(&directory, &[], &[]).unwrap().sha256, of_one);
    assert_ne!(of_one, of_file);
    home.write("conf/b.yaml", "repos: {}\n");
    let of_two = digest(&directory).unwrap();
    fs_err::rename(home.path("conf/b.yaml"), home.path("conf/c.yaml")).unwrap();
    assert!(of_two != of_one && digest(&directory).unwrap() != of_two, "names count");
    home.write("conf/broken.yaml", b"]\xff");
    assert!(digest(&directory).is_ok(), "nothing is parsed");
}
