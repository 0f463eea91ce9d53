//! The record that an engine holds: a payload in a DSSE envelope, and a small pack beside it.
//!
//! The signature covers the payload as DSSE's pre-authentication encoding has it
//! (<https://github.com/secure-systems-lab/dsse>). Without a signing key the list of signatures is empty. The pack needs
//! no signature: the payload has its digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::engine::LARGEST_TIP;
use crate::keys::{PublicKeys, SigningKey};
use crate::refusal::{Reason, Refusal};

const PAYLOAD_TYPE: &str = "application/vnd.syncline.tip+json";

/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 8;

/// A payload whose signature fits, if one is demanded, and a pack.
pub(crate) struct Opened {
    pub(crate) payload: Vec<u8>,
    pub(crate) inline: Option<Vec<u8>>,
}

/// Pack a payload for an engine.
pub(crate) fn seal(payload: &[u8], inline: Option<&[u8]>, key: Option<&SigningKey>) -> Vec<u8> {
    let signature =
        |key: &SigningKey| json!({ "keyid": key.id(), "sig": STANDARD.encode(key.sign(&signed(payload))) });
    let signatures: Vec<Value> = key.map(signature).into_iter().collect();
    let mut record = json!({
        "payloadType": PAYLOAD_TYPE,
        "payload": STANDARD.encode(payload),
        "signatures": signatures,
    });
    if let Some(inline) = inline {
        record["inline"] = STANDARD.encode(inline).into();
    }
    record.to_string().into_bytes()
}

/// Unpack a record. With `keys`, one of them must have signed it; nothing of the payload is read before.
pub(crate) fn open(record: &[u8], keys: Option<&PublicKeys>) -> Result<Opened, Refusal> {
    let malformed = |text: &str| Refusal::new(Reason::Malformed, text);
    if record.len() > LARGEST_TIP {
        return Err(malformed("it is too large"));
    }
    let record: Value = serde_json::from_slice(record).map_err(|_| malformed("it is no JSON"))?;
    if record["payloadType"] != PAYLOAD_TYPE {
        return Err(malformed("it is no tip of syncline"));
    }
    let decode = |value: &Value| STANDARD.decode(value.as_str()?).ok();
    let payload = decode(&record["payload"]).ok_or_else(|| malformed("its payload cannot be read"))?;
    if let Some(keys) = keys {
        let message = signed(&payload);
        let signatures = record["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fits = |one: &Value| decode(&one["sig"]).is_some_and(|bytes| keys.verify(&message, &bytes));
        if !signatures.iter().take(MOST_SIGNATURES).any(fits) {
            let text = match signatures.is_empty() {
                true => "it is not signed, and --relay-key-file demands a signature",
                false => "no key of --relay-key-file made its signature",
            };
            return Err(Refusal::new(Reason::Signature, text));
        }
    }
    let inline = match &record["inline"] {
        Value::Null => None,
        value => Some(decode(value).ok_or_else(|| malformed("its pack cannot be read"))?),
    };
    Ok(Opened { payload, inline })
}

/// DSSE's pre-authentication encoding.
fn signed(payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}
