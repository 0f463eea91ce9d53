//! The dashboard, and that what rules and dashboard name is on real pages.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::receive::scene::{Scene, recorded};
use crate::support::manifests::deployed;
use crate::support::many::{Many, entry, file};
use crate::support::monitoring::promtool;
use crate::support::relay::{feeder, follower, wait_for_commit};
use crate::support::*;

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(deployed("monitoring/syncline.json")).unwrap()).unwrap()
}

/// All panels, those in collapsed rows, too.
fn panels(of: &Value) -> Vec<Value> {
    let panels = of["panels"].as_array().cloned().unwrap_or_default();
    panels.into_iter().flat_map(|panel| [panels_of_row(&panel), vec![panel]].concat()).collect()
}

fn panels_of_row(row: &Value) -> Vec<Value> {
    row["panels"].as_array().cloned().unwrap_or_default()
}

fn queries() -> Vec<String> {
    let panels = panels(&dashboard());
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_takes() {
    let queries = queries();
    assert!(queries.len() >= 25, "{}", queries.len());
    let rules = queries.iter().enumerate().map(|(number, query)| {
        json!({ "record": format!("query:{number}"), "expr": query.replace("$__rate_interval", "5m") })
    });
    let rules = json!({ "groups": [{ "name": "queries", "rules": rules.collect::<Value>() }] });
    let env = Env::new();
    let path = env.path("rules.yaml");
    fs::write(&path, rules.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()], "");
}

#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39 && dashboard["uid"] == "syncline");
    assert!(dashboard.get("id").is_none(), "an id would be another server's");
    let panels = panels(&dashboard);
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "namespace", "job", "pod", "repo"]);
}

/// All names of our metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_ours = |word: &&str| {
        ["syncline_", "git_sync_", "process_"].iter().any(|prefix| word.starts_with(prefix))
            && *word != "git_sync_"
    };
    words.filter(is_ours).map(ToOwned::to_owned).collect()
}

/// The names of the samples of a page.
fn samples(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// Of a feeder with hooks, which takes push hooks.
fn page_of_a_feeder(relay: &str) -> (Scene, Running, String) {
    let scene = Scene::new();
    let hook = scene.env.path("hook");
    write_program(&hook, "#!/bin/sh\n");
    let listening = scene.listening(&scene.env.path("secret").display().to_string());
    let program = feeder(&scene.env, "root", &scene.nginx.url("up/.git"), relay);
    let program = listening.iter().fold(program, |program, option| program.arg(option));
    let program = program
        .arg("--receive-alias=https://github.com/example/site")
        .arg("--period=1h")
        .arg(format!("--exechook-command={}", hook.display()));
    let running = scene.spawn(program);
    let commit = scene.repo.commit(&[("file", "two\n")]);
    assert_eq!(scene.post_signed(&[("X-GitHub-Event", "push")], recorded("github-push", &commit)).0, 202);
    scene.wait_for_metric("syncline_push_to_published_seconds_count", 1.0);
    scene.wait_for_metric("git_sync_hook_run_count_total{name=\"exechook\",status=\"success\"}", 1.0);
    let page = get(scene.http, "/metrics").1;
    (scene, running, page)
}

fn page_of_a_follower(relay: &str, commit: &str) -> String {
    let (env, port) = (Env::new(), free_port());
    let _running = follower(&env, "root", relay)
        .arg(format!("--http-bind=127.0.0.1:{port}"))
        .arg("--http-metrics")
        .spawn();
    wait_for_commit(&env, "root", commit);
    eventually("the lag", || {
        Some(get(port, "/metrics").1).filter(|page| page.contains("\nsyncline_relay_lag_seconds "))
    })
}

fn page_of_many() -> String {
    let (many, [good]) = Many::with(["good"]);
    let large = many.env.lfs_repo("large");
    let port = free_port();
    let process =
        format!("http-bind: '127.0.0.1:{port}'\nhttp-metrics: true\ngroups: {{all: {{members: [good]}}}}");
    let entries = [entry("good", good.url(), ""), entry("large", large.url(), "lfs: 'on'")];
    let _running = many.spawn(file(&process, "period: 50ms", &entries));
    many.wait_for("good", &good.head());
    many.wait_for("large", &large.head());
    eventually("objects of LFS", || {
        Some(get(port, "/metrics").1).filter(|page| page.contains("syncline_lfs_received_bytes_total{"))
    })
}

#[test]
fn what_rules_and_dashboard_name_is_on_real_pages() {
    let shelf = Env::new();
    let relay = format!("file://{}", shelf.path("relay").display());
    let (scene, _running, fed) = page_of_a_feeder(&relay);
    let pages = [page_of_a_follower(&relay, &scene.repo.head()), fed, page_of_many()];
    for page in &pages {
        promtool(&["check", "metrics"], page);
    }
    let there: BTreeSet<String> = pages.iter().flat_map(|page| samples(page)).collect();
    let rules = ["syncline.rules.yaml", "content-age.rules.yaml"]
        .map(|file| fs::read_to_string(deployed(&format!("../prometheus/{file}"))).unwrap());
    let texts = rules.into_iter().chain(queries());
    let missing: Vec<String> =
        texts.flat_map(|text| named(&text)).filter(|name| !there.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let reference = Syncline::new().arg("generate").arg("metrics").run().stdout;
    for name in &there {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_documented = |name: &str| reference.contains(&format!("| `{name}` |"));
        assert!(is_documented(name) || family.is_some_and(is_documented), "{name}");
    }
}
