//! Many repositories at once, some of which are in trouble.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use crate::support::many::{Many, Trio, count, entry, file, metric, page, wait_for};
use crate::support::*;

/// How many small repositories there are.
const SMALL: usize = 50;

#[test]
fn fifty_repositories_poll_on_time_beside_bad_ones_and_a_large_one() {
    let names: [&str; 5] = ["up0", "up1", "up2", "hostile", "large"];
    let (many, [up0, _up1, _up2, hostile, large]) = Many::with(names);
    let trio = Trio::start(&many.env);
    hostile.commit(&[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")]);
    large.commit_incompressible(60 << 20);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let process = format!("http-bind: '127.0.0.1:{port}'\nhttp-metrics: true\nmax-parallel: 2");
    let small = (0..SMALL).map(|number| {
        entry(&format!("small-{number}"), trio.url(number, &many.env, &format!("up{}", number % 3)), "")
    });
    let mut entries: Vec<String> = small.collect();
    let hanging = format!("http://{}/x", silent.local_addr().unwrap());
    entries.push(entry("hanging", hanging, "sync-timeout: 2m, required: false"));
    entries.push(entry("hostile", trio.url(0, &many.env, "hostile"), "max-files: 3, required: false"));
    fs::create_dir_all(many.env.root()).unwrap();
    let defaults = format!("period: 1s, {}", trio.defaults());
    let running = many.spawn(file(&process, &defaults, &entries));
    eventually("all small ones", || {
        (0..SMALL).all(|number| many.published(&format!("small-{number}")).is_some()).then_some(())
    });
    wait_for(&running, "hostile", "sync failed");

    // The large one comes while the others poll.
    entries.push(entry("large", trio.url(0, &many.env, "large"), ""));
    many.write(file(&process, &defaults, &entries));
    running.signal(rustix::process::Signal::HUP);
    wait_for(&running, "large", "added");
    let polls = |number: usize| {
        let of = |status: &str| {
            metric(port, &format!("git_sync_count_total{{repo=\"small-{number}\",status=\"{status}\"}}"))
        };
        of("noop").unwrap_or_default()
    };
    let before: Vec<f64> = (0..SMALL).map(polls).collect();
    let window = Duration::from_secs(12);
    std::thread::sleep(window);
    let mut counts: Vec<f64> = (0..SMALL).map(|number| polls(number) - before[number]).collect();
    counts.sort_by(f64::total_cmp);
    tell(&format!(
        "polls in {window:?} with a period of 1 s: least {}, median {}",
        counts[0],
        counts[SMALL / 2]
    ));
    assert!(counts[0] >= 0.6 * window.as_secs_f64(), "{counts:?}");
    many.wait_for("large", &large.head());
    let status = page(port, "/status");
    for number in 0..SMALL {
        assert_eq!(status["repos"][format!("small-{number}")]["state"], "ok");
    }
    assert_eq!(status["repos"]["hostile"]["state"], "failing");
    assert_ne!(status["repos"]["hanging"]["state"], "ok");
    assert_eq!(get(port, "/readyz").0, 200);
    let commit = up0.commit(&[("file", "two\n")]);
    for number in (0..SMALL).filter(|number| number % 3 == 0) {
        many.wait_for(&format!("small-{number}"), &commit);
    }
}

#[test]
fn repositories_of_one_server_share_its_connections() {
    let (many, [_up]) = Many::with(["up"]);
    let nginx = Nginx::start(&many.env.path(""));
    let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let entries: Vec<String> = names.iter().map(|name| entry(name, nginx.url("up/.git"), "")).collect();
    let _running = many.spawn(file("", "period: 500ms", &entries));
    eventually("all", || names.iter().all(|name| many.published(name).is_some()).then_some(()));
    let before = nginx.requests().len();
    eventually("more polls", || (nginx.requests().len() >= before + 100).then_some(()));
    let requests = nginx.requests();
    let ports: BTreeSet<&str> = requests[before..].iter().filter_map(|line| line.split(' ').next()).collect();
    tell(&format!("{} requests over {} connections", requests.len() - before, ports.len()));
    assert!(ports.len() <= 20, "{ports:?}");
}

#[test]
fn a_server_that_is_gone_disturbs_only_its_own_repositories() {
    let (many, [up]) = Many::with(["up"]);
    let nginx = Nginx::start(&many.env.path(""));
    let daemon = GitDaemon::start(&many.env.path(""));
    let entries = [
        entry("web", nginx.url("up/.git"), ""),
        entry("daemon", daemon.url("up/.git"), ""),
        entry("other", daemon.url("up/.git"), ""),
    ];
    let running = many.spawn(file("", "period: 50ms", &entries));
    for name in ["web", "daemon", "other"] {
        many.wait_for(name, &up.head());
    }
    let old = up.head();
    drop(daemon);
    for name in ["daemon", "other"] {
        wait_for(&running, name, "sync failed");
    }
    let commit = up.commit(&[("file", "two\n")]);
    many.wait_for("web", &commit);
    assert_eq!(many.published("daemon"), Some(old));
    assert_eq!(count(&running, "web", "sync failed"), 0);
}
