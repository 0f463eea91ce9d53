//! Hooks for many repositories of one process.

use super::scene::{SECRET, post, recorded, sign};
use crate::support::many::{Many, entry, file, metric, page};
use crate::support::*;

struct Scene {
    many: Many,
    repos: [Repo; 2],
    port: u16,
    http: u16,
}

impl Scene {
    fn new() -> Scene {
        let (many, repos) = Many::with(["one", "two"]);
        std::fs::write(many.env.path("secret"), SECRET).unwrap();
        Scene { many, repos, port: free_port(), http: free_port() }
    }

    fn file(&self, more: &str, entries: &[String]) -> String {
        let process = format!(
            "receive-bind: '127.0.0.1:{}'\nreceive-secret-file: ['{}']\nhttp-bind: '127.0.0.1:{}'\nhttp-metrics: true{more}",
            self.port,
            self.many.env.path("secret").display(),
            self.http
        );
        file(&process, "period: 1h", entries)
    }

    fn entries(&self) -> [String; 2] {
        let alias = |name: &str| format!("receive-alias: ['https://github.com/example/{name}']");
        [
            entry("one", self.repos[0].url(), &alias("site")),
            entry("two", self.repos[1].url(), &alias("other")),
        ]
    }

    fn post(&self, path: &str, event: &str, body: &str) -> (u16, String) {
        let signature = format!("sha256={}", sign(SECRET, body.as_bytes()));
        post(self.port, path, &[("X-GitHub-Event", event), ("X-Hub-Signature-256", &signature)], body)
    }

    fn wait_for_heads(&self) {
        for (name, repo) in ["one", "two"].iter().zip(&self.repos) {
            self.many.wait_for(name, &repo.head());
            let head = repo.head();
            let shown =
                |page: &serde_json::Value| page["repos"][name]["published"]["commit"] == head.as_str();
            eventually("the status", || shown(&page(self.http, "/status")).then_some(()));
        }
    }
}

#[test]
fn a_hook_goes_to_the_repositories_that_it_is_for() {
    let scene = Scene::new();
    let _running = scene.many.spawn(scene.file("", &scene.entries()));
    scene.wait_for_heads();
    let before = scene.repos[1].head();
    let first = scene.repos[0].commit(&[("file", "two\n")]);
    scene.repos[1].commit(&[("file", "two\n")]);
    assert_eq!(scene.post("/push", "push", &recorded("github-push", &first)).0, 202);
    scene.many.wait_for("one", &first);
    assert_eq!(scene.many.published("two"), Some(before), "it is not for this one");
    // By its name, and by nothing.
    assert_eq!(scene.post("/push/two", "push", "").0, 202);
    scene.wait_for_heads();
    scene.repos.iter().for_each(|repo| _ = repo.commit(&[("file", "three\n")]));
    assert_eq!(scene.post("/push", "push", "").0, 202, "it may be for both");
    scene.wait_for_heads();
    // For one that is not there, and for a wrong name.
    let stranger = recorded("github-push", &first).replace("example/site", "example/unknown");
    let other = (200, "{\"sync\":false,\"reason\":\"other repository\"}\n".to_owned());
    assert_eq!(scene.post("/push", "push", &stranger), other);
    assert_eq!(scene.post("/push/one", "push", &stranger), other);
    assert_eq!(scene.post("/push/three", "push", &stranger), other);
    assert_eq!(scene.post("/push", "ping", "{}").0, 204);
    assert_eq!(post(scene.port, "/push/one", &[], "").0, 401);
    assert_eq!(post(scene.port, "/push/one/more", &[], "").0, 404);

    let count = |labels: &str| metric(scene.http, &format!("syncline_push_requests_total{{{labels}}}"));
    assert_eq!(count("repo=\"one\",sender=\"github\",result=\"news\""), Some(1.0));
    assert_eq!(count("repo=\"two\",sender=\"github\",result=\"unclear\""), Some(2.0));
    assert_eq!(count("sender=\"other\",result=\"denied\""), Some(1.0));
    assert_eq!(count("sender=\"github\",result=\"other_repo\""), Some(2.0));
    assert_eq!(count("sender=\"github\",result=\"ping\""), Some(1.0));
    assert_eq!(page(scene.http, "/status")["repos"]["one"]["push"]["sender"], "github");
    let text = get(scene.http, "/metrics").1;
    assert_eq!(text.matches("# TYPE syncline_push_requests_total").count(), 1);
}

#[test]
fn hooks_go_on_when_the_file_changes() {
    let scene = Scene::new();
    let [one, two] = scene.entries();
    let running = scene.many.spawn(scene.file("", std::slice::from_ref(&one)));
    scene.many.wait_for("one", &scene.repos[0].head());
    let reload = |text: String| {
        let loads = running.log().matches("loaded the configuration again").count();
        scene.many.write(text);
        running.signal(rustix::process::Signal::HUP);
        running.wait_for_times("loaded the configuration again", loads + 1);
    };
    reload(scene.file("", &[one.clone(), two.clone()]));
    scene.wait_for_heads();
    scene.repos.iter().for_each(|repo| _ = repo.commit(&[("file", "two\n")]));
    assert_eq!(scene.post("/push", "push", "").0, 202);
    scene.wait_for_heads();
    // Another alias for the same repository.
    reload(scene.file("", &[one.replace("example/site", "example/moved"), two.clone()]));
    let commit = scene.repos[0].commit(&[("file", "three\n")]);
    let body = recorded("github-push", &commit).replace("example/site", "example/moved");
    eventually("the new alias", || (scene.post("/push", "push", &body).0 == 202).then_some(()));
    scene.many.wait_for("one", &commit);
    // And one that goes.
    reload(scene.file("", &[two]));
    let is_gone = || page(scene.http, "/status")["repos"]["one"].is_null().then_some(());
    eventually("the end of the first", is_gone);
    assert!(scene.post("/push/one", "push", "").1.contains("other repository"));
    // Where hooks are taken cannot change.
    scene.many.write(scene.file("\nreceive-path: /other", &[one]));
    running.signal(rustix::process::Signal::HUP);
    running.wait_for("receive-bind: cannot change while syncline runs");
    assert_eq!(scene.post("/push/two", "push", "").0, 202);
}

#[test]
fn faults_name_their_place() {
    let scene = Scene::new();
    let [one, _] = scene.entries();
    let check = |text: String| {
        scene.many.write(text);
        scene.many.syncline().arg("--config-check").run().stderr
    };
    let wrong = one.replace("receive-alias", "receive-path");
    assert!(check(scene.file("", &[wrong])).contains("receive-path"), "an option of the process");
    let secret = check(scene.file("\nreceive-secret: canary", &[]));
    assert!(secret.contains("use receive-secret-file") && !secret.contains("canary"), "{secret}");
    let without = check(file("http-bind: ':0'", "", &scene.entries()));
    assert!(without.contains("needs --receive-bind"), "{without}");
    let once = check(scene.file("\none-time: true", &scene.entries()));
    assert!(once.contains("receive-bind: cannot be combined with"), "{once}");
}
