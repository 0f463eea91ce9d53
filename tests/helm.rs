//! The charts in `deploy/helm`, rendered by the real helm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::manifests::assert_fits_the_api;
use crate::support::manifests::{deployed, kube_tool, parse, read};
use crate::support::pods::Done;
use crate::support::*;

const EXAMPLES: [&str; 3] = ["node", "feeder", "site"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn rendered(example: &str) -> PathBuf {
    here(&format!("deploy/helm/examples/{example}/rendered.yaml"))
}

/// All objects of all examples.
fn objects() -> Vec<Value> {
    EXAMPLES.iter().flat_map(|example| read(&rendered(example))).collect()
}

/// A copy of the charts with what they depend on, and helm.
struct Charts {
    helm: PathBuf,
    dir: PathBuf,
}

impl Charts {
    #[track_caller]
    fn copy(env: &Env) -> Option<Charts> {
        let charts = Charts { helm: kube_tool("helm")?, dir: env.path("helm") };
        Command::new("cp").arg("-r").arg(here("deploy/helm")).arg(&charts.dir).done();
        for chart in ["syncline", "examples/site"] {
            charts.helm(&["dependency", "build", charts.at(chart).to_str().unwrap()]).done();
        }
        Some(charts)
    }

    fn at(&self, chart: &str) -> PathBuf {
        self.dir.join(chart)
    }

    fn helm(&self, args: &[&str]) -> Command {
        let mut helm = Command::new(&self.helm);
        for home in ["CACHE", "CONFIG", "DATA"] {
            helm.env(format!("HELM_{home}_HOME"), self.dir.join(home));
        }
        helm.args(args);
        helm
    }

    /// What helm says of values that it refuses.
    #[track_caller]
    fn refusal(&self, chart: &str, values: &str) -> String {
        let chart = self.at(chart);
        let output =
            self.helm(&["template", "x", chart.to_str().unwrap(), "--set", values]).output().unwrap();
        assert!(!output.status.success(), "{values}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

#[test]
fn charts_render_as_the_examples_that_are_kept() {
    if kube_tool("helm").is_none() {
        return;
    }
    let env = Env::new();
    Command::new(here("scripts/render-charts")).arg(env.path("")).done();
    for example in EXAMPLES {
        let now = fs::read_to_string(env.path(&format!("{example}.yaml"))).unwrap();
        let kept = fs::read_to_string(rendered(example)).unwrap();
        assert_eq!(now, kept, "{example}: run scripts/render-charts");
    }
}

#[test]
fn charts_pass_helms_own_checks() {
    let env = Env::new();
    let Some(charts) = Charts::copy(&env) else { return };
    for chart in ["syncline-library", "syncline", "examples/site"] {
        charts.helm(&["lint", "--strict", charts.at(chart).to_str().unwrap()]).done();
    }
}

#[test]
fn values_that_would_do_nothing_or_harm_are_refused() {
    let env = Env::new();
    let Some(charts) = Charts::copy(&env) else { return };
    for (chart, values, said) in [
        ("syncline", "nodes.enabled=true", "additional properties 'nodes' not allowed"),
        ("syncline", "node.enabled=maybe", "/node/enabled"),
        ("syncline", "node.enabled=true", "/node/config/repos"),
        ("syncline", "feeder.enabled=true", "'relay-url'"),
        ("syncline", "feeder.options.Ref=main", "invalid propertyName 'Ref'"),
        ("examples/site", "syncline.option=x", "there is no parameter option"),
        ("examples/site", "syncline.image=", "give the image"),
        ("examples/site", "syncline.options.password=x", "the option password is a secret"),
        ("examples/site", "syncline.options.exechook-arg={a}", "exechook-arg must be a text"),
    ] {
        let refusal = charts.refusal(chart, values);
        assert!(refusal.contains(said), "{values}: {refusal}");
    }
}

#[test]
fn what_the_charts_render_fits_the_api() {
    let objects = objects();
    objects.iter().for_each(assert_fits_the_api);
    let is_of_prometheus = |object: &&Value| object["apiVersion"] == "monitoring.coreos.com/v1";
    let [pods, rules] = &objects.iter().filter(is_of_prometheus).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((&pods["kind"], &rules["kind"]), (&"PodMonitor".into(), &"PrometheusRule".into()));
    assert_eq!(pods["spec"]["podMetricsEndpoints"][0]["port"], "syncline");
    // The pods that it selects have that port.
    let node = objects.iter().find(|object| object["kind"] == "DaemonSet").unwrap();
    let labels = &node["spec"]["template"]["metadata"]["labels"];
    for (label, value) in pods["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels[label], *value, "{label}");
    }
    assert_eq!(node["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"], "syncline");
    let alerts = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(alerts.iter().all(|alert| alert["expr"].is_string()) && !alerts.is_empty(), "{rules}");
}

/// Containers of syncline, with the settings of their pods.
fn synclines(objects: &[Value]) -> Vec<(&Value, &Value)> {
    let mut found = Vec::new();
    for object in objects {
        let pod = &object["spec"]["template"]["spec"];
        for kind in ["initContainers", "containers"] {
            let containers = pod[kind].as_array().into_iter().flatten();
            let is_ours = |container: &&Value| container["image"].as_str().unwrap().contains("/syncline:");
            found.extend(containers.filter(is_ours).map(|container| (pod, container)));
        }
    }
    found
}

/// The manifests say how far a container is confined; a chart that differs has lost something.
#[test]
fn charts_confine_containers_as_the_manifests_do() {
    let same = |chart: &str, manifest: &str| {
        let (chart, manifest) = (read(&rendered(chart)), read(&deployed(manifest)));
        let (pod, container) = synclines(&manifest)[0];
        for (ours, our_container) in synclines(&chart) {
            assert_eq!(ours["securityContext"], pod["securityContext"]);
            for (setting, value) in container["securityContext"].as_object().unwrap() {
                assert_eq!(our_container["securityContext"][setting], *value, "{setting}");
            }
            assert_eq!(our_container["livenessProbe"], container["livenessProbe"]);
            assert_eq!(our_container["resources"], container["resources"]);
        }
    };
    same("node", "node/daemonset.yaml");
    same("feeder", "relay/feeder.yaml");
    let site = read(&rendered("site"));
    let [once, beside, native] = synclines(&site)[..] else { panic!("{site:?}") };
    let component = read(&deployed("component/sidecar.yaml"));
    let model = synclines(&component)[0].1;
    for (_, container) in [once, beside, native] {
        assert_eq!(container["securityContext"], model["securityContext"]);
        assert_eq!(container["resources"], model["resources"]);
    }
    assert_eq!(native.1["startupProbe"], model["startupProbe"]);
    assert_eq!((&native.1["restartPolicy"], &once.1["restartPolicy"]), (&"Always".into(), &Value::Null));
    assert_eq!(beside.1["livenessProbe"], model["livenessProbe"]);
    assert_eq!(once.1["livenessProbe"], Value::Null);
}

#[test]
fn the_options_of_the_charts_are_ones_that_syncline_takes() {
    let env = Env::new();
    let objects = objects();
    let lists = objects.iter().filter_map(|object| object["data"]["config.yaml"].as_str());
    let path = env.path("config.yaml");
    assert_eq!(lists.clone().count(), 1);
    for list in lists {
        fs::write(&path, list).unwrap();
        Command::new(binary()).arg("--config").arg(&path).arg("--config-check").done();
    }
    for (_, container) in synclines(&objects) {
        let mut program = Syncline::new();
        for variable in container["env"].as_array().unwrap() {
            let (name, value) = (variable["name"].as_str().unwrap(), variable["value"].as_str());
            let value = if name == "GITSYNC_CONFIG" { path.to_str() } else { value };
            program = program.env(name, value.unwrap_or("a secret"));
        }
        // All faults are reported together, and names that are no options: so this must be the only one.
        let log = program.arg("--depth=x").run().stderr;
        let faults: Vec<&str> = log.lines().filter(|line| line.starts_with("syncline: ")).collect();
        assert!(faults.len() == 1 && faults[0].contains("--depth: "), "{faults:?}");
    }
}

#[test]
fn charts_name_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for chart in ["syncline-library", "syncline"] {
        let chart = &read(&here(&format!("deploy/helm/{chart}/Chart.yaml")))[0];
        assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
        for dependency in chart["dependencies"].as_array().into_iter().flatten() {
            assert_eq!(dependency["version"], version);
        }
    }
}

#[test]
fn the_chart_has_the_alert_rules_that_are_delivered() {
    let delivered = here("deploy/prometheus/syncline.rules.yaml");
    let of_chart = fs::read_to_string(here("deploy/helm/syncline/files/syncline.rules.yaml")).unwrap();
    let groups = &parse(&of_chart)[0]["groups"];
    assert!(groups.as_array().is_some_and(|groups| !groups.is_empty()), "{of_chart}");
    if delivered.exists() {
        assert_eq!(of_chart, fs::read_to_string(delivered).unwrap(), "run scripts/render-charts");
    }
}

/// Each value, by its path; what users fill in themselves counts as one.
fn paths(values: &Value, path: &str, found: &mut Vec<String>) {
    match values.as_object() {
        Some(map) if !map.is_empty() && !path.ends_with(".resources") && !path.ends_with(".defaults") => {
            for (key, value) in map {
                paths(value, &format!("{path}.{key}"), found);
            }
        }
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

#[test]
fn the_readme_explains_every_value() {
    let readme = fs::read_to_string(here("deploy/helm/syncline/README.md")).unwrap();
    let mut found = Vec::new();
    paths(&read(&here("deploy/helm/syncline/values.yaml"))[0], "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in &found {
        assert!(readme.contains(&format!("| `{path}` |")), "{path}");
    }
    let rows = readme.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, found.len(), "a row explains what is no value");
}
