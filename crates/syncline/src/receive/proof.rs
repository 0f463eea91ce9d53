//! What shows that a hook comes from somebody who knows the secret. Only the first proof that a request brings is tried:
//! a wrong one is not made up for by a weaker one.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{hmac, rand};
use sync_core::Secret;

use super::secrets::Key;

/// How far a sender's clock may be off, in seconds.
const TOLERANCE: u64 = 300;

/// A proof, not yet tried.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// A signature of the body; of a form, also of what is in it.
    Mac([u8; 32]),
    /// Signatures of `before` and the body, as Standard Webhooks has them.
    Standard {
        before: String,
        time: u64,
        tags: Vec<[u8; 32]>,
    },
    /// The secret itself.
    Token(Secret),
    Login {
        user: String,
        password: Secret,
    },
}

/// Why a request is refused, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    None,
    Malformed,
    Wrong,
    /// It would fit, but for the time in it.
    Clock,
}

impl Refusal {
    pub fn describe(self) -> &'static str {
        match self {
            Refusal::None => "it has no signature or token",
            Refusal::Malformed => "its signature or token is malformed",
            Refusal::Wrong => "its signature or token does not fit",
            Refusal::Clock => {
                "its time differs from the clock here by more than 5 minutes; one of both is wrong"
            }
        }
    }
}

/// How a header holds its proof.
#[derive(Clone, Copy)]
enum Form {
    Standard,
    /// `sha256=` and 64 digits.
    Prefixed,
    /// The same, unless another algorithm is named: then the header does not count.
    PrefixedOrOther,
    /// 64 digits.
    Hex,
    Token,
    Authorization,
}

/// The first that is there counts.
const HEADERS: [(&str, Form); 9] = [
    ("webhook-signature", Form::Standard),
    ("x-hub-signature-256", Form::Prefixed),
    ("x-forgejo-signature", Form::Hex),
    ("x-gitea-signature", Form::Hex),
    ("x-gogs-signature", Form::Hex),
    ("x-hub-signature", Form::PrefixedOrOther),
    ("x-signature", Form::Prefixed),
    ("x-gitlab-token", Form::Token),
    ("authorization", Form::Authorization),
];

impl Proof {
    /// The proof that a request brings.
    pub fn of(headers: &HeaderMap) -> Result<Proof, Refusal> {
        let counts = |form: Form, value: &HeaderValue| {
            !matches!(form, Form::PrefixedOrOther) || value.as_bytes().starts_with(b"sha256=")
        };
        let found =
            HEADERS.iter().find(|(name, form)| headers.get(*name).is_some_and(|value| counts(*form, value)));
        let (name, form) = found.ok_or(Refusal::None)?;
        let value = only(headers, name).ok_or(Refusal::Malformed)?;
        let proof = match form {
            Form::Standard => standard(headers, value),
            Form::Prefixed | Form::PrefixedOrOther => {
                value.strip_prefix("sha256=").and_then(digits).map(Proof::Mac)
            }
            Form::Hex => digits(value).map(Proof::Mac),
            Form::Token => Some(Proof::Token(value.into())),
            Form::Authorization => authorization(value),
        };
        proof.ok_or(Refusal::Malformed)
    }

    /// Whether the body has no part in it.
    pub fn needs_no_body(&self) -> bool {
        matches!(self, Proof::Token(_) | Proof::Login { .. })
    }
}

/// A header that must be there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn standard(headers: &HeaderMap, value: &str) -> Option<Proof> {
    let (id, timestamp) = (only(headers, "webhook-id")?, only(headers, "webhook-timestamp")?);
    // Other versions are passed over.
    let tags =
        value.split(' ').filter_map(|part| BASE64.decode(part.strip_prefix("v1,")?).ok()?.try_into().ok());
    let time = timestamp.parse().ok()?;
    Some(Proof::Standard { before: format!("{id}.{timestamp}."), time, tags: tags.collect() })
}

fn authorization(value: &str) -> Option<Proof> {
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(Proof::Token(rest.trim().into())),
        "basic" => {
            let login = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = login.split_once(':')?;
            Some(Proof::Login { user: user.to_owned(), password: password.into() })
        }
        _ => None,
    }
}

/// 64 hexadecimal digits, and nothing else.
fn digits(text: &str) -> Option<[u8; 32]> {
    let nibbles = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let bytes: Vec<u8> = nibbles.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    if nibbles.len() == 64 { bytes.try_into().ok() } else { None }
}

/// Compares in a time that does not depend on where two texts differ: under a key that nobody knows, they become
/// signatures.
#[derive(Debug)]
pub struct Comparer(hmac::Key);

impl Comparer {
    pub fn new() -> Result<Comparer, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        key.map(Comparer).map_err(|_| "the system gives no random numbers".to_owned())
    }

    fn is_same(&self, one: &[u8], other: &[u8]) -> bool {
        hmac::verify(&self.0, one, hmac::sign(&self.0, other).as_ref()).is_ok()
    }

    /// Whether a proof that needs no body fits.
    pub fn admits(&self, proof: &Proof, keys: &[Key], user: Option<&str>) -> bool {
        let (given, is_user) = match proof {
            Proof::Token(token) => (token, true),
            Proof::Login { user: given, password } => {
                (password, user.is_none_or(|user| self.is_same(user.as_bytes(), given.as_bytes())))
            }
            Proof::Mac(_) | Proof::Standard { .. } => return false,
        };
        // All are tried, so that the time does not tell which one fits.
        keys.iter().fold(false, |fits, key| fits | self.is_same(key.text(), given.expose().as_bytes()))
            && is_user
    }
}

/// Checks the signature of a body that arrives in pieces.
pub struct Signed {
    /// Of the body as it is, by each key.
    raw: Vec<hmac::Context>,
    /// Of what is in a form.
    inner: Vec<hmac::Context>,
    tags: Vec<[u8; 32]>,
    /// When it was signed, in seconds since 1970, if that counts.
    time: Option<u64>,
}

impl Signed {
    /// `None` if the proof needs no body.
    pub fn new(proof: &Proof, keys: &[Key], is_form: bool) -> Option<Signed> {
        match proof {
            Proof::Mac(tag) => {
                let contexts =
                    || keys.iter().map(|key| hmac::Context::with_key(key.mac())).collect::<Vec<_>>();
                let inner = if is_form { contexts() } else { Vec::new() };
                Some(Signed { raw: contexts(), inner, tags: vec![*tag], time: None })
            }
            Proof::Standard { before, time, tags } => {
                let contexts = keys.iter().map(|key| {
                    let mut context = hmac::Context::with_key(key.standard());
                    context.update(before.as_bytes());
                    context
                });
                Some(Signed {
                    raw: contexts.collect(),
                    inner: Vec::new(),
                    tags: tags.clone(),
                    time: Some(*time),
                })
            }
            Proof::Token(_) | Proof::Login { .. } => None,
        }
    }

    /// A piece of the body.
    pub fn body(&mut self, piece: &[u8]) {
        self.raw.iter_mut().for_each(|context| context.update(piece));
    }

    /// A piece of what is in the form.
    pub fn inside(&mut self, piece: &[u8]) {
        self.inner.iter_mut().for_each(|context| context.update(piece));
    }

    /// Whether the signature fits, now being so many seconds after 1970.
    pub fn judge(self, comparer: &Comparer, now: u64) -> Result<(), Refusal> {
        let own: Vec<hmac::Tag> = self.raw.into_iter().chain(self.inner).map(hmac::Context::sign).collect();
        let pairs = own.iter().flat_map(|own| self.tags.iter().map(move |tag| (own, tag)));
        if !pairs.fold(false, |fits, (own, tag)| fits | comparer.is_same(own.as_ref(), tag)) {
            return Err(Refusal::Wrong);
        }
        match self.time {
            Some(time) if time.abs_diff(now) > TOLERANCE => Err(Refusal::Clock),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    /// As GitHub's documentation has it.
    const HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn keys(secrets: &[&str]) -> Vec<Key> {
        secrets.iter().map(|secret| Key::new(secret).unwrap()).collect()
    }

    fn try_all(list: &[(&'static str, &str)], secrets: &[&str], body: &str, now: u64) -> Result<(), Refusal> {
        let (proof, keys) = (Proof::of(&headers(list))?, keys(secrets));
        let comparer = Comparer::new().unwrap();
        match Signed::new(&proof, &keys, false) {
            None if comparer.admits(&proof, &keys, None) => Ok(()),
            None => Err(Refusal::Wrong),
            Some(mut signed) => {
                body.as_bytes().chunks(3).for_each(|piece| signed.body(piece));
                signed.judge(&comparer, now)
            }
        }
    }

    #[test]
    fn signatures_tokens_and_logins_are_checked() {
        let prefixed = format!("sha256={HEX}");
        let wrong = format!("sha256={}", HEX.replace('7', "8"));
        let bearer = format!("Bearer {SECRET}");
        let basic = format!("basic {}", BASE64.encode(format!("any:{SECRET}")));
        for (list, expected) in [
            (&[("x-hub-signature-256", prefixed.as_str())][..], Ok(())),
            (&[("x-hub-signature-256", &prefixed.to_uppercase().replace("SHA", "sha"))], Ok(())),
            (&[("x-hub-signature", &prefixed)], Ok(())),
            (&[("x-signature", &prefixed)], Ok(())),
            (&[("x-gitea-signature", HEX)], Ok(())),
            (&[("x-forgejo-signature", HEX)], Ok(())),
            (&[("x-gogs-signature", HEX)], Ok(())),
            (&[("x-gitlab-token", SECRET)], Ok(())),
            (&[("authorization", &bearer)], Ok(())),
            (&[("authorization", &basic)], Ok(())),
            (&[], Err(Refusal::None)),
            (&[("x-hub-signature", "sha1=0123456789012345678901234567890123456789")], Err(Refusal::None)),
            (&[("x-hub-signature-256", &wrong)], Err(Refusal::Wrong)),
            (&[("x-hub-signature-256", &prefixed[..70])], Err(Refusal::Malformed)),
            (&[("x-hub-signature-256", &format!("{prefixed}0"))], Err(Refusal::Malformed)),
            (&[("x-hub-signature-256", &prefixed.replace('e', "g"))], Err(Refusal::Malformed)),
            (&[("x-hub-signature-256", HEX)], Err(Refusal::Malformed)),
            (&[("x-hub-signature-256", "")], Err(Refusal::Malformed)),
            (&[("x-gitea-signature", &prefixed)], Err(Refusal::Malformed)),
            (&[("x-gitlab-token", "It's a Secret to Nobody")], Err(Refusal::Wrong)),
            (&[("authorization", "Bearer ")], Err(Refusal::Wrong)),
            (&[("authorization", "Digest x")], Err(Refusal::Malformed)),
            (&[("authorization", "Basic !")], Err(Refusal::Malformed)),
        ] {
            assert_eq!(try_all(list, &["another secret, of earlier", SECRET], BODY, 0), expected, "{list:?}");
        }
    }

    #[test]
    fn a_wrong_proof_is_not_made_up_for_by_another() {
        let (good, wrong) = (format!("sha256={HEX}"), format!("sha256={}", HEX.replace('7', "8")));
        let two = [("x-hub-signature-256", wrong.as_str()), ("x-gitlab-token", SECRET)];
        assert_eq!(try_all(&two, &[SECRET], BODY, 0), Err(Refusal::Wrong));
        let first = [("x-gitlab-token", "wrong"), ("x-hub-signature-256", good.as_str())];
        assert_eq!(try_all(&first, &[SECRET], BODY, 0), Ok(()));
        let mut twice = headers(&[("x-hub-signature-256", &good)]);
        twice.append("x-hub-signature-256", good.parse().unwrap());
        assert_eq!(Proof::of(&twice), Err(Refusal::Malformed));
    }

    #[test]
    fn a_form_is_signed_as_it_is_or_by_what_is_in_it() {
        let (proof, keys, comparer) =
            (Proof::Mac(digits(HEX).unwrap()), keys(&[SECRET]), Comparer::new().unwrap());
        for (raw, inner, fits) in [(BODY, "x", true), ("x", BODY, true), ("x", "x", false)] {
            let mut signed = Signed::new(&proof, &keys, true).unwrap();
            signed.body(raw.as_bytes());
            signed.inside(inner.as_bytes());
            assert_eq!(signed.judge(&comparer, 0).is_ok(), fits);
        }
        let mut json = Signed::new(&proof, &keys, false).unwrap();
        json.body(b"x");
        json.inside(BODY.as_bytes());
        assert_eq!(json.judge(&comparer, 0), Err(Refusal::Wrong));
    }

    /// The example of the specification's library.
    #[test]
    fn standard_webhooks_have_a_time_and_perhaps_several_signatures() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = r#"{"test": 2432232314}"#;
        let tag = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let signed = 1_614_265_330;
        let list = |signature: &'static str| {
            [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ]
        };
        for (signature, now, expected) in [
            (tag, signed, Ok(())),
            (tag, signed + 300, Ok(())),
            (tag, signed - 300, Ok(())),
            (tag, signed + 301, Err(Refusal::Clock)),
            (tag, 0, Err(Refusal::Clock)),
            ("v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signed, Ok(())),
            ("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signed, Err(Refusal::Wrong)),
            ("", signed, Err(Refusal::Wrong)),
        ] {
            assert_eq!(try_all(&list(signature), &[secret], body, now), expected, "{signature} {now}");
        }
        assert_eq!(
            try_all(&list(tag)[1..], &[secret], body, signed),
            Err(Refusal::Malformed),
            "without an id"
        );
        assert_eq!(try_all(&list(tag), &[SECRET], body, signed), Err(Refusal::Wrong));
    }

    #[test]
    fn a_user_that_is_named_has_to_be_the_one() {
        let (keys, comparer) = (keys(&[SECRET]), Comparer::new().unwrap());
        let login =
            |user: &str, password: &str| Proof::Login { user: user.into(), password: password.into() };
        for (user, password, wanted, fits) in [
            ("me", SECRET, Some("me"), true),
            ("you", SECRET, Some("me"), false),
            ("me", "no", Some("me"), false),
            ("", SECRET, None, true),
        ] {
            assert_eq!(comparer.admits(&login(user, password), &keys, wanted), fits, "{user}");
        }
    }
}
