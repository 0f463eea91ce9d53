//! Policies in `deploy/kubernetes` that add the sidecar to annotated pods.

use serde_json::{Value, json};

use crate::support::manifests::{deployed, parse, read};

/// What the annotations of an example come to.
const VARIABLES: [(&str, &str); 7] = [
    ("GITSYNC_REPO", "REPO"),
    ("GITSYNC_REF", "REF"),
    ("GITSYNC_PERIOD", "PERIOD"),
    ("GITSYNC_ROOT", "/git"),
    ("GITSYNC_LINK", "current"),
    ("GITSYNC_HTTP_BIND", ":8090"),
    ("GITSYNC_HTTP_METRICS", "true"),
];

/// The container that the Kustomize component adds, told by variables what to sync.
fn container_of_the_component() -> Value {
    let mut container =
        read(&deployed("component/sidecar.yaml"))[0]["spec"]["template"]["spec"]["initContainers"][0].take();
    container.as_object_mut().unwrap().remove("envFrom");
    container["env"] = VARIABLES.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    container
}

/// CEL writes objects as YAML's flow style does, but for the names of their types.
fn object_of_cel(expression: &str) -> Value {
    let (mut yaml, mut rest) = (String::new(), expression);
    while let Some((before, after)) = rest.split_once("Object") {
        yaml.push_str(before);
        rest = after.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '.');
        assert!(rest.starts_with('{'), "{rest}");
    }
    yaml.push_str(rest);
    parse(&yaml).remove(0)
}

#[test]
fn the_admission_policy_adds_the_sidecar_of_the_component() {
    let policy = &read(&deployed("admission-policy/policy.yaml"))[0];
    let expression = policy["spec"]["mutations"][0]["applyConfiguration"]["expression"].as_str().unwrap();
    let expression = expression
        .replace(r#"object.metadata.annotations["syncline/repo"]"#, "REPO")
        .replace("variables.ref", "REF")
        .replace("variables.period", "PERIOD");
    let added = object_of_cel(&expression);
    assert_eq!(added, json!({"spec": {"initContainers": [container_of_the_component()]}}));
}

#[test]
fn the_policy_of_kyverno_adds_the_sidecar_of_the_component() {
    let policy = &mut read(&deployed("kyverno/policy.yaml"))[0];
    let mut added = policy["spec"]["rules"][0]["mutate"]["patchStrategicMerge"].take();
    for variable in added["spec"]["initContainers"][0]["env"].as_array_mut().unwrap() {
        let value = variable["value"].as_str().unwrap();
        for (annotation, stands_for) in [("repo", "REPO"), ("ref", "REF"), ("period", "PERIOD")] {
            if value.contains(&format!(r#"request.object.metadata.annotations."syncline/{annotation}""#)) {
                variable["value"] = stands_for.into();
                break;
            }
        }
    }
    assert_eq!(added, json!({"spec": {"initContainers": [container_of_the_component()]}}));
}

/// A template that mounts a volume without naming it is refused before any policy sees a pod.
#[test]
fn the_examples_name_the_volume_that_the_sidecar_mounts() {
    for policy in ["admission-policy", "kyverno"] {
        let objects = read(&deployed(&format!("{policy}/example.yaml")));
        let template =
            &objects.iter().find(|object| object["kind"] == "Deployment").unwrap()["spec"]["template"];
        assert!(template["metadata"]["annotations"]["syncline/repo"].is_string(), "{policy}");
        assert_eq!(template["spec"]["volumes"][0]["name"], "syncline", "{policy}");
        assert_eq!(template["spec"]["containers"][0]["volumeMounts"][0]["name"], "syncline", "{policy}");
        assert_eq!(template["spec"]["initContainers"], Value::Null, "{policy}");
    }
}
