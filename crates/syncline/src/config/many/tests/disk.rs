use std::os::unix::fs::symlink;

use super::*;

/// Two repositories with these options.
fn two(a: &str, b: &str) -> String {
    format!("repos:\n  a: {{repo: 'https://h/a', {a}}}\n  b: {{repo: 'https://h/b', {b}}}\n")
}

#[test]
fn roots_that_are_in_the_way_of_each_other_are_refused() {
    for (a, b, expected) in [
        ("root: x", "root: x", "F:3: b: root: R/x is the root of a, too"),
        ("root: x", "root: ./y/../x/", "F:3: b: root: R/x is the root of a, too"),
        ("root: b", "", "F:3: b: root: R/b is the root of a, too"),
        ("", "root: a", "F:3: b: root: R/a is the root of a, too"),
        ("root: x", "root: x/y", "F:3: b: root: R/x/y is inside the root of a"),
        ("root: x/y/z", "root: x", "F:2: a: root: R/x/y/z is inside the root of b"),
        ("root: .", "root: /elsewhere", "F:2: a: root: holds the root of the process, R"),
        ("root: ..", "root: /elsewhere", "F:2: a: root: holds the root of the process, R"),
        ("root: /", "", "F:2: a: root: must not be the root of the file system"),
        ("root: /..", "", "F:2: a: root: must not be the root of the file system"),
        ("root: .groups/x", "", "F:2: a: root: is inside R/.groups, where the groups are"),
    ] {
        let found = Home::new().judge(&two(a, b), &[], &[]).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with(expected), "{a} {b}: {found:?}");
    }
    for (a, b) in [("root: x", "root: x-y"), ("root: x/y", "root: x/z"), ("root: /one", "root: /two")] {
        assert!(judge(&two(a, b)).is_ok(), "{a} {b}");
    }
}

#[test]
fn symbolic_links_hide_no_clash() {
    let home = Home::new();
    fs_err::create_dir_all(home.root.join("a")).unwrap();
    symlink("a", home.root.join("other")).unwrap();
    symlink(&home.root, home.path("git2")).unwrap();
    let far = format!("root: {}", home.path("git2").join("a/new/deep").display());
    for (b, expected) in [
        ("root: other", "F:3: b: root: R/a is the root of a, too"),
        ("root: other/new", "F:3: b: root: R/a/new is inside the root of a"),
        (&*far, "F:3: b: root: R/a/new/deep is inside the root of a"),
        ("link: ../other/x", "F:3: b: link: R/a/x is inside the root of a"),
    ] {
        let found = home.judge(&two("", b), &[], &[]).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with(expected), "{b}: {found:?}");
    }
}

#[test]
fn published_paths_that_are_in_the_way_are_refused() {
    let group = "groups: {all: {members: [a]}}\n";
    for (a, b, expected) in [
        ("link: ../one", "link: ../one", "F:3: b: link: R/one is where a is published, too"),
        ("link: /l/x", "link: /l/../l/x", "F:3: b: link: /l/x is where a is published, too"),
        ("link: /l/x", "link: /l/x/y", "F:3: b: link: /l/x/y is inside of what a publishes"),
        ("link: /l/x/y", "link: /l/x", "F:2: a: link: /l/x/y is inside of what b publishes"),
        ("link: ../b/current", "", "F:2: a: link: R/b/current is inside the root of b"),
        ("link: ../b", "", "F:2: a: link: R/b is inside the root of b"),
        ("link: /far", "root: /far/b", "F:2: a: link: /far holds the root of b"),
        ("link: ../all", "", "F:4: all: its path: R/all is where a is published, too"),
        ("root: all", "", "F:4: all: its path: R/all is inside the root of a"),
        ("root: all/x", "", "F:4: all: its path: R/all holds the root of a"),
        ("link: ../.groups/x", "", "F:2: a: link: R/.groups/x is where the groups are"),
        ("link: .git/x", "", "F:2: a: link: .git/x is where syncline keeps its own files"),
    ] {
        let found = Home::new().judge(&format!("{}{group}", two(a, b)), &[], &[]).unwrap_err();
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{a} {b}: {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
    assert!(judge(&two("link: /l/one", "link: /l/two")).is_ok());
    let within = two("publish: in-place, link: /l/www", "publish: in-place, link: /l/www/b");
    assert!(judge(&within).is_ok(), "in place, other files stay");
}

#[test]
fn an_error_file_of_two_repositories_gets_a_warning() {
    let warnings = Home::new().judge(TWO, &["--error-file=/e"], &[]).unwrap().warnings;
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("/e is the error-file of dags and of site"),
        "{warnings:?}"
    );
    assert!(Home::new().judge(TWO, &["--error-file=.error"], &[]).unwrap().warnings.is_empty());
}

/// A root that a repository named `conf` publishes, with a file of many repositories in its tree.
fn published(home: &Home, text: &str) -> PathBuf {
    let id = "0123456789012345678901234567890123456789";
    home.write(&format!("git/conf/.worktrees/{id}/many.yaml"), text);
    fs_err::create_dir_all(home.root.join("conf/.git")).unwrap();
    if !home.root.join("conf/current").exists() {
        symlink(format!(".worktrees/{id}"), home.root.join("conf/current")).unwrap();
    }
    home.root.join("conf/current/many.yaml")
}

#[test]
fn a_file_in_a_published_tree_runs_no_programs() {
    let plain = "repos:\n  conf: {repo: 'https://h/conf'}\n";
    let home = Home::new();
    let path = published(&home, plain);
    for (path, warns) in [
        (path.clone(), true),
        (path.parent().unwrap().to_owned(), true),
        (home.write("m.yaml", plain), false),
    ] {
        let warnings = home.load(&path, &["--exechook-command=/typed"], &[]).unwrap().warnings;
        assert_eq!(
            warnings.iter().filter(|text| text.contains("is in a published tree")).count(),
            usize::from(warns)
        );
    }
    let hooks = "\
defaults:
  exechook-command: /x
  pre-publish-exechook-arg: [x]
repos:
  conf:
    repo: https://h/conf
    pre-publish-exechook-command: /x
    exechook-arg: x
groups:
  all:
    members: [conf]
    exechook-command: /x
    exechook-arg: x
";
    published(&home, hooks);
    let found = home.load(&path, &["--config-hooks=false"], &[]).unwrap_err();
    let lines: Vec<String> = [2, 3, 7, 8, 12, 13].map(|line| format!("{}:{line}: ", path.display())).into();
    assert!(
        found.len() == lines.len() && found.iter().zip(&lines).all(|(fault, line)| fault.starts_with(line)),
        "{found:#?}"
    );
    assert!(found.iter().all(|fault| fault.contains("--config-hooks")));
    assert!(home.load(&path, &["--config-hooks"], &[]).is_ok());
    assert!(home.load(&home.write("m.yaml", hooks), &[], &[]).is_ok());
}

#[test]
fn a_file_cannot_deny_that_it_is_in_a_published_tree() {
    let home = Home::new();
    let path =
        published(&home, "repos:\n  other: {repo: 'https://h/x', root: /elsewhere, exechook-command: /x}\n");
    let found = home.load(&path, &[], &[]).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("is in a published tree"), "{found:?}");
    let found = home.load(&home.root.join("conf/current"), &[], &[]).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
}
