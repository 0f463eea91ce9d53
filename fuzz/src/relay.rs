//! Relays: their URLs, and the tips that they show.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::Value;
use sync_relay::engine::{EngineKind, LARGEST_TIP, RelayUrl};
use sync_relay::{Reason, RelayName, Tip, fuzzing};

use crate::text;

/// What the key is made from whose signatures count, and another one.
const SEED: [u8; 32] = [7; 32];
const OTHER_SEED: [u8; 32] = [8; 32];

const TYPE: &str = "application/vnd.syncline.tip+json";

/// A record of the name `site`. A payload that is not text stands for its encoding, and a signature `@` for the one that
/// fits.
pub fn tip(data: &[u8]) {
    let record = completed(data).unwrap_or_else(|| data.to_vec());
    let name: RelayName = "site".parse().expect("a name");
    let ours = fuzzing::signing_key(&SEED).expect("a key");
    let other = fuzzing::signing_key(&OTHER_SEED).expect("a key");
    let open = Tip::decode(&record, &name, None);
    let strict = Tip::decode(&record, &name, Some(&ours.public()));
    assert!(record.len() <= LARGEST_TIP || open.is_err());
    if let Ok(tip) = &open {
        assert!(tip.tip.chain.len() <= 64 && tip.tip.reference.len() <= 1024);
        assert!(is_connected(tip));
        let again = tip.encode(&name, Some(&ours));
        if again.len() <= LARGEST_TIP {
            assert_eq!(Tip::decode(&again, &name, None).as_ref(), Ok(tip));
            assert_eq!(Tip::decode(&again, &name, Some(&ours.public())).as_ref(), Ok(tip));
            let refusal = Tip::decode(&again, &name, Some(&other.public())).expect_err("signed by another");
            assert_eq!(refusal.reason, Reason::Signature);
            assert!(Tip::decode(&again, &"other".parse().expect("a name"), None).is_err());
        }
    }
    match strict {
        Ok(tip) => {
            assert!(is_signed(&record), "accepted without a signature");
            assert_eq!(open, Ok(tip));
        }
        Err(refusal) => {
            assert!(open.is_err() || (refusal.reason == Reason::Signature && !is_signed(&record)))
        }
    }
}

/// Whether the chain leads from the full pack to the commit.
fn is_connected(tip: &Tip) -> bool {
    let tip = &tip.tip;
    let mut at = tip.chain.first().map_or(tip.commit, |link| link.from);
    let mut passed = vec![at];
    for link in &tip.chain {
        if link.from != at {
            return false;
        }
        at = link.to;
        passed.push(at);
    }
    at == tip.commit && passed.contains(&tip.full.0)
}

/// The record that is meant.
fn completed(data: &[u8]) -> Option<Vec<u8>> {
    let mut record: Value = serde_json::from_slice(data).ok()?;
    let payload = match record.get("payload")? {
        Value::String(text) => STANDARD.decode(text).ok()?,
        payload => payload.to_string().into_bytes(),
    };
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).ok()?;
    let signature = STANDARD.encode(key.sign(&message(&payload)));
    *record.get_mut("payload")? = STANDARD.encode(&payload).into();
    for one in record.get_mut("signatures").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(sig) = one.get_mut("sig").filter(|sig| *sig == "@") {
            *sig = signature.clone().into();
        }
    }
    Some(record.to_string().into_bytes())
}

/// Whether one of the first signatures is by the key, by plainer code.
fn is_signed(record: &[u8]) -> bool {
    let Ok(record) = serde_json::from_slice::<Value>(record) else { return false };
    let bytes =
        |value: &Value| value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let key = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref().to_vec());
    let message = message(&bytes(&record["payload"]));
    let all = record["signatures"].as_array().cloned().unwrap_or_default();
    all.iter().take(8).any(|one| key.verify(&message, &bytes(&one["sig"])).is_ok())
}

/// What is signed, by DSSE.
fn message(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A URL of a relay: it is printed as one that means the same.
pub fn url(data: &[u8]) {
    let text = text(data);
    match text.parse::<RelayUrl>() {
        Ok(url) => {
            let shown = url.to_string();
            assert!(!shown.contains(|c: char| c.is_control() || c == ' '), "{shown:?}");
            assert_eq!(shown.parse::<RelayUrl>().as_ref(), Ok(&url), "{shown}");
            let scheme = shown.split("://").next().unwrap_or_default();
            let kind = match scheme {
                "nats" | "tls" => EngineKind::Nats,
                "http" | "https" => EngineKind::Http,
                "s3" => EngineKind::S3,
                _ => EngineKind::Directory,
            };
            assert_eq!(url.kind(), kind);
        }
        Err(err) => assert!(!err.to_string().contains(char::is_control), "{err}"),
    }
}
