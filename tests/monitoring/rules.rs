//! The alerts.

use std::fs;

use serde_json::Value;

use crate::support::manifests::{deployed, parse, read};
use crate::support::monitoring::promtool;
use crate::support::text;

const FILES: [&str; 2] = ["syncline.rules.yaml", "content-age.rules.yaml"];

fn rules(file: &str) -> Value {
    parse(&fs::read_to_string(deployed(&format!("../prometheus/{file}"))).unwrap()).remove(0)
}

/// All alerts of both files.
fn alerts() -> Vec<Value> {
    let groups = FILES.into_iter().flat_map(|file| rules(file)["groups"].as_array().unwrap().clone());
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/monitoring/rules.test.yaml");
    assert!(promtool(&["test", "rules", tests], "").contains("SUCCESS"));
    let tested = fs::read_to_string(tests).unwrap();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let times =
            tested.lines().filter(|line| line.trim_end_matches('}').ends_with(&format!("alertname: {name}")));
        assert!(times.count() >= 2, "{name} must fire in one test, and not in another");
    }
}

#[test]
fn each_alert_has_a_section_that_says_what_to_do() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md")).unwrap();
    let alerts = alerts();
    assert!(alerts.len() >= 11, "{}", alerts.len());
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(guide.contains(&format!("\n### {name}\n")), "{name}");
        let link = format!("docs/operating.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], link, "{name}");
    }
}

#[test]
fn the_operators_object_has_the_same_alerts_as_the_plain_file() {
    let object = read(&deployed("monitoring/prometheusrule.yaml")).remove(0);
    assert_eq!(object["kind"], "PrometheusRule");
    assert_eq!(object["spec"], rules(FILES[0]));
}

/// A sidecar has no Service, so the pods' own ports are scraped.
#[test]
fn every_container_that_serves_metrics_has_the_port_that_the_pod_monitor_names() {
    let monitor = read(&deployed("monitoring/podmonitor.yaml")).remove(0);
    let port = &monitor["spec"]["podMetricsEndpoints"][0]["port"];
    let mut found = 0;
    for dir in
        fs::read_dir(deployed("")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let shown = text(file.as_os_str().as_encoded_bytes());
            if !shown.ends_with(".yaml") || !fs::read_to_string(&file).unwrap().contains("GITSYNC_HTTP_BIND")
            {
                continue;
            }
            for object in read(&file) {
                for container in containers(&object) {
                    let is_set = |name: &str| container["env"].to_string().contains(name);
                    let is_served =
                        is_set("GITSYNC_HTTP_BIND") && !container["args"].to_string().contains("--one-time");
                    if is_served {
                        assert_eq!(container["ports"][0]["name"], *port, "{shown}");
                        assert!(is_set("GITSYNC_HTTP_METRICS"), "{shown}");
                        found += 1;
                    }
                }
            }
        }
    }
    assert!(found >= 10, "{found}");
}

fn containers(object: &Value) -> Vec<Value> {
    let pod = &object["spec"]["template"]["spec"];
    let of = |kind: &str| pod[kind].as_array().cloned().unwrap_or_default();
    [of("initContainers"), of("containers")].concat()
}
