//! Kubernetes manifests: reading them, and the little that podman 4.3 wants otherwise.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::skip;

/// The manifests that are delivered.
pub fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes").join(name)
}

/// helm or kubectl; `None` where scripts/install-kube-tools did not run, which is said.
#[track_caller]
pub fn kube_tool(name: &str) -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kube-tools/bin").join(name);
    if !tool.exists() {
        skip("there is no helm and no kubectl: run scripts/install-kube-tools");
        return None;
    }
    Some(tool)
}

/// The objects in a file of YAML.
pub fn read(file: &Path) -> Vec<Value> {
    parse(&fs::read_to_string(file).unwrap())
}

pub fn parse(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml_ng::Deserializer::from_str(text).map(|object| Value::deserialize(object).unwrap()).collect()
}

/// A container that the kubelet starts before those of the application, and waits for.
pub struct Sidecar {
    pub name: String,
    pub startup_probe: String,
}

/// What podman is to play, and what the kubelet would do beside it.
pub struct Play {
    pub text: String,
    pub sidecars: Vec<Sidecar>,
    /// The readiness and liveness probes that run a program, with their containers.
    pub probes: Vec<(String, String)>,
}

/// podman 4.3 knows no native sidecars: they become ordinary containers, which the test starts first. It runs probes
/// by a shell that our image has not, and only where there is systemd: the test runs them. It starts init containers
/// again and again but in pods that are never restarted. It gives secrets out encoded, so that they are made maps of
/// configuration. It maps ports, which nobody here needs, and knows nothing of services.
pub fn for_podman(mut objects: Vec<Value>) -> Play {
    let mut play = Play { text: String::new(), sidecars: Vec::new(), probes: Vec::new() };
    objects.retain(|object| object["kind"] != "Service");
    for object in &mut objects {
        match object["kind"].as_str().unwrap() {
            "Secret" => {
                object["kind"] = json!("ConfigMap");
                object["data"] = remove(object, "stringData");
            }
            "Deployment" => {
                object["spec"]["replicas"] = json!(1); // all pods here have the same ports
                play.take_over(&mut object["spec"]["template"]["spec"]);
            }
            "Pod" => play.take_over(&mut object["spec"]),
            _ => {}
        }
    }
    play.text = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    play
}

impl Play {
    fn take_over(&mut self, pod: &mut Value) {
        for volume in pod["volumes"].as_array_mut().unwrap() {
            if let Value::Object(secret) = remove(volume, "secret") {
                volume["configMap"] = json!({ "name": secret["secretName"] });
            }
        }
        let first = remove(pod, "initContainers");
        let first = first.as_array().cloned().unwrap_or_default();
        let (sidecars, init): (Vec<Value>, Vec<Value>) =
            first.into_iter().partition(|container| container["restartPolicy"] == "Always");
        let mut containers = sidecars;
        for sidecar in &mut containers {
            remove(sidecar, "restartPolicy");
            self.sidecars.push(Sidecar {
                name: sidecar["name"].as_str().unwrap().to_owned(),
                startup_probe: program_of(&sidecar["startupProbe"]).expect("a sidecar has a startup probe"),
            });
        }
        containers.extend(pod["containers"].as_array().unwrap().iter().cloned());
        for container in &mut containers {
            let name = container["name"].as_str().unwrap().to_owned();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let program = program_of(&remove(container, probe));
                self.probes.extend(program.map(|program| (name.clone(), program)));
            }
            remove(container, "ports");
        }
        pod["containers"] = containers.into();
        if !init.is_empty() {
            pod["restartPolicy"] = json!("Never");
            pod["initContainers"] = init.into();
        }
    }
}

/// Take a field out; null if there is none.
fn remove(object: &mut Value, field: &str) -> Value {
    object.as_object_mut().unwrap().remove(field).unwrap_or_default()
}

/// The words of its command, of which none has a space.
fn program_of(probe: &Value) -> Option<String> {
    let words: Vec<&str> =
        probe["exec"]["command"].as_array()?.iter().map(|word| word.as_str().unwrap()).collect();
    Some(words.join(" "))
}
