//! What `deploy/kubernetes` holds fits the API, and does what it says: podman plays it with the image that ships.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use k8s_openapi::api::{admissionregistration::v1alpha1 as admission, apps::v1 as apps, core::v1 as core};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::manifests::{deployed, for_podman, kube_tool, parse, read};
use crate::support::pods::{CONSUMER, Done, Pods, SYNCLINE};
use crate::support::*;

/// Every file of objects, leaving out what only Kustomize reads.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&deployed(""), &mut |path| {
        let is_object = path.extension().is_some_and(|extension| extension == "yaml")
            && !path.ends_with("kustomization.yaml")
            && !path.ends_with("component/sidecar.yaml");
        files.extend(is_object.then(|| path.to_owned()));
    });
    files
}

/// A field that the API does not know would get lost.
fn assert_fits<T: Serialize + DeserializeOwned>(object: &Value) {
    let known: T = serde_json::from_value(object.clone()).unwrap_or_else(|err| panic!("{err} in {object}"));
    assert_eq!(serde_json::to_value(known).unwrap(), *object);
}

pub fn assert_fits_the_api(object: &Value) {
    match (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()) {
        ("apps/v1", "DaemonSet") => assert_fits::<apps::DaemonSet>(object),
        ("apps/v1", "Deployment") => assert_fits::<apps::Deployment>(object),
        ("apps/v1", "StatefulSet") => assert_fits::<apps::StatefulSet>(object),
        ("v1", "ConfigMap") => assert_fits::<core::ConfigMap>(object),
        ("v1", "Namespace") => assert_fits::<core::Namespace>(object),
        ("v1", "Secret") => assert_fits::<core::Secret>(object),
        ("v1", "Service") => assert_fits::<core::Service>(object),
        ("admissionregistration.k8s.io/v1", kind) => assert_fits_the_alpha(object, kind),
        ("monitoring.coreos.com/v1", kind) => assert_fits_the_operator(object, kind),
        // It has no types in Rust.
        ("kyverno.io/v1", "ClusterPolicy") => {}
        other => panic!("{other:?} is not known here"),
    }
}

/// These became stable after the version that is known here, as they were.
fn assert_fits_the_alpha(object: &Value, kind: &str) {
    let mut object = object.clone();
    object["apiVersion"] = "admissionregistration.k8s.io/v1alpha1".into();
    match kind {
        "MutatingAdmissionPolicy" => assert_fits::<admission::MutatingAdmissionPolicy>(&object),
        "MutatingAdmissionPolicyBinding" => assert_fits::<admission::MutatingAdmissionPolicyBinding>(&object),
        other => panic!("{other} is not known here"),
    }
}

/// The fields that Prometheus Operator knows, of those that are used here.
fn assert_fits_the_operator(object: &Value, kind: &str) {
    let spec = &object["spec"];
    let (known, inner, known_inner): (&[&str], _, &[&str]) = match kind {
        "PodMonitor" => {
            let endpoints = &["port", "path", "interval", "scrapeTimeout"];
            (
                &["namespaceSelector", "selector", "podMetricsEndpoints"],
                &spec["podMetricsEndpoints"],
                endpoints,
            )
        }
        "PrometheusRule" => (&["groups"], &spec["groups"], &["name", "rules", "interval"]),
        other => panic!("{other} is not known here"),
    };
    let items = inner.as_array().unwrap().iter().map(|item| (item, known_inner));
    for (object, known) in items.chain([(spec, known)]) {
        let fields: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!fields.is_empty() && fields.iter().all(|field| known.contains(field)), "{fields:?}");
    }
}

#[test]
fn manifests_fit_the_api() {
    let files = files();
    assert!(files.len() > 5, "{files:?}");
    files.iter().flat_map(|file| read(file)).for_each(|object| assert_fits_the_api(&object));
}

#[test]
fn manifests_name_this_version() {
    let mut names = 0;
    for file in files().into_iter().chain([deployed("component/sidecar.yaml")]) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.contains("/syncline:")) {
            let line = line.trim_end_matches(['"', ',']);
            assert!(line.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{}: {line}", file.display());
            names += 1;
        }
    }
    assert!(names > 5, "{names}");
}

/// Each list of repositories is one that syncline takes, and a container is told where it is.
#[test]
fn config_maps_list_repositories_without_a_fault() {
    let env = Env::new();
    let files = files();
    let objects: Vec<(&PathBuf, Value)> =
        files.iter().flat_map(|file| read(file).into_iter().map(move |object| (file, object))).collect();
    let lists = objects.iter().filter(|(_, object)| object["data"]["config.yaml"].is_string());
    let lists: Vec<_> = lists.collect();
    assert!(lists.len() >= 2, "{}", lists.len());
    for (file, list) in lists {
        let path = env.path("config.yaml");
        fs::write(&path, list["data"]["config.yaml"].as_str().unwrap()).unwrap();
        Command::new(binary()).arg("--config").arg(&path).arg("--config-check").done();
        let mut beside = objects.iter().filter(|(other, _)| other.parent() == file.parent());
        let is_mounted = |(_, object): &(&PathBuf, Value)| {
            let text = object.to_string();
            let name = json!({ "name": list["metadata"]["name"] });
            text.contains(&format!(r#""configMap":{name}"#))
                && text.contains(r#""mountPath":"/etc/syncline""#)
                && text.contains(r#""value":"/etc/syncline/config.yaml""#)
                && !text.contains("subPath")
        };
        assert!(beside.any(is_mounted), "{}", file.display());
    }
}

/// The objects that kubectl makes of a directory.
#[track_caller]
fn kustomized(dir: &Path) -> Option<Vec<Value>> {
    Some(parse(&Command::new(kube_tool("kubectl")?).arg("kustomize").arg(dir).done()))
}

#[test]
fn manifests_pass_through_kustomize() {
    let dirs = fs::read_dir(deployed("")).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<_> = dirs.filter(|dir| dir.is_dir() && !dir.ends_with("component")).collect();
    for dir in &dirs {
        for kustomization in read(&dir.join("kustomization.yaml")) {
            let named = ["resources", "components"].map(|field| kustomization[field].as_array().cloned());
            let named: Vec<Value> = named.into_iter().flatten().flatten().collect();
            assert!(!named.is_empty(), "{kustomization}");
            for file in named {
                assert!(dir.join(file.as_str().unwrap()).exists(), "{}: {file}", dir.display());
            }
        }
    }
    for dir in &dirs {
        let Some(objects) = kustomized(dir) else { return };
        assert!(!objects.is_empty(), "{}", dir.display());
        objects.iter().for_each(assert_fits_the_api);
    }
}

#[test]
fn the_component_adds_the_sidecar_to_labelled_workloads_only() {
    let Some(objects) = kustomized(&deployed("component-example")) else { return };
    let first_of = |name: &str| {
        let object = objects.iter().find(|object| object["metadata"]["name"] == name).unwrap();
        object["spec"]["template"]["spec"]["initContainers"][0]["name"].clone()
    };
    assert_eq!(first_of("stateless"), "syncline");
    assert_eq!(first_of("stateful"), "syncline");
    assert_eq!(first_of("unconcerned"), Value::Null);
}

/// A manifest with the names of this place: a repository, its images, and no patience.
fn adapted(file: &str, url: &str) -> Vec<Value> {
    adapted_files(&[file], &["site", "configuration"].map(|name| (name, url.to_owned())))
}

/// The same for several files, with the URL of each repository.
fn adapted_files(files: &[&str], urls: &[(&str, String)]) -> Vec<Value> {
    let texts = files.iter().map(|file| fs::read_to_string(deployed(file)).unwrap());
    let text = texts.collect::<Vec<_>>().join("---\n");
    let version = env!("CARGO_PKG_VERSION");
    let text = urls.iter().fold(text, |text, (name, url)| {
        let text = text.replace(&format!("https://git.example.com/{name}.git"), url);
        text.replace(&format!("ssh://git@git.example.com/{name}.git"), url)
    });
    let text = text
        .replace(&format!("registry.example.com/syncline:{version}"), SYNCLINE)
        .replace("docker.io/library/busybox:1.37", CONSUMER)
        .replace("docker.io/library/nginx:1.29", CONSUMER)
        .replace("30s", "200ms");
    assert!(!text.contains("example.com") && !text.contains("docker.io"), "{text}");
    parse(&text)
}

/// Start the pods of a manifest as the kubelet does: sidecars first, and the rest when their startup probes succeed.
fn play(pods: &Pods, objects: Vec<Value>) {
    let play = for_podman(objects);
    pods.create(&play.text);
    for sidecar in &play.sidecars {
        let name = pods.container(&sidecar.name);
        pods.podman(&["start", &name]);
        await_success(pods, &name, &sidecar.startup_probe);
    }
    pods.podman(&["pod", "start", "--all"]);
    for (container, probe) in &play.probes {
        await_success(pods, &pods.container(container), probe);
    }
}

/// Until a command in a container succeeds.
fn await_success(pods: &Pods, container: &str, command: &str) {
    eventually(command, || {
        let running = pods.podman(&["inspect", "--format={{.State.Running}}", container]) == "true";
        assert!(running, "{container} ended: {}", pods.logs(container));
        pods.exec(container, &words(command)).status.success().then_some(())
    });
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

/// Let a command in a container print what it sees again and again, change something, and await the new sight. The
/// command stops when it sees neither.
fn watch_change(pods: &Pods, container: &str, command: &str, change: impl FnOnce()) -> Vec<String> {
    let shell = format!("while {command}; do :; done");
    let mut reader = pods.podman_command(&["exec", container, "sh", "-c", &shell]);
    let mut reader = reader.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("one"));
    change();
    let after = lines.by_ref().find(|line| line != "one").expect("it was seen all the time");
    let later = lines.by_ref().take(20).collect();
    assert_eq!(after, "two");
    let _ = reader.kill();
    let _ = reader.wait();
    later
}

/// The old is seen until the new is, at every moment one of them, and nothing else.
fn assert_seen_without_a_gap(pods: &Pods, container: &str, command: &str, change: impl FnOnce()) {
    assert_eq!(watch_change(pods, container, command, change), ["two"; 20]);
}

const READ: &str = "cat /content/current/version";

/// A repository of one version, served, and let through to the pods.
fn upstream(env: &Env, pods: &mut Pods) -> (Repo, Nginx) {
    let repo = env.repo("site");
    repo.commit(&[("version", "one\n")]);
    let nginx = Nginx::start(&env.path(""));
    pods.let_through(nginx.port());
    (repo, nginx)
}

#[test]
fn a_native_sidecar_has_content_ready_and_renews_it_without_a_gap() {
    assert_application_follows("native-sidecar/deployment.yaml");
}

#[test]
fn an_init_container_syncs_before_the_sidecar_and_the_application() {
    assert_application_follows("init-and-sidecar/deployment.yaml");
}

/// The application has content from its first word on, and the next version without a gap.
fn assert_application_follows(manifest: &str) {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (repo, nginx) = upstream(&env, &mut pods);
    play(&pods, adapted(manifest, &nginx.url("site/.git")));
    let application = pods.container("application");
    eventually("the application's first words", || {
        pods.logs(&application).starts_with("one\n").then_some(())
    });
    assert_seen_without_a_gap(&pods, &application, READ, || drop(repo.commit(&[("version", "two\n")])));
}

#[test]
fn a_web_server_serves_what_the_repository_holds_and_not_the_repository() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (repo, nginx) = upstream(&env, &mut pods);
    play(&pods, adapted("web-server/deployment.yaml", &nginx.url("site/.git")));
    let server = pods.container("nginx");
    let get = "wget -q -O - http://127.0.0.1:8080/version";
    await_success(&pods, &server, get);
    assert_seen_without_a_gap(&pods, &server, get, || drop(repo.commit(&[("version", "two\n")])));
    let refused = pods.exec(&server, &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/.git"]);
    assert!(text(&refused.stderr).contains("404"), "{refused:?}");
}

/// nginx saying nothing but this.
fn nginx_saying(words: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path /tmp/{kind};"))
        .collect();
    format!(
        "pid /tmp/nginx.pid; error_log stderr; events {{}}
         http {{ access_log off; {temporary} server {{ listen 8080; location / {{ return 200 '{words}\\n'; }} }} }}"
    )
}

#[test]
fn a_new_configuration_is_loaded_by_the_process_beside() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (repo, nginx) = upstream(&env, &mut pods);
    repo.commit(&[("nginx.conf", &nginx_saying("one"))]);
    play(&pods, adapted("reload/deployment.yaml", &nginx.url("site/.git")));
    let server = pods.container("nginx");
    let get = "wget -q -O - http://127.0.0.1:8080/";
    await_success(&pods, &server, get);
    let change = || drop(repo.commit(&[("nginx.conf", &nginx_saying("two"))]));
    // Workers with the old configuration may finish what they have begun.
    assert_eq!(watch_change(&pods, &server, get, change).len(), 20);
    let ten_times = format!("for time in 1 2 3 4 5 6 7 8 9 10; do {get}; done");
    eventually("the new configuration alone", || {
        let seen = pods.exec(&server, &["sh", "-c", &ten_times]).stdout;
        (text(&seen) == "two\n".repeat(10)).then_some(())
    });
}

#[test]
fn one_sidecar_shows_the_repositories_of_a_config_map_together() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (site, nginx) = upstream(&env, &mut pods);
    let data = env.repo("data");
    data.commit(&[("version", "one\n")]);
    let urls = ["site", "data"].map(|name| (name, nginx.url(&format!("{name}/.git"))));
    play(&pods, adapted_files(&["many/configmap.yaml", "many/deployment.yaml"], &urls));
    let application = pods.container("application");
    eventually("the application's first words", || {
        pods.logs(&application).starts_with("one\none\n").then_some(())
    });
    // A mixture would be two lines.
    let read = "cd -P /content/all && cat site/version data/version | sort -u";
    assert_seen_without_a_gap(&pods, &application, read, || {
        for repo in [&site, &data] {
            repo.commit(&[("version", "two\n")]);
        }
    });
}

#[test]
fn a_secret_of_ssh_opens_a_private_repository() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let repo = env.repo("site");
    repo.commit(&[("version", "one\n")]);
    let sshd = Sshd::start(&env);
    let key = sshd.authorized_key();
    pods.let_through(sshd.port());
    let mut objects = adapted("secrets/ssh.yaml", &sshd.url(env.path("site")));
    objects[0]["stringData"]["ssh"] = fs::read_to_string(key).unwrap().into();
    objects[0]["stringData"]["known_hosts"] = sshd.host_line("ed25519").into();
    play(&pods, objects);
    let application = pods.container("application");
    assert_seen_without_a_gap(&pods, &application, READ, || drop(repo.commit(&[("version", "two\n")])));
}

#[test]
fn a_secret_token_opens_a_private_repository() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (repo, nginx) = upstream(&env, &mut pods);
    nginx.admit(&basic("git", "a secret"));
    let mut objects = adapted("secrets/token.yaml", &nginx.url("token/site/.git"));
    objects[0]["stringData"]["token"] = "a secret\n".into();
    play(&pods, objects);
    let application = pods.container("application");
    assert_seen_without_a_gap(&pods, &application, READ, || drop(repo.commit(&[("version", "two\n")])));
}

/// A manifest that somebody has, played with other images, and a repository of this place.
fn play_somebodys(pods: &Pods, text: &str, url: &str, change: impl Fn(&mut Value)) {
    let mut objects = parse(&text.replace("REPOSITORY", url));
    for container in objects[0]["spec"]["containers"].as_array_mut().unwrap() {
        let is_ours = container["name"].as_str().unwrap().contains("git");
        container["image"] = if is_ours { SYNCLINE } else { CONSUMER }.into();
        if is_ours {
            change(container);
        }
    }
    play(pods, objects);
}

#[test]
fn a_pod_of_git_sync_v3_needs_another_image_only() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let repo = env.repo("project.git");
    repo.commit(&[("version", "one\n")]);
    repo.git(&["branch", "--move", "master"]);
    let nginx = Nginx::start(&env.path(""));
    pods.let_through(nginx.port());
    let manifest = include_str!("manifests/git-sync-v3.yaml");
    play_somebodys(&pods, manifest, &nginx.url("project.git"), |_| {});
    let main = pods.container("main");
    let read = "cat /git/project.git/version";
    await_success(&pods, &main, read);
    assert_seen_without_a_gap(&pods, &main, read, || drop(repo.commit(&[("version", "two\n")])));
    await_success(&pods, &main, "test -L /git/project.git");
    await_success(&pods, &main, "test -e /git/project.git/.git");
}

#[test]
fn a_pod_that_clones_and_pulls_needs_another_image_and_command() {
    let env = Env::new();
    let Some(mut pods) = Pods::start(&env) else { return };
    let (repo, nginx) = upstream(&env, &mut pods);
    let manifest = include_str!("manifests/clone-and-pull.yaml");
    play_somebodys(&pods, manifest, &nginx.url("site/.git"), |container| {
        container.as_object_mut().unwrap().remove("command");
        container["args"] = json!(["--publish=in-place", "--root=."]);
    });
    let web = pods.container("web");
    let get = "wget -q -O - http://127.0.0.1:8080/version";
    await_success(&pods, &web, get);
    assert_seen_without_a_gap(&pods, &web, get, || drop(repo.commit(&[("version", "two\n")])));
    await_success(&pods, &web, "test -f /www/version");
}
