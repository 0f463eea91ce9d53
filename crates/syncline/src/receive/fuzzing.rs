//! What the targets in `fuzz/` call.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::matching::{Place, Rules, Verdict};
use super::proof::{Comparer, Proof, Refusal, Signed};
use super::secrets::Key;
use super::{body, form, payload};

/// Whether a request counts by this secret at this time, and what it means for a repository at `https://host/x` of
/// which `main` is synced: the first letter of it.
pub fn push(
    headers: &[(&str, &str)],
    content: &[u8],
    secret: &str,
    now: u64,
) -> (Result<(), Refusal>, String) {
    let pairs = headers.iter().filter_map(|(name, value)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    });
    let mut all = HeaderMap::new();
    pairs.for_each(|(name, value)| _ = all.append(name, value));
    let is_form = body::is_form(&all);
    let json = if is_form { form::payload(content, content.len()) } else { content.to_vec() };
    let (_, report) = payload::read(&all, Some(&json));
    let rules = Rules {
        places: Place::parse("https://host/x").into_iter().collect(),
        any_repo: false,
        reference: "main".parse().ok(),
    };
    let verdict: Verdict = rules.judge(&report);
    (authentic(&all, content, is_form, secret, now), format!("{verdict:?}"))
}

fn authentic(
    headers: &HeaderMap,
    content: &[u8],
    is_form: bool,
    secret: &str,
    now: u64,
) -> Result<(), Refusal> {
    let proof = Proof::of(headers)?;
    let keys: Vec<Key> = Key::new(secret).into_iter().collect();
    let comparer = Comparer::new().map_err(|_| Refusal::None)?;
    let Some(mut signed) = Signed::new(&proof, &keys, is_form) else {
        return if comparer.admits(&proof, &keys, None) { Ok(()) } else { Err(Refusal::Wrong) };
    };
    let mut inside = form::Form::default();
    for piece in content.chunks(7) {
        signed.body(piece);
        inside.push(piece, &mut |bytes| signed.inside(bytes));
    }
    inside.finish(&mut |bytes| signed.inside(bytes));
    signed.judge(&comparer, now)
}
