//! Push hooks: what counts, and what is in forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use syncline::fuzzing;

/// The secret of all requests, which nobody guesses.
const SECRET: &str = "the secret of the push hooks";

/// When all requests come.
const NOW: u64 = 1_800_000_000;

/// Lines of headers, an empty line, and a body. A header whose value is `@` has the signature that fits the body.
pub fn push(data: &[u8]) {
    let end = data.windows(2).position(|bytes| bytes == b"\n\n").unwrap_or(data.len());
    let (head, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 2..).unwrap_or_default());
    let good = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body).as_ref());
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> =
        pairs.map(|(name, value)| (name.to_lowercase(), value.replace('@', &good))).collect();
    let given: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (authentic, verdict) = fuzzing::push(&given, body, SECRET, NOW);
    let has = |text: &str| headers.iter().any(|(_, value)| value.to_lowercase().contains(text));
    if authentic.is_ok() {
        // The same by plainer code: the signature of the body, or of what is in a form.
        let inside = fuzzing::form_payload(body, 1);
        let inner = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), &inside).as_ref());
        assert!(has(&good) || has(&inner) || has(SECRET) || given.iter().any(is_login), "{given:?}");
    }
    if let [(name, value)] = &given[..]
        && *name == "x-hub-signature-256"
        && value.strip_prefix("sha256=") == Some(good.as_str())
    {
        assert!(authentic.is_ok());
    }
    let (other, same) = fuzzing::push(&given, body, "another secret, as long", NOW);
    assert!(other.is_err() && same == verdict, "what it means does not depend on the secret");
}

/// What is in a form does not depend on how it arrives, and is what plainer code finds.
pub fn form(data: &[u8]) {
    let whole = fuzzing::form_payload(data, data.len());
    for piece in [1, 2, 7] {
        assert_eq!(fuzzing::form_payload(data, piece), whole);
    }
    let fields = data.split(|byte| *byte == b'&');
    let field = fields.filter_map(|field| field.strip_prefix(b"payload=")).next().unwrap_or_default();
    let spaced: Vec<u8> = field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let plain: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    assert_eq!(whole, plain);
}

/// Whether a header is a login with the secret.
fn is_login((_, value): &(&str, &str)) -> bool {
    let encoded = value.split_once(' ').and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok());
    encoded.is_some_and(|login| login.ends_with(format!(":{SECRET}").as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
