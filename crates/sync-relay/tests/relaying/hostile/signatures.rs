//! Signatures that do not count.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sync_relay::Reason;

use super::{Fleet, TYPE, unsigned};

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// As `openssl pkey -pubout` writes it.
fn public_pem(key: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [&prefix, key.public_key().as_ref()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// What DSSE signs.
fn message(kind: &str, payload: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload].concat()
}

fn signature(key: &Ed25519KeyPair, message: &[u8]) -> Value {
    json!({ "keyid": "any", "sig": STANDARD.encode(key.sign(message)) })
}

#[test]
fn only_a_signature_of_the_key_over_this_payload_and_type_counts() {
    let mut fleet = Fleet::new();
    let (ours, theirs) = (key(1), key(2));
    let file = fleet.scene.dir.path().join("ours.pub");
    fs::write(&file, public_pem(&ours)).unwrap();
    let mut strict = fleet.scene.follower_with("strict", |options| options.key_file = Some(file));
    let payload = fleet.change();
    let text = payload.to_string().into_bytes();
    let good = signature(&ours, &message(TYPE, &text));
    let bad = signature(&theirs, &message(TYPE, &text));
    let late: Vec<Value> = std::iter::repeat_n(bad.clone(), 8).chain([good.clone()]).collect();
    let show = |signatures: Vec<Value>| {
        let mut record = unsigned(&text);
        record["signatures"] = signatures.into();
        fleet.show(record.to_string().into_bytes());
    };
    let by_none = "no key of --relay-key-file made its signature";
    for (case, signatures, cause) in [
        ("none", vec![], "it is not signed, and --relay-key-file demands a signature"),
        ("by another key", vec![bad.clone()], by_none),
        ("over another type", vec![signature(&ours, &message("text/plain", &text))], by_none),
        ("over the payload alone", vec![signature(&ours, &text)], by_none),
        ("over an earlier payload", vec![signature(&ours, &message(TYPE, b"{}"))], by_none),
        ("no base64", vec![json!({ "sig": "@" })], by_none),
        ("no text", vec![json!({ "sig": [1] }), json!(1)], by_none),
        ("after many others", late, by_none),
    ] {
        show(signatures);
        let error = strict.fails();
        assert!(error.contains(cause), "{case}: {error}");
        assert!(strict.mirror.published().unwrap().is_none(), "{case}");
    }
    assert_eq!(strict.refused(Reason::Signature), 8);
    show(vec![bad, good]);
    assert_eq!(strict.sync(), payload["commit"].as_str().unwrap());
}

#[test]
fn what_the_key_signed_for_another_name_or_earlier_is_not_followed() {
    let mut fleet = Fleet::new();
    let ours = key(1);
    let file = fleet.scene.dir.path().join("ours.pub");
    fs::write(&file, public_pem(&ours)).unwrap();
    let follower =
        |fleet: &Fleet| fleet.scene.follower_with("strict", |options| options.key_file = Some(file.clone()));
    let show = |fleet: &Fleet, payload: &Value| {
        let text = payload.to_string().into_bytes();
        let mut record = unsigned(&text);
        record["signatures"] = vec![signature(&ours, &message(TYPE, &text))].into();
        fleet.show(record.to_string().into_bytes());
    };
    let mut strict = follower(&fleet);
    let old = fleet.payload();
    let mut other = old.clone();
    other["name"] = "other".into();
    show(&fleet, &other);
    assert!(strict.fails().contains("it is of another name than site"));
    let new = fleet.change();
    show(&fleet, &new);
    let shown = strict.sync();
    show(&fleet, &old);
    strict.is_unchanged();
    drop(strict);
    let mut strict = follower(&fleet);
    assert!(strict.fails().contains("was followed before"));
    assert_eq!((strict.published().to_string(), strict.refused(Reason::Older)), (shown, 1));
}
