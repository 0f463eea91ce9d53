//! The file changes while the program runs.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::support::many::{Many, count, entry, file, metric, page, replace, wait_for, wait_for_times};
use crate::support::*;

const RELOADED: &str = "loaded the configuration again";
const REFUSED: &str = "the configuration is wrong; the last one stays in force";

/// Put another file in place, and have it read.
fn change(many: &Many, running: &Running, text: impl AsRef<[u8]>) {
    many.write(text);
    running.signal(Signal::HUP);
}

#[test]
fn repositories_are_added_changed_and_removed_while_the_others_go_on() {
    let (many, [one, two, three]) = Many::with(["one", "two", "three"]);
    let port = free_port();
    let process = format!("http-bind: '127.0.0.1:{port}'\nhttp-metrics: true");
    let of = |entries: &[String]| file(&process, "period: 50ms", entries);
    let [first, second] = [entry("one", one.url(), ""), entry("two", two.url(), "")];
    let running = many.spawn(of(&[first.clone(), second]));
    many.wait_for("one", &one.head());
    many.wait_for("two", &two.head());
    let polls = || metric(port, "git_sync_count_total{repo=\"one\",status=\"noop\"}").unwrap_or_default();
    eventually("some polls", || (polls() >= 3.0).then_some(()));
    let before = polls();

    change(&many, &running, of(&[first.clone(), entry("three", three.url(), "")]));
    wait_for(&running, "three", "added");
    wait_for(&running, "two", "removed; its files stay");
    many.wait_for("three", &three.head());
    assert_eq!(many.published("two"), Some(two.head()), "its files stay");
    eventually("no repository two", || (get(port, "/status/two").0 == 404).then_some(()));
    eventually("more polls", || (polls() > before).then_some(()));
    assert_eq!(count(&running, "one", "changed"), 0, "{}", running.log());

    let commit = three.commit(&[("dir/deep/file", "deep\n")]);
    change(&many, &running, of(&[first, entry("three", three.url(), "subdirectory: dir")]));
    wait_for(&running, "three", "changed");
    many.wait_for_target("three", &format!("{commit}/dir"));
    assert_eq!(page(port, "/status")["config"]["error"], serde_json::Value::Null);
}

#[test]
fn a_config_map_is_followed_without_a_signal() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let volume = many.env.path("volume");
    let put = |version: &str, text: String| {
        let data = volume.join(format!("..{version}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("config.yaml"), text).unwrap();
        symlink(format!("..{version}"), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    let first = entry("one", one.url(), "");
    put("2026_1", file("", "period: 50ms", std::slice::from_ref(&first)));
    symlink("..data/config.yaml", volume.join("config.yaml")).unwrap();
    for config in [volume.join("config.yaml"), volume.clone()] {
        let root = many.env.path(&format!("root-{}", config == volume));
        let running = Syncline::new().arg("--config").arg(&config).arg("--root").arg(&root).spawn();
        running.wait_for("published");
        put("2026_2", file("", "period: 50ms", &[first.clone(), entry("two", two.url(), "")]));
        running.wait_for(RELOADED);
        eventually("the second one", || root.join("two/current/file").exists().then_some(()));
        running.kill();
        fs::remove_dir_all(volume.join("..2026_1")).unwrap();
        put("2026_1", file("", "period: 50ms", std::slice::from_ref(&first)));
        fs::remove_dir_all(volume.join("..2026_2")).unwrap();
    }
}

#[test]
fn a_faulty_file_changes_nothing_and_says_so() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let port = free_port();
    let process = format!("http-bind: '127.0.0.1:{port}'\nhttp-metrics: true");
    let good = file(&process, "period: 50ms", &[entry("one", one.url(), "")]);
    let running = many.spawn(&good);
    many.wait_for("one", &one.head());
    let succeeded = || metric(port, "syncline_config_last_reload_successful");
    assert_eq!(succeeded(), Some(1.0));
    let second = entry("two", two.url(), "");
    let elsewhere = good.replace(&port.to_string(), &free_port().to_string());
    for (number, (text, fault)) in [
        (format!("{good}{second}  three: {{repo: x, perod: 1s}}\n"), "did you mean period?"),
        (format!("{good}  two: {{repo: 'x"), "is not YAML"),
        (String::new(), "config.yaml:1"),
        (elsewhere, "http-bind: cannot change while syncline runs; restart it"),
    ]
    .into_iter()
    .enumerate()
    {
        change(&many, &running, text);
        running.wait_for_times(REFUSED, number + 1);
        let error = page(port, "/status")["config"]["error"].as_str().map(ToOwned::to_owned);
        assert!(error.as_ref().is_some_and(|error| error.contains(fault)), "{error:?}");
        assert_eq!(succeeded(), Some(0.0));
    }
    fs::remove_file(many.file()).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_times(REFUSED, 5);
    let commit = one.commit(&[("file", "two\n")]);
    many.wait_for("one", &commit);
    assert_eq!(many.published("two"), None);
    change(&many, &running, format!("{good}{second}"));
    many.wait_for("two", &two.head());
    eventually("a success", || (succeeded() == Some(1.0)).then_some(()));
    assert_eq!(page(port, "/status")["config"]["error"], serde_json::Value::Null);
}

#[test]
fn hooks_hear_again_of_what_is_published_only_if_they_changed() {
    let (many, [one]) = Many::with(["one"]);
    let (hook, told) = (many.env.path("hook"), many.env.path("told"));
    write_program(&hook, format!("#!/bin/sh\necho $SYNCLINE_REPO $1 >> {}\n", told.display()));
    let of = |more: &str| {
        let hook = format!("exechook-command: '{}', {more}", hook.display());
        file("", "period: 50ms", &[entry("one", one.url(), &hook)])
    };
    let running = many.spawn(of("exechook-arg: [a]"));
    let lines =
        || fs::read_to_string(&told).unwrap_or_default().lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    eventually("the hook", || (lines() == ["one a"]).then_some(()));
    wait_for(&running, "one", "delivered");
    change(&many, &running, of("exechook-arg: [a], sync-timeout: 50s"));
    wait_for_times(&running, "one", "changed", 1);
    one.commit(&[("file", "two\n")]);
    eventually("the next commit", || (lines() == ["one a", "one a"]).then_some(()));
    wait_for_times(&running, "one", "delivered", 2);
    change(&many, &running, of("exechook-arg: [b]"));
    eventually("the changed hook", || (lines() == ["one a", "one a", "one b"]).then_some(()));
}

#[test]
fn what_syncline_made_for_a_removed_repository_is_deleted_if_that_is_wanted() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let of = |entries: &[String]| file("removed: delete", "period: 50ms", entries);
    let [first, second] = [entry("one", one.url(), ""), entry("two", two.url(), "")];
    let running = many.spawn(of(&[first.clone(), second.clone()]));
    many.wait_for("two", &two.head());
    fs::write(many.root("two").join("mine"), "of a user").unwrap();
    change(&many, &running, of(std::slice::from_ref(&first)));
    wait_for(&running, "two", "removed; its files are deleted");
    let left = || {
        fs::read_dir(many.root("two")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    eventually("a root with the user's file alone", || (left() == ["mine"]).then_some(()));
    assert!(many.link("one").exists());
    change(&many, &running, of(&[first, second]));
    many.wait_for("two", &two.head());
}

#[test]
fn the_last_of_many_changes_is_in_force() {
    let (many, [one, two]) = Many::with(["one", "two"]);
    let [first, second] = [entry("one", one.url(), ""), entry("two", two.url(), "")];
    let running = many.spawn(file("", "period: 50ms", std::slice::from_ref(&first)));
    many.wait_for("one", &one.head());
    for number in 0..100 {
        let text = format!("# {number}\n{}", file("", "period: 60ms", std::slice::from_ref(&first)));
        replace(&many.file(), text);
        running.signal(Signal::HUP);
    }
    change(&many, &running, file("", "period: 60ms", &[first, second]));
    many.wait_for("two", &two.head());
    assert!(!running.log().contains(REFUSED), "{}", running.log());
}
