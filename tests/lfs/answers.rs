//! Answers of the batch API that are no answers.

use serde_json::{Value, json};

use super::Rig;
use crate::support::lfs::*;
use crate::support::*;

const CONTENT: &str = "content\n";

/// Refused while every batch is answered like this.
#[track_caller]
fn assert_refused(rig: &Rig, words: &[&str], spoil: impl Fn(Answer) -> Answer + Send + 'static) {
    let before = rig.lfs.gets().len();
    rig.assert_refused(CONTENT, words, move |request, answer| match is_batch(request) {
        true => spoil(answer),
        false => answer,
    });
    // Of the good commit, and of the one that comes after all.
    let gets = rig.lfs.gets().len() - before;
    assert!(gets <= 3, "{gets} requests for objects");
    std::fs::remove_dir_all(rig.env.root()).unwrap();
}

#[test]
fn answers_about_other_objects_are_refused() {
    type Spoil = fn(&mut Value);
    let rows: [(&str, Spoil, &[&str]); 12] = [
        ("none", |body| body["objects"] = json!([]), &[]),
        ("no list", |body| body["objects"] = json!({}), &[]),
        ("no objects", |body| _ = body.as_object_mut().unwrap().remove("objects"), &[]),
        ("a foreign one", |body| body["objects"][0]["oid"] = sha256("foreign").into(), &[]),
        (
            "a foreign one besides",
            |body| {
                let mut foreign = body["objects"][0].clone();
                foreign["oid"] = sha256("foreign").into();
                body["objects"].as_array_mut().unwrap().push(foreign);
            },
            &[],
        ),
        (
            "one twice, elsewhere",
            |body| {
                let mut again = body["objects"][0].clone();
                again["actions"]["download"]["href"] = "http://127.0.0.1:1/x".into();
                body["objects"].as_array_mut().unwrap().push(again);
            },
            &[],
        ),
        ("an oid that is none", |body| body["objects"][0]["oid"] = "../../../etc/passwd".into(), &[]),
        ("an oid that is a number", |body| body["objects"][0]["oid"] = json!(7), &[]),
        ("another size", |body| body["objects"][0]["size"] = json!(9), &[]),
        ("a negative size", |body| body["objects"][0]["size"] = json!(-8), &[]),
        (
            "neither an action nor an error",
            |body| _ = body["objects"][0].as_object_mut().unwrap().remove("actions"),
            &[],
        ),
        ("no download", |body| body["objects"][0]["actions"] = json!({ "upload": { "href": "x" } }), &[]),
    ];
    let rig = Rig::new();
    each_row(rows, |(_, spoil, words)| {
        assert_refused(&rig, words, move |answer| answer.alter(spoil));
    });
}

#[test]
fn other_transfers_and_hashes_are_refused_by_their_names() {
    let rig = Rig::new();
    each_row(
        [("transfer", "tus"), ("transfer", "lfs-standalone-file"), ("hash_algo", "sha512")],
        |(key, value)| {
            assert_refused(&rig, &[value], move |answer| answer.alter(|body| body[key] = value.into()));
        },
    );
}

#[test]
fn answers_may_leave_out_what_has_a_meaning_by_itself() {
    let rig = Rig::new();
    each_row(
        [
            ("transfer", |body: &mut Value| _ = body.as_object_mut().unwrap().remove("transfer")),
            ("hash", |body| _ = body.as_object_mut().unwrap().remove("hash_algo")),
            ("nulls", |body| (body["transfer"], body["hash_algo"]) = (Value::Null, Value::Null)),
            ("more keys", |body| body["objects"][0]["more"] = json!([{}])),
            ("an expiry", |body| {
                body["objects"][0]["actions"]["download"]["expires_at"] = "2016-11-10T15:29:07Z".into();
                body["objects"][0]["actions"]["download"]["expires_in"] = json!(86_400);
            }),
            ("an old server's word", |body| {
                let actions = body["objects"][0]["actions"].take();
                body["objects"][0].as_object_mut().unwrap().remove("actions");
                body["objects"][0]["_links"] = actions;
            }),
            ("no header", |body| body["objects"][0]["actions"]["download"]["header"] = json!({})),
            ("null for an error", |body| body["objects"][0]["error"] = Value::Null),
        ] as [(&str, fn(&mut Value)); 8],
        |(what, spoil)| {
            let commit = rig.prepare(what);
            rig.lfs.spoil_batches(move |_, answer| answer.alter(spoil));
            rig.syncline().sync();
            rig.env.assert_lfs_published(&rig.repo, &commit);
        },
    );
    // The type may have a charset, and needs not be there.
    for line in ["Content-Type: application/vnd.git-lfs+json; charset=utf-8", "X-Nothing: x"] {
        let commit = rig.prepare(line);
        rig.lfs.spoil_batches(move |_, answer| Answer { headers: vec![line.into()], ..answer });
        rig.syncline().sync();
        rig.env.assert_lfs_published(&rig.repo, &commit);
    }
}

#[test]
fn answers_of_any_size_and_shape_are_refused_soon() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let padded = format!("{{\"objects\":[],\"x\":\"{}\"}}", "x".repeat(10 << 20));
    let objects = format!(
        "{{\"objects\":[{}{{}}]}}",
        format!("{{\"oid\":\"{}\",\"size\":1}},", sha256("x")).repeat(120_000)
    );
    let rows: [(&str, String); 9] = [
        ("10 MiB", padded),
        ("10 MiB of objects", objects),
        ("deep nesting", nested(100_000)),
        ("deep nesting inside", format!("{{\"objects\":{}}}", nested(100_000))),
        ("half of it", "{\"objects\":[".into()),
        ("no JSON", "<!doctype html><title>Sign in</title>".into()),
        ("nothing", String::new()),
        ("a number", "7".into()),
        ("more than one", "{\"objects\":[]}{}".into()),
    ];
    let rig = Rig::new();
    each_row(rows, |(what, body)| {
        let started = std::time::Instant::now();
        assert_refused(&rig, &[], move |_| Answer::new("200 OK", body.clone()));
        assert!(started.elapsed() < 2 * SOON, "{what}");
    });
}

#[test]
fn refusals_say_what_the_server_says_on_one_line() {
    let rig = Rig::new();
    let long = format!("told\n\x1b[31m\u{202e}{}", "x".repeat(5000));
    for (status, words) in [
        ("403 Forbidden", "403"),
        ("404 Not Found", "no LFS"),
        ("406 Not Acceptable", "406"),
        ("422 Unprocessable Entity", "422"),
        ("501 Not Implemented", "501"),
        ("507 Insufficient Storage", "507"),
        ("509 Bandwidth Limit Exceeded", "509"),
    ] {
        let said = long.clone();
        let body =
            move || json!({ "message": said, "request_id": "123", "documentation_url": "https://lfs/docs" });
        rig.prepare(CONTENT);
        let answer = body();
        rig.lfs.spoil_batches(move |_, _| Answer::batch(status, &answer));
        let fault = fault(&rig.syncline().fail());
        assert!(fault.contains(words) && fault.contains("/up/.git/info/lfs"), "{fault}");
        assert!(
            fault.contains("told") && fault.len() < 800 && !fault.contains('\u{202e}'),
            "{status}: {fault}"
        );
        // Neither a page nor nothing is quoted.
        for body in ["<html><body>canary</body></html>", ""] {
            rig.lfs.spoil_batches(move |_, _| Answer::new(status, body));
            let fault = crate::support::fault(&rig.syncline().fail());
            assert!(fault.contains(words) && !fault.contains("canary"), "{fault}");
        }
    }
    rig.lfs.mend();
    rig.syncline().sync();
    rig.env.assert_lfs_published(&rig.repo, &rig.repo.head());
}
