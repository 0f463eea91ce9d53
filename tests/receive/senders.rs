//! Recorded hooks of every sender, signed as it signs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scene::{SECRET, Scene, percent, recorded, sign};
use crate::support::*;

/// How a sender proves itself.
#[derive(Clone, Copy)]
enum Way {
    Signed(&'static str),
    Hex(&'static str),
    Token(&'static str),
    Basic,
    Bearer,
    /// A form whose raw bytes are signed.
    Form,
    /// A form whose content is signed.
    FormInside,
}

use Way::{Basic, Bearer, Form, FormInside, Hex, Signed, Token};

fn send(scene: &Scene, way: Way, event: &[(&str, &str)], body: &str) -> (u16, String) {
    let form = format!("payload={}", percent(body));
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let json = ("Content-Type", "application/json");
    let signed = |what: &str| format!("sha256={}", sign(SECRET, what.as_bytes()));
    let (kind, name, proof, body) = match way {
        Signed(name) => (json, name, signed(body), body),
        Hex(name) => (json, name, sign(SECRET, body.as_bytes()), body),
        Token(name) => (json, name, SECRET.to_owned(), body),
        Basic => (json, "Authorization", basic("anybody", SECRET), body),
        Bearer => (json, "Authorization", format!("Bearer {SECRET}"), body),
        Form => (kind, "X-Hub-Signature-256", signed(&form), form.as_str()),
        FormInside => (kind, "X-Gitea-Signature", sign(SECRET, body.as_bytes()), form.as_str()),
    };
    scene.post(&[event, &[kind, (name, &proof)]].concat(), body)
}

const GITHUB: (&str, &str) = ("X-GitHub-Event", "push");
const GITEA: (&str, &str) = ("X-Gitea-Event", "push");
const NO_EVENT: (&str, &str) = ("X-Any", "x");

/// A push to the branch that is synced, of every sender.
const PUSHES: [(&str, Way, (&str, &str), &str); 18] = [
    ("github-push", Signed("X-Hub-Signature-256"), GITHUB, "github"),
    ("github-push", Form, GITHUB, "github"),
    ("gitlab-push", Token("X-Gitlab-Token"), ("X-Gitlab-Event", "Push Hook"), "gitlab"),
    ("gitlab-push", Token("X-Gitlab-Token"), ("X-Gitlab-Event", "System Hook"), "gitlab"),
    ("gitlab-tag", Token("X-Gitlab-Token"), ("X-Gitlab-Event", "Tag Push Hook"), "gitlab"),
    ("gitea-push", Hex("X-Gitea-Signature"), GITEA, "gitea"),
    ("gitea-push", FormInside, GITEA, "gitea"),
    ("gitea-push", Hex("X-Forgejo-Signature"), ("X-Forgejo-Event", "push"), "forgejo"),
    ("gitea-push", Hex("X-Gogs-Signature"), ("X-Gogs-Event", "push"), "gogs"),
    ("bitbucket-cloud", Signed("X-Hub-Signature"), ("X-Event-Key", "repo:push"), "bitbucket"),
    ("bitbucket-server", Signed("X-Hub-Signature"), ("X-Event-Key", "repo:refs_changed"), "bitbucket"),
    ("bitbucket-server", Basic, ("X-Event-Key", "mirror:repo_synchronized"), "bitbucket"),
    ("azure", Basic, NO_EVENT, "azure"),
    ("codecommit", Bearer, NO_EVENT, "codecommit"),
    ("codecommit-sns", Bearer, NO_EVENT, "codecommit"),
    ("gerrit", Bearer, NO_EVENT, "gerrit"),
    ("github-push", Signed("X-Signature"), NO_EVENT, "other"),
    ("github-push", Signed("X-Hub-Signature-256"), ("X-Gogs-Event", "push"), "gogs"),
];

#[test]
fn a_push_that_any_sender_announces_is_published() {
    let scene = Scene::new();
    let running = scene.start();
    for (name, way, event, sender) in PUSHES {
        let commit = scene.repo.commit(&[("file", &format!("{name} {sender}"))]);
        let body = recorded(name, &commit);
        let sent = send(&scene, way, &[event], &body);
        assert_eq!(sent, (202, "{\"sync\":true}\n".into()), "{name}: {}", running.log());
        scene.wait_for(&commit);
        // The commit was understood, too.
        let again = send(&scene, way, &[event], &body);
        assert_eq!(again, (200, "{\"sync\":false,\"reason\":\"published already\"}\n".into()), "{name}");
        let push = &scene.status()["push"];
        assert_eq!((&push["sender"], &push["result"]), (&sender.into(), &"noop".into()), "{name}");
        assert_eq!((&push["commit"], &push["working"]), (&commit.into(), &true.into()), "{name}");
    }
    scene.env.assert_published(&scene.repo, &scene.repo.head());
}

#[test]
fn what_does_not_concern_the_repository_is_a_success_without_a_sync() {
    let scene = Scene::new();
    let running = scene.start();
    let looks = scene.looks();
    let hub = Signed("X-Hub-Signature-256");
    let not = |reason: &str| (200, format!("{{\"sync\":false,\"reason\":\"{reason}\"}}\n"));
    for (name, event, expected) in [
        ("github-other-branch", GITHUB, not("other ref")),
        ("github-other-repository", GITHUB, not("other repository")),
        ("github-deleted", GITHUB, not("deleted")),
        ("github-push", ("X-GitHub-Event", "create"), not("other event")),
        ("github-ping", ("X-GitHub-Event", "ping"), (204, String::new())),
        ("gitlab-deleted", ("X-Gitlab-Event", "Push Hook"), not("deleted")),
        ("gitlab-issue", ("X-Gitlab-Event", "Issue Hook"), not("other event")),
        ("gitea-deleted", ("X-Gitea-Event", "delete"), not("deleted")),
        ("bitbucket-server-ping", ("X-Event-Key", "diagnostics:ping"), (204, String::new())),
        ("codecommit-confirmation", NO_EVENT, not("other event")),
    ] {
        assert_eq!(send(&scene, hub, &[event], &recorded(name, &scene.repo.head())), expected, "{name}");
    }
    assert_eq!(scene.looks(), looks, "{}", running.log());
    // Those that do not say what moved are followed by a look.
    for (event, body) in [
        (NO_EVENT, String::new()),
        (("Ce-Type", "dev.cdevents.change.merged.0.2.0"), recorded("cdevents", "")),
    ] {
        assert_eq!(send(&scene, hub, &[event], &body).0, 202, "{event:?}");
    }
    let any = |sender: &str, result: &str| {
        scene.metric(&format!("syncline_push_requests_total{{sender=\"{sender}\",result=\"{result}\"}}"))
    };
    assert_eq!(any("github", "other_ref"), Some(1.0));
    assert_eq!(any("gitea", "deleted"), Some(1.0));
    assert_eq!(any("other", "unclear"), Some(1.0));
}

/// Standard Webhooks, as GitLab has them; the other implementation signs.
#[test]
fn standard_webhooks_are_signed_with_their_time() {
    let scene = Scene::new();
    let key = b"the key of standard webhooks, 32";
    std::fs::write(scene.env.path("secret"), format!("whsec_{}\n", BASE64.encode(key))).unwrap();
    let running = scene.start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let commit = scene.repo.commit(&[("file", "two\n")]);
    let body = recorded("gitlab-push", &commit);
    let send = |time: u64| {
        let content = format!("msg_1.{time}.{body}");
        let hex = sign(std::str::from_utf8(key).unwrap(), content.as_bytes());
        let tag: Vec<u8> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let signature = format!("v1a,other v1,{} v1,{}", BASE64.encode([0; 32]), BASE64.encode(tag));
        let time = time.to_string();
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", &signature),
        ];
        scene.post(&[&headers[..], &[("X-Gitlab-Event", "Push Hook")]].concat(), &body).0
    };
    assert_eq!(send(now - 3600), 401);
    running.wait_for("differs from the clock here by more than 5 minutes");
    assert_eq!(send(now), 202);
    scene.wait_for(&commit);
}
