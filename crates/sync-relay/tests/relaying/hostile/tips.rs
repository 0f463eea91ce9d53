//! Tips that cannot be read, or say what cannot be.

use serde_json::{Value, json};
use sync_relay::Reason;

use super::{Fleet, record, unsigned};

/// A payload with one thing changed.
fn with(payload: &Value, pointer: &str, value: Value) -> Vec<u8> {
    let mut payload = payload.clone();
    *payload.pointer_mut(pointer).unwrap() = value;
    record(&payload)
}

fn step(from: &str, to: &str) -> Value {
    json!({ "from": from, "to": to, "bytes": 4, "sha256": "ab".repeat(32), "shallow": [] })
}

#[test]
fn records_that_are_no_tips_of_a_relay_are_refused() {
    let mut fleet = Fleet::new();
    let payload = fleet.change();
    let plain = unsigned(payload.to_string().as_bytes());
    let altered = |key: &str, value: Value| {
        let mut record = plain.clone();
        record[key] = value;
        record.to_string().into_bytes()
    };
    let padded = [record(&payload), vec![b' '; 256 * 1024]].concat();
    let deep = unsigned(("[".repeat(100_000)).as_bytes()).to_string().into_bytes();
    for (case, bytes, cause) in [
        ("nothing", Vec::new(), "it is no JSON"),
        ("larger than 256 KiB", padded, "it is too large"),
        ("nested deep", "[".repeat(200_000).into_bytes(), "it is no JSON"),
        ("a payload nested deep", deep, "its payload cannot be read"),
        ("a list", b"[]".to_vec(), "it is no tip of syncline"),
        ("another type", altered("payloadType", "text/plain".into()), "it is no tip of syncline"),
        ("no base64", altered("payload", "{}".into()), "its payload cannot be read"),
        ("half of base64", altered("payload", "ZXk".into()), "its payload cannot be read"),
        ("a pack that is no base64", altered("inline", "@".into()), "its pack cannot be read"),
        ("a pack that is no text", altered("inline", json!({ "a": [1] })), "its pack cannot be read"),
    ] {
        fleet.show(bytes);
        fleet.refuses(cause, case);
    }
    assert_eq!(fleet.follow.refused(Reason::Malformed), 10);
    fleet.recovers();
}

#[test]
fn chains_that_are_endless_circular_or_lead_nowhere_are_refused() {
    let mut fleet = Fleet::new();
    let payload = fleet.change();
    let (old, new) = (fleet.shown.clone(), payload["commit"].as_str().unwrap().to_owned());
    let other = "1".repeat(40);
    let many = |count: usize| Value::from(vec![step(&new, &new); count]);
    for (case, bytes, cause) in [
        ("a million steps", with(&payload, "/chain", vec![0; 1_000_000].into()), "it is too large"),
        ("too many steps", with(&payload, "/chain", many(65)), "its chain cannot be read"),
        (
            "a circle that never ends at the commit",
            {
                let steps = [step(&new, &old), step(&old, &other), step(&other, &old)];
                with(&payload, "/chain", steps.to_vec().into())
            },
            "its chain cannot be read",
        ),
        (
            "a gap",
            { with(&payload, "/chain", vec![step(&old, &other), step(&old, &new)].into()) },
            "its chain cannot be read",
        ),
        ("no way from the full pack", with(&payload, "/full/commit", other.as_str().into()), "its chain"),
        ("no list", with(&payload, "/chain", json!({ "0": step(&old, &new) })), "its chain cannot be read"),
        (
            "a boundary without end",
            { with(&payload, "/full/shallow", vec![old.as_str(); 4097].into()) },
            "its full pack cannot be read",
        ),
    ] {
        fleet.show(bytes);
        fleet.refuses(cause, case);
    }
    fleet.recovers();
}

#[test]
fn a_circle_that_reaches_the_commit_is_walked_once() {
    let mut fleet = Fleet::new();
    let mut payload = fleet.change();
    let (old, new) = (fleet.shown.clone(), payload["commit"].as_str().unwrap().to_owned());
    let last = payload["chain"][0].clone();
    payload["chain"] = vec![step(&new, &old), last.clone(), step(&new, &old), last].into();
    fleet.show(record(&payload));
    fleet.shown = fleet.follow.sync();
    assert_eq!(fleet.shown, new);
    let mut fresh = fleet.scene.follower("fresh");
    assert_eq!(fresh.sync(), new);
}

#[test]
fn ids_and_names_that_are_none_are_refused() {
    let mut fleet = Fleet::new();
    let payload = fleet.change();
    let (long, sha256) = ("x".repeat(1025), "1".repeat(64));
    let tag = |id: &str| json!({ "id": id, "object": null });
    for (pointer, value, cause) in [
        ("/ref", json!("refs/heads/a\u{1b}[2J"), "its reference cannot be read"),
        ("/ref", json!("refs/heads/a\nb"), "its reference cannot be read"),
        ("/ref", json!("main"), "its reference cannot be read"),
        ("/ref", json!(format!("refs/heads/{long}")), "its reference cannot be read"),
        ("/feeder", json!("a\u{9b}2J"), "its feeder cannot be read"),
        ("/feeder", json!(long), "its feeder cannot be read"),
        ("/commit", json!("main"), "its commit cannot be read"),
        ("/commit", json!("../../etc"), "its commit cannot be read"),
        ("/commit", json!(sha256), "its chain cannot be read"),
        ("/full/commit", json!(sha256), "its chain cannot be read"),
        ("/full/shallow", json!([sha256]), "its chain cannot be read"),
        ("/chain/0/from", json!(sha256), "its chain cannot be read"),
        ("/chain/0/shallow", json!([sha256]), "its chain cannot be read"),
        ("/tag", tag(&sha256), "its chain cannot be read"),
        ("/tag", json!({ "id": fleet.shown, "object": "@" }), "its tag cannot be read"),
        ("/full/sha256", json!("../../../../etc/passwd"), "its full pack cannot be read"),
        ("/full/sha256", json!("+f".repeat(32)), "its full pack cannot be read"),
        ("/full/bytes", json!(-1), "its full pack cannot be read"),
        ("/full/bytes", json!(1.5), "its full pack cannot be read"),
        ("/chain/0/bytes", json!(1e30), "its chain cannot be read"),
        ("/depth", json!(1_u64 << 32), "its depth cannot be read"),
        ("/generation", json!(-1), "its generation cannot be read"),
        ("/observed_ms", json!("now"), "its time cannot be read"),
        ("/v", json!(2), "it has another version of the format"),
        ("/name", json!("other"), "it is of another name than site"),
    ] {
        fleet.show(with(&payload, pointer, value.clone()));
        fleet.refuses(cause, &format!("{pointer} {value}"));
    }
    assert_eq!(fleet.follow.refused(Reason::Version), 1);
    assert_eq!(fleet.follow.refused(Reason::Foreign), 1);
    fleet.recovers();
}

#[test]
fn the_largest_numbers_are_no_more_than_numbers() {
    let mut fleet = Fleet::new();
    let mut payload = fleet.change();
    let (old, new) = (fleet.shown.clone(), payload["commit"].as_str().unwrap().to_owned());
    for key in ["generation", "observed_ms", "followers"] {
        payload[key] = u64::MAX.into();
    }
    fleet.show(record(&payload));
    fleet.shown = fleet.follow.sync();
    assert_eq!(fleet.shown, new);
    // A feeder goes on from there, and so do those who followed.
    fleet.change();
    fleet.shown = fleet.follow.sync();
    assert_ne!(fleet.shown, new);
    // It also does if it has to sum up lengths.
    let mut payload = fleet.payload();
    let (mut there, mut back) = (step(&old, &fleet.shown), step(&fleet.shown, &old));
    (there["bytes"], back["bytes"]) = (u64::MAX.into(), u64::MAX.into());
    payload["full"]["commit"] = old.as_str().into();
    payload["chain"] = vec![there.clone(), back, there].into();
    fleet.show(record(&payload));
    fleet.feed.sync();
    fleet.change();
    fleet.shown = fleet.follow.sync();
    assert_eq!(fleet.shown, fleet.scene.git(&["rev-parse", "HEAD"]));
}
