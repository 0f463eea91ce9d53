//! Proofs: what is admitted, and what is not.

use std::fs;

use super::scene::{SECRET, Scene, recorded, sign};
use crate::support::*;

/// The vector of GitHub's documentation.
#[test]
fn signatures_are_those_that_others_compute() {
    let (secret, body) = ("It's a Secret to Everybody", "Hello, World!");
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(sign(secret, body.as_bytes()), hex);
    let scene = Scene::new();
    fs::write(scene.env.path("secret"), secret).unwrap();
    let _running = scene.start();
    assert_eq!(scene.post(&[("X-Hub-Signature-256", &format!("sha256={hex}"))], body).0, 202);
    assert_eq!(scene.post(&[("X-Hub-Signature-256", &format!("sha256={hex}"))], "Hello, World?").0, 401);
}

#[test]
fn a_request_without_a_good_proof_is_denied_and_told_nothing() {
    let scene = Scene::new();
    let running = scene.start();
    let looks = scene.looks();
    let body = recorded("github-push", &scene.repo.head());
    let good = sign(SECRET, body.as_bytes());
    let wrong = sign("another secret that is as long", body.as_bytes());
    let prefixed = |hex: &str| format!("sha256={hex}");
    let token = ("X-Gitlab-Token", SECRET);
    each_row(
        [
            vec![],
            vec![("X-Hub-Signature-256", prefixed(&wrong))],
            vec![("X-Hub-Signature-256", prefixed(&good[..63]))],
            vec![("X-Hub-Signature-256", prefixed(&format!("{good}0")))],
            vec![("X-Hub-Signature-256", prefixed(&good.replace(&good[..1], "g")))],
            vec![("X-Hub-Signature-256", good.clone())],
            vec![("X-Hub-Signature", "sha1=2346ad27d7568ba9896f1b7da6b5991251debdf2".into())],
            vec![("X-Hub-Signature-256", prefixed(&good)), ("X-Hub-Signature-256", prefixed(&good))],
            // A weaker proof does not make up for a wrong one.
            vec![("X-Hub-Signature-256", prefixed(&wrong)), (token.0, token.1.to_owned())],
            vec![("X-Gitlab-Token", SECRET[1..].to_owned())],
            vec![("X-Gitlab-Token", String::new())],
            vec![("Authorization", basic("user", "no"))],
            vec![("Authorization", "Bearer no".into())],
            vec![
                ("webhook-signature", "v1,AAAA".into()),
                ("webhook-id", "1".into()),
                ("webhook-timestamp", "x".into()),
            ],
        ],
        |headers| {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let denied = (401, "a signature or token is missing or wrong\n".to_owned());
            assert_eq!(scene.post(&headers, &body), denied, "{headers:?}");
        },
    );
    assert_eq!(scene.looks(), looks);
    assert_eq!(running.log().matches("denied push hooks").count(), 1, "{}", running.log());
    let denied = get(scene.http, "/metrics").1;
    let denied = denied.lines().filter(|line| line.contains("result=\"denied\""));
    let counts = denied.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(counts.sum::<u32>(), 14);
    assert_eq!(scene.status()["push"]["last"], serde_json::Value::Null);
}

#[test]
fn a_secret_can_be_replaced_while_hooks_come() {
    let scene = Scene::new();
    let (old, new) = (SECRET, "canary, the secret that follows");
    fs::write(scene.env.path("next"), new).unwrap();
    let next = format!("--receive-secret-file={}", scene.env.path("next").display());
    let mut running = scene.spawn(scene.syncline().arg(next));
    let send = |secret: &str| scene.post(&[("X-Gitlab-Token", secret)], "").0;
    assert_eq!((send(old), send(new)), (202, 202), "any of them counts");
    many::replace(&scene.env.path("secret"), "canary, a third secret of hooks\n");
    eventually("the third secret", || (send("canary, a third secret of hooks") == 202).then_some(()));
    assert_eq!((send(old), send(new)), (401, 202));
    for bad in ["", "short"] {
        many::replace(&scene.env.path("secret"), bad);
        let before = scene.metric("syncline_push_secret_faults_total").unwrap();
        eventually("the fault", || {
            send(new);
            (scene.metric("syncline_push_secret_faults_total")? > before).then_some(())
        });
        assert_eq!(send("canary, a third secret of hooks"), 202, "the last one counts");
    }
    fs::remove_file(scene.env.path("secret")).unwrap();
    assert_eq!(send("canary, a third secret of hooks"), 202);
    running.wait_for("the file of the push hooks' secret cannot be used");
    running.signal(rustix::process::Signal::TERM);
    running.wait();
    assert!(!running.log().contains("canary"), "{}", running.log());
}

#[test]
fn a_user_may_be_demanded() {
    let scene = Scene::new();
    let _running = scene.spawn(scene.syncline().arg("--receive-user=hooks"));
    let send = |user: &str| scene.post(&[("Authorization", &basic(user, SECRET))], "").0;
    assert_eq!((send("hooks"), send("others")), (202, 401));
}

#[test]
fn faults_of_the_options_touch_nothing() {
    let scene = Scene::new();
    let fault = |more: &[&str], text: &str| {
        let syncline = more.iter().fold(scene.syncline(), |syncline, option| syncline.arg(option));
        let finished = syncline.run();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(text) && !finished.stderr.contains("canary"), "{}", finished.stderr);
        assert!(scene.env.published().is_none());
    };
    fault(&["--one-time"], "--receive-bind: cannot be combined with --one-time");
    fault(&[&format!("--http-bind=:{}", scene.port)], "choose another port");
    for (text, expected) in [("", "at least 16 bytes, not 0"), ("canary", "at least 16 bytes, not 6")] {
        fs::write(scene.env.path("secret"), text).unwrap();
        fault(&[], expected);
    }
    fs::remove_file(scene.env.path("secret")).unwrap();
    fault(&[], "--receive-secret-file: ");
    let finished = scene.env.syncline("/x").arg("--receive-secret=canary, which is long enough").run();
    assert!(finished.stderr.contains("would show in the list of processes"), "{}", finished.stderr);
}

#[test]
fn the_secret_comes_out_nowhere() {
    let scene = Scene::new();
    let mut running = scene.start();
    let commit = scene.repo.commit(&[("file", "two\n")]);
    for body in [recorded("github-push", &commit), "canary body".to_owned()] {
        for headers in [
            [("X-Gitlab-Token", SECRET)],
            [("X-Gitlab-Token", "canary, a wrong one")],
            [("Authorization", &basic("canary", SECRET))],
            [("Authorization", "Bearer canary")],
            [("X-Hub-Signature-256", "sha256=canary")],
        ] {
            let (_, answer) = scene.post(&headers, &body);
            assert!(!answer.contains("canary"), "{answer}");
        }
    }
    scene.wait_for(&commit);
    for path in ["/metrics", "/status", "/readyz", "/"] {
        let page = get(scene.http, path).1;
        assert!(!page.contains("canary"), "{page}");
    }
    running.signal(rustix::process::Signal::TERM);
    running.wait();
    assert!(running.log().contains("a push was announced"), "{}", running.log());
    assert!(!running.log().contains("canary"), "{}", running.log());
}
