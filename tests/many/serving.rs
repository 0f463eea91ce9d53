//! What the HTTP server, the health check and the service manager are told of many repositories.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::many::{Many, entry, file, page, wait_for};
use crate::support::monitoring::promtool;
use crate::support::*;

fn process(port: u16) -> String {
    format!(
        "http-bind: '127.0.0.1:{port}'\nhttp-metrics: true\ngroups: {{all: {{members: [good, late], settle: 50ms}}}}"
    )
}

#[test]
fn probes_name_the_required_repositories_that_are_not_ready() {
    let (many, [good, late, optional]) = Many::with(["good", "late", "optional"]);
    let away =
        |name: &str| std::fs::rename(many.env.path(name), many.env.path(&format!("{name}-away"))).unwrap();
    ["late", "optional"].into_iter().for_each(away);
    let port = free_port();
    let entries = [
        entry("good", good.url(), ""),
        entry("late", late.url(), ""),
        entry("optional", optional.url(), "required: false"),
    ];
    let socket = many.env.path("manager");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let told = || {
        let mut buffer = [0; 1000];
        std::iter::from_fn(|| manager.recv(&mut buffer).ok().map(|length| text(&buffer[..length])))
            .collect::<Vec<_>>()
    };
    let settings = format!("http-bind: '127.0.0.1:{port}'");
    many.write(file(&settings, "period: 50ms", &entries));
    let running = many.syncline().env("NOTIFY_SOCKET", &socket).spawn();
    wait_for(&running, "good", "published");
    wait_for(&running, "late", "sync failed");
    wait_for(&running, "optional", "sync failed");
    for path in ["/", "/readyz"] {
        let (status, said) = get(port, path);
        assert!(status == 503 && said.starts_with("late: nothing was synced yet"), "{path}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    eventually("readiness", || (get(port, "/readyz/good").0 == 200).then_some(()));
    assert_eq!(get(port, "/readyz/optional").0, 503);
    assert_eq!(get(port, "/readyz/unknown").0, 404);
    assert!(!told().contains(&"READY=1".to_owned()), "one that is required is not there yet");
    let health =
        |path: &str| Syncline::new().arg("healthcheck").arg(path).arg("--config").arg(many.file()).run();
    assert_eq!(health("/readyz/good").code, Some(0));
    assert_eq!(health("/readyz").code, Some(1));

    std::fs::rename(many.env.path("late-away"), &late.path).unwrap();
    many.wait_for("late", &late.head());
    eventually("readiness", || (get(port, "/readyz").0 == 200).then_some(()));
    assert_eq!(get(port, "/").0, 200);
    eventually("READY=1", || told().contains(&"READY=1".to_owned()).then_some(()));
    assert_eq!(health("/readyz").code, Some(0));
    let status = page(port, "/status");
    for (name, state, required) in
        [("good", "ok", true), ("late", "ok", true), ("optional", "failing", false)]
    {
        let shown = &status["repos"][name];
        assert_eq!((shown["state"].as_str(), shown["required"].as_bool()), (Some(state), Some(required)));
    }
    assert_eq!(page(port, "/status/good")["published"]["commit"], good.head());
}

#[test]
fn every_sample_of_a_repository_has_its_name_and_none_has_one_without_a_file() {
    let (many, [good, late]) = Many::with(["good", "late"]);
    let port = free_port();
    let entries = [entry("good", good.url(), ""), entry("late", late.url(), "")];
    let _running = many.spawn(file(&process(port), "period: 50ms", &entries));
    many.wait_for("good", &good.head());
    many.wait_for("late", &late.head());
    // The links come before the states.
    let is_ok = |name: &str| page(port, "/status")["repos"][name]["state"] == "ok";
    eventually("both", || (is_ok("good") && is_ok("late")).then_some(()));
    let page = get(port, "/metrics").1;
    let samples = |page: &str| {
        page.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let own = ["process_", "syncline_build_", "syncline_config_last_", "syncline_passes_", "syncline_group_"];
    let (others, of_repos): (Vec<_>, Vec<_>) =
        samples(&page).into_iter().partition(|line| own.iter().any(|own| line.starts_with(own)));
    for line in &of_repos {
        assert!(line.contains("{repo=\"good\"") || line.contains("{repo=\"late\""), "{line}");
    }
    assert!(others.iter().all(|line| !line.contains("repo=")), "{others:?}");
    assert!(page.contains("syncline_repo_state{repo=\"good\",state=\"ok\"} 1\n"), "{page}");
    assert!(page.contains("syncline_group_flips_total{group=\"all\"} 1\n"), "{page}");
    let lines = page.lines().map(|line| Ok(line.to_owned()));
    let parsed = prometheus_parse::Scrape::parse(lines).unwrap();
    assert!(parsed.samples.len() > of_repos.len() / 2);
    promtool(&["check", "metrics"], &page);
    let heads = |page: &str| {
        page.lines().filter(|line| line.starts_with("# TYPE")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let unique: BTreeSet<_> = heads(&page).into_iter().collect();
    assert_eq!(unique.len(), heads(&page).len(), "each family is shown once");

    let (alone, url) = (free_port(), good.url().to_owned());
    let single = Syncline::new().arg("--repo").arg(url).arg("--root").arg(many.env.path("alone"));
    let single = single.arg(format!("--http-bind=127.0.0.1:{alone}")).arg("--http-metrics").spawn();
    single.wait_for("published");
    let page = get(alone, "/metrics").1;
    assert!(
        !page.contains("repo=") && !page.contains("_repo_state") && !page.contains("syncline_config_last_"),
        "{page}"
    );
}

#[test]
fn changes_are_told_of_one_repository_or_group() {
    let (many, [good, late]) = Many::with(["good", "late"]);
    let port = free_port();
    let entries = [entry("good", good.url(), ""), entry("late", late.url(), "")];
    let _running = many.spawn(file(&process(port), "period: 50ms", &entries));
    many.wait_for("good", &good.head());
    let first = page(port, "/v1/changes?group=all&timeout=20");
    assert_eq!(first["members"]["good"], good.head());
    let generation = first["generation"].as_str().unwrap();
    let before = good.head();
    let waits =
        std::thread::spawn(move || page(port, &format!("/v1/changes?repo=good&after={before}&timeout=30")));
    let after = format!("/v1/changes?group=all&after={generation}&timeout=30");
    let group = std::thread::spawn(move || page(port, &after));
    std::thread::sleep(Duration::from_millis(100)); // both wait by now, or are answered at once
    let commit = good.commit(&[("file", "two\n")]);
    assert_eq!(waits.join().unwrap()["commit"], commit);
    assert_eq!(group.join().unwrap()["members"]["good"], commit);
    for (query, status) in
        [("", 400), ("?repo=unknown", 404), ("?group=unknown", 404), ("?repo=good&after=x", 400)]
    {
        assert_eq!(get(port, &format!("/v1/changes{query}")).0, status, "{query}");
    }
}
