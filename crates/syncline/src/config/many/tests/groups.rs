use super::*;

/// Three repositories, and groups from line 5 on.
fn with(groups: &str) -> String {
    format!(
        "repos:\n  a: {{repo: 'https://h/a'}}\n  b: {{repo: 'https://h/b'}}\n  c: {{repo: 'https://h/c', publish: directory}}\ngroups:\n{groups}"
    )
}

#[test]
fn all_of_a_group_can_be_said() {
    let text = with(
        "  z: {members: [b]}\n  all:\n    members: [a]\n    settle: 1s\n    max-wait: 1m\n    incomplete: hold-forever\n    \
         pins: {from: a, file: dir/pins.yaml}\n    exechook-command: /bin/x\n    exechook-arg: [1, two]\n    \
         exechook-timeout: 5s\n    exechook-backoff: 6s\n",
    );
    let config = judge(&text).unwrap();
    let [all, z] = &config.groups[..] else { panic!("{:?}", config.groups) };
    assert_eq!((&*all.name, &*z.name), ("all", "z"));
    assert_eq!((all.settle, all.max_wait), (Duration::from_secs(1), Duration::from_secs(60)));
    assert_eq!(all.incomplete, Incomplete::HoldForever);
    assert_eq!(all.pins, Some(Pins { from: "a".into(), file: "dir/pins.yaml".into() }));
    let hook = format!("{:?}", all.exechook);
    for part in ["/bin/x", r#"["1", "two"]"#, "timeout: 5s", "backoff: 6s"] {
        assert!(hook.contains(part), "{part}: {hook}");
    }
    assert_eq!((z.settle, z.max_wait), (Duration::from_secs(2), Duration::from_secs(30)));
    let empty = with("  all: {members: [a], settle: ~, pins:, exechook-command: ''}\n");
    let group = judge(&empty).unwrap().groups.remove(0);
    assert_eq!((group.settle, group.pins, group.exechook), (Duration::from_secs(2), None, None));
    let inherited =
        Home::new().judge(&with("  all: {members: [a]}\n"), &["--exechook-command=/x"], &[]).unwrap();
    assert_eq!(inherited.groups[0].exechook, None, "that is an option of repositories");
}

#[test]
fn what_is_wrong_with_groups_is_reported() {
    let cases: &[(&str, &[&str])] = &[
        ("  x: {}\n", &["F:6: x: members: must be a list of names of repositories"]),
        ("  x: {members: a}\n", &["F:6: x: members: must be a list"]),
        ("  x: {members: []}\n", &["F:6: x: members: needs at least one repository"]),
        ("  x: text\n", &["F:6: x: must be a mapping with the key members"]),
        ("  X: {members: [a]}\n", &["F:6: groups: X is no name"]),
        ("  a: {members: [b]}\n", &["F:6: a: is there already, in F:2"]),
        (
            "  x:\n    members:\n      - a\n      - a\n      - [b]\n",
            &["F:7: x: members: item 3 of the list is not a text", "F:9: x: members: a is there twice"],
        ),
        ("  x: {members: [a]}\n  y: {members: [b, a]}\n", &["F:7: y: members: a is in the group x, too"]),
        ("  x:\n    members: [c]\n", &["F:7: x: members: c must have publish: symlink, to be in a group"]),
        ("  x: {members: [a], settle: 5}\n", &["F:6: x: settle: \"5\" has no unit"]),
        (
            "  x:\n    members: [a]\n    settle: 1m\n",
            &["F:8: x: settle: max-wait must not be shorter than settle"],
        ),
        ("  x:\n    members: [a]\n    max-wait: 1s\n", &["F:8: x: max-wait: max-wait must not be shorter"]),
        (
            "  x: {members: [a], incomplete: go}\n",
            &["F:6: x: incomplete: must be hold or hold-forever, not \"go\""],
        ),
        ("  x: {members: [a], incomplete: [hold]}\n", &["F:6: x: incomplete: must be a text"]),
        (
            "  x:\n    member: [a]\n",
            &[
                "F:6: x: members: must be a list",
                "F:7: x: member: groups have no such key; did you mean members?",
            ],
        ),
        ("  x: {members: [a], period: 1s}\n", &["F:6: x: period: groups have no such key"]),
        ("  x: {members: [a], pins: a}\n", &["F:6: x: pins: must be a mapping with the keys from and file"]),
        ("  x: {members: [a], pins: {from: a}}\n", &["F:6: x: pins: needs from (a member) and file"]),
        (
            "  x: {members: [a], pins: {from: b, file: x}}\n",
            &["F:6: x: pins: from: b is no member of the group"],
        ),
        (
            "  x: {members: [a], pins: {from: a, file: x, at: y}}\n",
            &["F:6: x: pins: at: pins have no such key"],
        ),
        (
            "  x: {members: [a], pins: {from: [a], file: x}}\n",
            &["F:6: x: pins: from: must be a text", "F:6: x: pins: needs from"],
        ),
        ("  x: {members: [a], exechook-arg: [b]}\n", &["F:6: x: exechook-arg: needs exechook-command"]),
        (
            "  x: {members: [a], exechook-command: /x, exechook-timeout: 1}\n",
            &["F:6: x: exechook-timeout: \"1\" has no unit"],
        ),
        (
            "  x: {members: [a], exechook-command: [/x]}\n",
            &["F:6: x: exechook-command: takes one value, not a list"],
        ),
    ];
    for (groups, expected) in cases {
        check_faults(&[(&with(groups), expected)]);
    }
    for file in ["/x", "../x", "a/../x", ".", ""] {
        let found = faults(&with(&format!("  x: {{members: [a], pins: {{from: a, file: '{file}'}}}}\n")));
        assert!(
            found.len() == 1 && found[0].starts_with("F:6: x: pins: file: must be a path"),
            "{file}: {found:?}"
        );
    }
}
