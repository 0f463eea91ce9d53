//! Commits that are refused one after the other do not fill the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::*;

fn names(env: &Env, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(env.root().join(dir)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn commits_that_are_refused_leave_a_bounded_store() {
    let hostile = Hostile::new();
    let env = &hostile.env;
    let syncline = || env.syncline(hostile.url()).arg("--max-blob-size=1000");
    syncline().sync();
    for number in 0..42 {
        hostile.repo.write("big", noise(number, 1001));
        hostile.repo.commit(&[]);
        let fault = fault(&syncline().fail());
        assert!(fault.contains("max-blob-size"), "{fault}");
    }
    let packs = names(env, ".git/objects/pack").iter().filter(|name| name.ends_with(".pack")).count();
    assert!(packs < 5, "{packs} packs");
    env.assert_published(&hostile.repo, &hostile.good);
    let commit = hostile.repo.commit(&[("big", "small")]);
    syncline().sync();
    env.assert_published(&hostile.repo, &commit);
}

#[test]
fn of_trees_that_are_not_let_through_the_newest_is_kept() {
    let hostile = Hostile::new();
    let env = &hostile.env;
    env.syncline(hostile.url()).sync();
    let hook = env.path("no");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    for content in ["one", "two"] {
        let commit = hostile.repo.commit(&[("file", content)]);
        let gated = env.syncline(hostile.url()).arg("--pre-publish-exechook-required");
        let log = gated.arg("--pre-publish-exechook-command").arg(&hook).fail();
        assert!(log.contains("ask the pre-publish exechook"), "{log}");
        let mut expected = [hostile.good.clone(), commit];
        expected.sort();
        assert_eq!(names(env, ".worktrees"), expected);
    }
    env.assert_published(&hostile.repo, &hostile.good);
}
