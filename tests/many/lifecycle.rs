//! Starting, failing, giving up and ending, of several repositories side by side.

use std::fs;

use rustix::process::Signal;

use crate::support::many::{Many, Trio, count, entry, file, page, wait_for, wait_for_times};
use crate::support::*;

#[test]
fn repositories_of_three_protocols_are_followed_side_by_side() {
    let names = ["web", "daemon", "shell"];
    let (many, repos) = Many::with(names);
    let trio = Trio::start(&many.env);
    let entries: Vec<String> =
        names.iter().enumerate().map(|(at, name)| entry(name, trio.url(at, &many.env, name), "")).collect();
    let defaults = format!("period: 100ms, {}", trio.defaults());
    let mut running = many.spawn(file("", &defaults, &entries));
    for round in 0..2 {
        for (name, repo) in names.iter().zip(&repos) {
            many.wait_for(name, &repo.head());
            repo.commit(&[("file", &format!("{name} {round}\n"))]);
        }
    }
    for (name, repo) in names.iter().zip(&repos) {
        many.wait_for(name, &repo.head());
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0), "{}", running.log());
    for (name, repo) in names.iter().zip(&repos) {
        many.assert_published(name, repo);
        assert_eq!(many.read(name, "file"), format!("{name} 1\n"));
    }
    assert!(running.log().contains("\"repos\":3,\"groups\":0"), "{}", running.log());
}

#[test]
fn one_that_fails_disturbs_no_other_and_is_tried_again() {
    let (many, [good, late]) = Many::with(["good", "late"]);
    fs::rename(&late.path, many.env.path("away")).unwrap();
    let entries = [entry("good", good.url(), ""), entry("late", late.url(), "")];
    let running = many.spawn(file("", "period: 50ms", &entries));
    for round in 0..3 {
        many.wait_for("good", &good.head());
        wait_for_times(&running, "late", "sync failed", round + 1);
        good.commit(&[("file", &round.to_string())]);
    }
    many.wait_for("good", &good.head());
    assert_eq!(many.published("late"), None);
    fs::rename(many.env.path("away"), &late.path).unwrap();
    many.wait_for("late", &late.head());
    assert_eq!(count(&running, "good", "sync failed"), 0, "{}", running.log());
}

#[test]
fn a_root_that_cannot_be_used_is_tried_again() {
    let (many, [good, bad]) = Many::with(["good", "bad"]);
    fs::create_dir_all(many.env.root()).unwrap();
    fs::write(many.root("blocker"), "a file").unwrap();
    let entries = [entry("good", good.url(), ""), entry("bad", bad.url(), "root: blocker/bad")];
    let mut running = many.spawn(file("", "period: 50ms", &entries));
    wait_for_times(&running, "bad", "cannot start", 2);
    let commit = good.commit(&[("file", "two")]);
    many.wait_for("good", &commit);
    fs::remove_file(many.root("blocker")).unwrap();
    many.wait_for("blocker/bad", &bad.head());
    running.signal(Signal::TERM);
    assert_eq!(running.wait().0, Some(0));
    many.assert_published("blocker/bad", &bad);
}

#[test]
fn a_root_that_another_owns_is_tried_again_and_the_owner_is_named() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let alone = Syncline::new().arg("--repo").arg(two.url()).arg("--root").arg(many.root("two")).spawn();
    alone.wait_for("published");
    let running =
        many.spawn(file("", "period: 50ms", &[entry("one", one.url(), ""), entry("two", two.url(), "")]));
    wait_for(&running, "two", "cannot start");
    let owner = format!("in use by another syncline (pid {}", alone.id());
    assert!(running.log().contains(&owner), "no {owner:?} in {}", running.log());
    many.wait_for("one", &one.head());
    alone.kill();
    many.wait_for("two", &two.head());
}

#[test]
fn one_that_fails_too_often_is_parked_and_the_others_go_on() {
    let (many, [good, bad]) = Many::with(["good", "bad"]);
    fs::rename(&bad.path, many.env.path("away")).unwrap();
    let port = free_port();
    let entries = [entry("good", good.url(), ""), entry("bad", bad.url(), "max-failures: 2")];
    let running = many.spawn(file(&format!("http-bind: 127.0.0.1:{port}"), "period: 50ms", &entries));
    wait_for(&running, "bad", "gave up; it is not synced any more");
    assert_eq!(count(&running, "bad", "sync failed"), 2, "{}", running.log());
    fs::rename(many.env.path("away"), &bad.path).unwrap();
    for round in 0..5 {
        let commit = good.commit(&[("file", &round.to_string())]);
        many.wait_for("good", &commit);
    }
    assert_eq!(many.published("bad"), None);
    let status = page(port, "/status");
    assert_eq!(status["repos"]["bad"]["state"], "gave-up");
    assert_eq!(status["repos"]["good"]["state"], "ok");
    let (code, reason) = get(port, "/readyz");
    let is_named = reason.starts_with("bad: it gave up after 2 failures; the last attempt: open ");
    assert!(code == 503 && is_named && reason.lines().count() == 1, "{reason}");
}

#[test]
fn giving_up_ends_the_process_where_that_is_wanted_or_nothing_is_left() {
    let (many, [good]) = Many::with(["good"]);
    let gone = many.env.path("gone");
    let bad = |name: &str, more: &str| entry(name, gone.to_str().unwrap(), more);
    for entries in [
        [entry("good", good.url(), ""), bad("bad", "on-give-up: exit, max-failures: 2")],
        [bad("one", "max-failures: 1"), bad("two", "max-failures: 2")],
    ] {
        let mut running = many.spawn(file("", "period: 50ms", &entries));
        assert_eq!(running.wait().0, Some(1), "{}", running.log());
        running.wait_for("gave up; it is not synced any more");
    }
}

#[test]
fn a_run_of_one_time_tries_all_and_counts_those_that_are_required() {
    let (many, [good]) = Many::with(["good"]);
    let hook = many.env.path("hook");
    write_program(&hook, "#!/bin/sh\ntest \"$SYNCLINE_REPO\" != hooked\n");
    let hooked = format!("exechook-command: '{}'", hook.display());
    let good = |name: &str, more: &str| entry(name, good.url(), more);
    let gone = |name: &str, more: &str| entry(name, many.env.path("gone").to_str().unwrap(), more);
    let optional = "required: false";
    for (entries, code, failed) in [
        (vec![good("a", ""), good("b", &hooked)], 0, ""),
        (vec![good("a", ""), gone("b", optional)], 0, ""),
        (vec![gone("a", optional), gone("b", optional)], 0, ""),
        (vec![good("a", ""), gone("b", ""), gone("c", ""), gone("d", optional)], 1, "b c"),
        (vec![good("a", ""), good("hooked", &hooked)], 1, "hooked"),
        (vec![good("a", ""), good("hooked", &format!("{hooked}, {optional}"))], 0, ""),
    ] {
        let _ = fs::remove_dir_all(many.env.root());
        many.write(file("one-time: true", "", &entries));
        let finished = many.syncline().env("PATH", "/bin:/usr/bin").run();
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        let last: serde_json::Value = serde_json::from_str(finished.stderr.lines().last().unwrap()).unwrap();
        if code == 1 {
            assert_eq!((&last["message"], &last["repos"]), (&"failed".into(), &failed.into()));
        }
        assert_eq!(many.published("a").is_some(), entries[0] == good("a", ""), "{}", finished.stderr);
    }
}

#[test]
fn without_repositories_a_run_of_one_time_has_nothing_to_do() {
    let many = Many::new();
    many.write("repos: {}");
    assert_eq!(many.syncline().one_time().spawn().wait().0, Some(0));
}

#[test]
fn signals_end_all_at_once_whatever_they_do() {
    let (many, [good, _, full]) = Many::with(["good", "slow", "full"]);
    let nginx = Nginx::start(&many.env.path(""));
    full.commit_incompressible(1 << 20);
    let mute = Meddler::start(nginx.port(), Trouble::Stall(0));
    let stalled = Meddler::start(nginx.port(), Trouble::Stall(100_000));
    let hook = many.env.path("hook");
    write_program(&hook, "#!/bin/sh\nexec sleep 300\n");
    let entries = [
        entry("good", good.url(), &format!("exechook-command: '{}'", hook.display())),
        entry("slow", mute.url("http", "slow/.git"), ""),
        entry("full", stalled.url("http", "full/.git"), ""),
        entry("gone", many.env.path("gone").to_str().unwrap(), ""),
    ];
    for signal in [Signal::TERM, Signal::INT] {
        let _ = fs::remove_dir_all(many.env.root());
        many.write(file("", "period: 1h", &entries));
        let mut running = many.syncline().env("PATH", "/bin:/usr/bin").spawn();
        wait_for(&running, "good", "published");
        wait_for(&running, "gone", "sync failed");
        let before = stalled.received();
        eventually("a stalled fetch", || (stalled.received() > before.min(50_000)).then_some(()));
        running.signal(signal);
        let (code, took) = running.wait();
        assert_eq!(code, Some(0), "{}", running.log());
        assert!(took < SOON, "{took:?}");
    }
}

#[test]
fn a_signal_makes_all_look() {
    let names = ["a", "b", "c"];
    let (many, repos) = Many::with(names);
    let entries: Vec<_> = names.iter().zip(&repos).map(|(name, repo)| entry(name, repo.url(), "")).collect();
    let running = many.spawn(file("sync-on-signal: SIGUSR1", "period: 1h", &entries));
    for (name, repo) in names.iter().zip(&repos) {
        many.wait_for(name, &repo.head());
        wait_for(&running, name, "published");
    }
    let commits = repos.each_ref().map(|repo| repo.commit(&[("file", "two")]));
    running.signal(Signal::USR1);
    for (name, commit) in names.iter().zip(&commits) {
        many.wait_for(name, commit);
    }
}

#[test]
fn hooks_hear_of_which_repository_it_was() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let hook = many.env.path("hook");
    let told = many.env.path("told");
    write_program(
        &hook,
        format!("#!/bin/sh\necho \"$1 $SYNCLINE_REPO $GITSYNC_HASH $(pwd)\" >> {}\n", told.display()),
    );
    let hooks = format!(
        "exechook-command: '{0}', exechook-arg: after, pre-publish-exechook-command: '{0}', \
         pre-publish-exechook-arg: before, pre-publish-exechook-required: true",
        hook.display()
    );
    let entries = [entry("one", one.url(), ""), entry("two", two.url(), "")];
    many.write(file("", &hooks, &entries));
    many.syncline().env("PATH", "/bin:/usr/bin").sync();
    let text = fs::read_to_string(told).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let expected = ["after", "before"].map(|moment| {
        [("one", &one), ("two", &two)].map(|(name, repo)| {
            let tree = fs::canonicalize(many.link(name)).unwrap();
            format!("{moment} {name} {} {}", repo.head(), tree.display())
        })
    });
    assert_eq!(lines, expected.as_flattened());
}

/// Roots are those of git-sync, so one can be taken over and given back.
#[test]
fn a_root_is_taken_over_from_one_process_for_one_and_given_back() {
    let (many, [ours, theirs]) = Many::with(["ours", "theirs"]);
    let nginx = Nginx::start(&many.env.path(""));
    let alone = |name: &str| {
        let url = nginx.url(&format!("{name}/.git"));
        Syncline::new().arg("--repo").arg(url).arg("--root").arg(many.root(name)).arg("-v1")
    };
    alone("ours").arg("--link=current").sync();
    fs::create_dir_all(many.root("theirs")).unwrap();
    let hash = crate::moving::git_sync_pass(&many.root("theirs"), &nginx.url("theirs/.git"));
    crate::moving::git_sync_publish(&many.root("theirs"), &hash);
    let fetches = || nginx.requests().iter().filter(|line| line.contains("POST")).count();

    let entries = ["ours", "theirs"].map(|name| entry(name, nginx.url(&format!("{name}/.git")), ""));
    let with_link = entries[1].replace('}', ", link: link}");
    let trees = |name: &str| fs::read_dir(many.root(name).join(".worktrees")).unwrap().count();
    let before = fetches();
    many.write(file("", "", &[entries[0].clone(), with_link]));
    let log = many.syncline().arg("-v1").sync().stderr;
    // A look is one request each: nothing was fetched.
    assert!(log.matches("\"nothing new\"").count() >= 1, "{log}");
    assert!(fetches() - before <= 4, "{:?}", nginx.requests());
    assert_eq!(["ours", "theirs"].map(trees), [1, 1]);

    let commit = ours.commit(&[("file", "two")]);
    many.syncline().sync();
    many.assert_published("ours", &ours);
    let log = alone("ours").arg("--link=current").sync().stderr;
    assert!(log.contains("\"nothing new\"") && log.contains(&commit), "{log}");
    assert_eq!(theirs.head(), hash);
}

#[test]
fn a_file_is_judged_without_syncing_anything() {
    let (many, [one]) = Many::with(["one"]);
    many.write(file("", "", &[entry("one", one.url(), "")]) + "groups: {all: {members: [one]}}\n");
    let finished = many.syncline().arg("--config-check").run();
    let path = many.file().display().to_string();
    assert_eq!(finished.stdout, format!("{path}: repositories: 1, groups: 1\n"), "{}", finished.stderr);
    assert_eq!(finished.code, Some(0));
    assert!(!many.env.root().exists());

    many.write(
        "repos:\n  one:\n    repo: /x\n    perriod: 10s\n  two:\n    repo: /y\n    period: \"10\"\n  Three: {repo: /z}\n",
    );
    for run in [many.syncline().arg("--config-check"), many.syncline()] {
        let finished = run.run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
        for (line, words) in [(4, "one: perriod: "), (7, "two: period: "), (8, "repos: Three is no name")] {
            let expected = format!("syncline: {path}:{line}: {words}");
            assert!(finished.stderr.contains(&expected), "no {expected:?} in {}", finished.stderr);
        }
        assert!(finished.stderr.contains("period"), "{}", finished.stderr);
    }
    assert!(!many.env.root().exists());
}
