//! Rules for moving: what is published, when, and what is held back.

use std::fs;

use crate::support::*;

/// The same expectations of every kind of source, each with a new root.
fn sources(env: &Env, check: impl Fn(&str)) {
    crate::references::sources(env, |url| {
        let _ = fs::remove_dir_all(env.root());
        check(url);
    });
}

pub fn upstream(env: &Env) -> Repo {
    let repo = env.repo("up");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo
}

/// Whether the store of the root has an object.
pub fn has(env: &Env, id: &str) -> bool {
    git(&env.root(), &["cat-file", "--batch-all-objects", "--batch-check"]).contains(id)
}

#[test]
fn only_descendants_are_published_with_forward_only() {
    let env = Env::new();
    let repo = upstream(&env);
    let base = repo.head();
    sources(&env, |url| {
        repo.git(&["reset", "--quiet", "--hard", &base]);
        let syncline = || env.syncline(url).arg("--forward-only");
        syncline().sync();
        let commits: Vec<_> = ["a", "b", "c"].map(|text| repo.commit(&[("file", text)])).into();
        syncline().sync();
        env.assert_published(&repo, &commits[2]);

        repo.git(&["reset", "--quiet", "--hard", &commits[0]]);
        let log = syncline().fail();
        let text = format!("publish {} (HEAD): it does not descend from {}", commits[0], commits[2]);
        assert!(log.contains(&text) && log.contains(&format!("--forward-from={}", commits[2])), "{log}");
        env.assert_published(&repo, &commits[2]);

        let aside = repo.commit(&[("file", "aside")]);
        assert!(syncline().fail().contains(&format!("publish {aside}")));
        assert!(!has(&env, &aside), "{url}");
        env.assert_no_leftovers();
        env.assert_published(&repo, &commits[2]);

        repo.git(&["merge", "--quiet", "--strategy=ours", "--message=merge", &commits[2]]);
        syncline().sync();
        env.assert_published(&repo, &repo.head());
    });
}

#[test]
fn one_move_is_allowed_by_naming_the_commit_it_leaves() {
    let env = Env::new();
    let repo = upstream(&env);
    let base = repo.head();
    let top = repo.commit(&[("file", "top")]);
    let syncline = || env.syncline(repo.url()).arg("--forward-only");
    syncline().sync();
    repo.git(&["reset", "--quiet", "--hard", &base]);
    syncline().arg(format!("--forward-from={base}")).fail();
    syncline().arg(format!("--forward-from={top}")).sync();
    env.assert_published(&repo, &base);
    let next = repo.commit(&[("file", "next")]);
    syncline().arg(format!("--forward-from={top}")).sync();
    env.assert_published(&repo, &next);
    repo.git(&["reset", "--quiet", "--hard", &base]);
    syncline().arg(format!("--forward-from={top}")).fail();
}

#[test]
fn without_filters_history_is_compared_in_the_store_or_not_at_all() {
    let env = Env::new();
    let repo = env.repo("up");
    let base = repo.head();
    repo.commit(&[("file", "top")]);
    let nginx = Nginx::start(&env.path(""));
    let syncline = || env.syncline(nginx.url("up/.git")).arg("--forward-only");
    syncline().sync();
    let top = repo.commit(&[("file", "next")]);
    let log = syncline().fail();
    assert!(log.contains("--forward-only needs a server that supports filters"), "{log}");
    syncline().arg("--depth=0").sync();
    env.assert_published(&repo, &top);

    repo.git(&["reset", "--quiet", "--hard", &base]);
    let aside = repo.commit(&[("file", "aside")]);
    let log = syncline().arg("--depth=0").fail();
    assert!(log.contains(&format!("publish {aside} (HEAD): it does not descend from {top}")), "{log}");
    env.assert_published(&repo, &top);
    assert_eq!(git(&env.root(), &["rev-parse", "git-sync"]), top, "the branch does not name what is refused");
}

#[test]
fn a_commit_far_behind_is_found_and_one_too_far_is_refused() {
    let env = Env::new();
    let repo = upstream(&env);
    let nginx = Nginx::start(&env.path(""));
    let syncline = || env.syncline(nginx.url("up/.git")).arg("--forward-only");
    syncline().sync();
    let import = |commits: usize| {
        let mut text = String::new();
        for number in 0..commits {
            text.push_str("commit refs/heads/main\ncommitter n <n@x> 1700000000 +0000\ndata 1\nx");
            text.push_str(if number == 0 { "\nfrom refs/heads/main^0\n" } else { "\n" });
            text.push_str(&format!("M 100644 inline file\ndata 6\n{number:06}\n"));
        }
        git_with_input(&repo.path, &["fast-import", "--quiet"], text);
        repo.head()
    };
    let near = import(9_990);
    syncline().sync();
    assert_eq!(env.published(), Some(near.clone()));
    import(10_010);
    let log = syncline().fail();
    assert!(log.contains(&format!("it does not descend within 10000 commits from {near}")), "{log}");
    assert_eq!(env.published(), Some(near));
}

#[test]
fn a_reference_must_be_on_its_branch() {
    let env = Env::new();
    let repo = upstream(&env);
    let old = repo.head();
    repo.git(&["tag", "--annotate", "--message=x", "good"]);
    repo.commit(&[("file", "main")]);
    repo.git(&["switch", "--quiet", "--create", "side"]);
    let side = repo.commit(&[("file", "side")]);
    repo.git(&["tag", "bad"]);
    repo.git(&["switch", "--quiet", "main"]);
    sources(&env, |url| {
        let syncline =
            |reference: &str| env.syncline(url).arg(format!("--ref={reference}")).arg("--ref-on=main");
        for reference in ["good", &old, "main"] {
            let _ = fs::remove_dir_all(env.root());
            syncline(reference).sync();
            assert_eq!(env.published(), Some(repo.git(&["rev-parse", &format!("{reference}^0")])));
        }
        for reference in ["bad", "side", &side] {
            let log = syncline(reference).fail();
            assert!(log.contains(&format!("publish {side}")), "{log}");
            assert!(log.contains("it is not on refs/heads/main (--ref-on)"), "{log}");
            assert!(!has(&env, &side));
        }
        env.assert_published(&repo, &repo.head());
        let log = env.syncline(url).arg("--ref=side").arg("--ref-on=gone").fail();
        assert!(log.contains("there is no refs/heads/gone (--ref-on)"), "{log}");
    });
    repo.git(&["merge", "--quiet", "--message=merge", "side"]);
    env.syncline(repo.url()).arg("--ref=bad").arg("--ref-on=main").sync();
    env.assert_published(&repo, &side);
}

/// Let time pass: every commit was seen so many seconds earlier.
pub fn age(env: &Env, seconds: u64) {
    let file = env.root().join(".git/syncline-refs");
    let mut text = String::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        text.push_str(&format!("{} {rest}\n", time.parse::<u64>().unwrap() - seconds));
    }
    fs::write(file, text).unwrap();
}

#[test]
fn a_commit_is_published_once_it_is_old_enough() {
    let env = Env::new();
    let repo = upstream(&env);
    sources(&env, |url| {
        let sync = || {
            env.syncline(url).arg("--min-age=1h").sync();
            env.published().unwrap()
        };
        let first = repo.commit(&[("file", "first")]);
        assert_eq!(sync(), first, "the first one does not wait");
        let second = repo.commit(&[("file", "second")]);
        assert_eq!(sync(), first);
        age(&env, 3_000);
        let third = repo.commit(&[("file", "third")]);
        assert_eq!(sync(), first);
        age(&env, 1_000);
        assert_eq!(sync(), second, "a newer one does not make it wait longer");
        assert_eq!(sync(), second);
        age(&env, 3_000);
        assert_eq!(sync(), third);
        env.assert_published(&repo, &third);
    });
}

#[test]
fn a_commit_that_was_withdrawn_meanwhile_is_not_published() {
    let env = Env::new();
    let repo = upstream(&env);
    sources(&env, |url| {
        let sync = || {
            env.syncline(url).arg("--min-age=1h").sync();
            env.published().unwrap()
        };
        let good = repo.commit(&[("file", url)]);
        assert_eq!(sync(), good);
        let bad = repo.commit(&[("file", "bad")]);
        assert_eq!(sync(), good);
        age(&env, 4_000);
        repo.git(&["reset", "--quiet", "--hard", &good]);
        let fixed = repo.commit(&[("file", "fixed")]);
        assert_eq!(sync(), good);
        age(&env, 4_000);
        assert_eq!(sync(), fixed);
        assert!(!has(&env, &bad));
    });
}

#[test]
fn a_damaged_list_of_sightings_makes_commits_wait_again() {
    let env = Env::new();
    let repo = upstream(&env);
    let sync = || {
        env.syncline(repo.url()).arg("--min-age=1h").sync();
        env.published().unwrap()
    };
    let first = repo.head();
    assert_eq!(sync(), first);
    let second = repo.commit(&[("file", "second")]);
    let file = env.root().join(".git/syncline-refs");
    for damage in [vec![0xff; 100], b"99999999999999999999 x\n".to_vec(), noise(1, 9 << 20), Vec::new()] {
        sync();
        age(&env, 4_000);
        fs::write(&file, damage).unwrap();
        assert_eq!(sync(), first);
    }
    let in_the_future = format!("99999999999 {second} - HEAD\n");
    fs::write(&file, in_the_future).unwrap();
    assert_eq!(sync(), first);
    age(&env, 4_000);
    assert_eq!(sync(), second);
}

#[test]
fn only_changes_of_watched_paths_are_published() {
    let env = Env::new();
    let repo = upstream(&env);
    let base =
        repo.commit(&[("site/index", "1"), ("site/drafts/x", "1"), ("README", "1"), ("a/b/c.yaml", "1")]);
    sources(&env, |url| {
        repo.git(&["reset", "--quiet", "--hard", &base]);
        let sync = || {
            let options = ["--watch-paths=/site, *.yaml", "--watch-paths-except=/site/drafts"];
            env.syncline(url).arg(options[0]).arg(options[1]).sync();
            env.published().unwrap()
        };
        assert_eq!(sync(), base);
        repo.commit(&[("README", "2")]);
        assert_eq!(sync(), base);
        repo.commit(&[("site/drafts/x", "2"), ("new/file", "2")]);
        assert_eq!(sync(), base);
        assert_eq!(sync(), base, "also after another start");
        env.assert_no_leftovers();

        let inside = repo.commit(&[("site/index", "2")]);
        assert_eq!(sync(), inside);
        env.assert_published(&repo, &inside);
        let deep = repo.commit(&[("a/b/c.yaml", "2")]);
        assert_eq!(sync(), deep);

        repo.git(&["reset", "--quiet", "--hard", &base]);
        let unrelated = repo.commit(&[("a/b/c.yaml", "2"), ("site/index", "2"), ("README", "3")]);
        assert_eq!(sync(), deep, "what is watched is the same, whatever the history");
        repo.git(&["rm", "--quiet", "-r", "site/index"]);
        repo.git(&["commit", "--quiet", "--message=x"]);
        assert_eq!(sync(), repo.head());
        assert_ne!(repo.head(), unrelated);
        env.assert_published(&repo, &repo.head());
    });
}

#[test]
fn a_commit_that_is_held_is_shown_with_its_rule() {
    let env = Env::new();
    let repo = upstream(&env);
    let first = repo.head();
    let port = free_port();
    let running = env
        .syncline(repo.url())
        .arg("--min-age=1h")
        .arg("--period=50ms")
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for("published");
    let second = repo.commit(&[("file", "second")]);
    let held = eventually("a held commit", || {
        let page: serde_json::Value = serde_json::from_str(&get(port, "/status").1).unwrap();
        (!page["held"].is_null()).then(|| page["held"].clone())
    });
    assert_eq!((held["commit"].as_str(), held["rule"].as_str()), (Some(second.as_str()), Some("age")));
    assert!(held["since"].is_string());
    assert!(get(port, "/metrics").1.contains("syncline_held_commits{rule=\"age\"} 1\n"));
    assert_eq!(env.published(), Some(first));
    running.kill();
}

#[test]
fn a_lower_version_is_refused_with_forward_only_and_followed_with_a_warning_without() {
    let env = Env::new();
    let repo = upstream(&env);
    repo.git(&["tag", "v1.2.0"]);
    let base = repo.head();
    let high = repo.commit(&[("file", "high")]);
    repo.git(&["tag", "--annotate", "--message=x", "v1.10.0"]);
    sources(&env, |url| {
        let syncline = || env.syncline(url).arg("--ref-semver=^1").arg("--forward-only");
        syncline().sync();
        env.assert_published(&repo, &high);

        // A later release on another branch descends from nothing that is published.
        repo.git(&["reset", "--quiet", "--hard", &base]);
        let later = repo.commit(&[("file", url)]);
        repo.git(&["tag", "v1.11.0"]);
        syncline().sync();
        env.assert_published(&repo, &later);

        repo.git(&["tag", "--delete", "v1.11.0"]);
        let log = syncline().fail();
        assert!(log.contains(&format!("publish {high} (refs/tags/v1.10.0): it ")), "{log}");
        assert!(log.contains(&format!("--forward-from={later}")), "{log}");
        env.assert_published(&repo, &later);
    });
    let running = env.syncline(repo.url()).arg("--ref-semver=^1").arg("--period=50ms").spawn();
    running.wait_for("published");
    repo.git(&["tag", "--delete", "v1.10.0"]);
    running.wait_for("the last reference is gone");
    eventually("the lower version", || (env.published()? == base).then_some(()));
    repo.git(&["tag", "--force", "v1.2.0", &high]);
    running.wait_for("the tag was moved");
    eventually("the moved tag", || (env.published()? == high).then_some(()));
    running.kill();
}

#[test]
fn a_hook_and_the_metrics_are_told_which_tag_was_chosen() {
    let env = Env::new();
    let repo = upstream(&env);
    repo.git(&["tag", "v1.2.0"]);
    let hook = env.path("hook");
    write_program(
        &hook,
        format!("#!/bin/sh\nprintf %s \"$SYNCLINE_REF\" > {}\n", env.path("told").display()),
    );
    let port = free_port();
    let running = env
        .syncline(repo.url())
        .arg("--ref-semver=^1")
        .arg(format!("--exechook-command={}", hook.display()))
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    running.wait_for("published");
    eventually("the hook", || {
        (fs::read_to_string(env.path("told")).ok()? == "refs/tags/v1.2.0").then_some(())
    });
    let sample = format!(
        "syncline_published_commit_info{{hash=\"{}\",source=\"{}\",ref=\"v1.2.0\"}} 1",
        repo.head(),
        repo.url()
    );
    eventually("the metric", || get(port, "/metrics").1.contains(&sample).then_some(()));
    running.kill();
}

#[test]
fn versions_that_are_not_old_enough_wait_and_withdrawn_ones_are_passed_over() {
    let env = Env::new();
    let repo = upstream(&env);
    repo.git(&["tag", "v1.0.0"]);
    let first = repo.head();
    let sync = || {
        env.syncline(repo.url()).arg("--ref-semver=^1").arg("--min-age=1h").sync();
        env.published().unwrap()
    };
    assert_eq!(sync(), first);
    let second = repo.commit(&[("file", "second")]);
    repo.git(&["tag", "v1.1.0"]);
    assert_eq!(sync(), first);
    age(&env, 4_000);
    repo.commit(&[("file", "third")]);
    repo.git(&["tag", "v1.2.0"]);
    assert_eq!(sync(), second, "a newer version does not make it wait longer");
    age(&env, 4_000);
    repo.git(&["tag", "--delete", "v1.2.0"]);
    let fourth = repo.commit(&[("file", "fourth")]);
    repo.git(&["tag", "v1.3.0"]);
    assert_eq!(sync(), second, "the tag is gone");
    age(&env, 4_000);
    assert_eq!(sync(), fourth);
}
