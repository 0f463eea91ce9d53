//! Which keys of a certificate may sign, by what its owner signed about them: the points of the policy in
//! docs/signatures.md that are about keys.

use std::borrow::Cow;

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType, SubpacketData, UserId};
use pgp::ser::Serialize;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams, Tag};

use super::certificate::{Certificate, Key};
use super::signature::{check_subpackets, expiry, is_current_version, is_strong, made};
use super::{DAY, date};
use crate::signatures::RefusalReason::{self, Bad, Expired, Revoked, Unsupported, Untrusted, Weak};

/// The smallest RSA key that is accepted, in bits.
const MIN_RSA_BITS: u16 = 2048;

/// What owners signed with SHA-1 about their own keys counts up to this day, 2019-01-19, in seconds since 1970. From
/// then on GnuPG ignores SHA-1 where others certify keys.
pub(super) const END_OF_SHA1: u64 = 1_547_856_000;

pub(super) type Fault = (RefusalReason, String);

/// The moments that matter for a signature, in seconds since 1970 (UTC).
pub(super) struct Times {
    /// When it was made.
    pub(super) made: u64,
    /// When keys must be valid.
    pub(super) valid: Vec<u64>,
    pub(super) now: u64,
}

impl Certificate {
    /// Check that the primary key may sign.
    pub(super) fn check_primary(&self, times: &Times) -> Result<Statements<'_>, Fault> {
        let statements = self.statements(times)?;
        check_flags(&statements.at_each)?;
        self.check_life(&statements, times)?;
        Ok(statements)
    }

    /// Check that a subkey may sign.
    pub(super) fn check_subkey<K>(&self, subkey: &Key<K>, times: &Times) -> Result<Statements<'_>, Fault>
    where
        K: pgp::types::VerifyingKey + Serialize,
    {
        let statements = self.statements(times)?;
        let is_own = |signature: &&Signature| {
            signature.typ() == Some(SignatureType::SubkeyBinding)
                && is_sound(signature, times.now)
                && signature.verify_subkey_binding(&self.primary.key, &subkey.key).is_ok()
        };
        let bindings: Vec<&Signature> = subkey.signatures.iter().filter(is_own).collect();
        let bindings = at_each(&bindings, times)
            .ok_or_else(|| (Untrusted, "whose subkey is not bound to its certificate".to_owned()))?;
        check_flags(&bindings)?;
        // Without it, somebody could bind a stranger's subkey to a certificate of their own.
        if !bindings.iter().all(|binding| self.is_bound_back(subkey, binding, times)) {
            return Err((Untrusted, "whose subkey does not confirm its certificate".into()));
        }
        check_age(&subkey.key, &bindings, times)?;
        self.check_life(&statements, times)?;
        let revocation = subkey.signatures.iter().find(|signature| {
            signature.typ() == Some(SignatureType::SubkeyRevocation)
                && revokes(signature, &KEY_IS_RETIRED, &times.valid)
                && signature.verify_subkey_binding(&self.primary.key, &subkey.key).is_ok()
        });
        revocation.map_or(Ok(statements), |revocation| Err(revoked("whose subkey", revocation)))
    }

    /// Whether a subkey signed that it belongs to this certificate (RFC 9580, section 5.2.1.9).
    fn is_bound_back<K>(&self, subkey: &Key<K>, binding: &Signature, times: &Times) -> bool
    where
        K: pgp::types::VerifyingKey + Serialize,
    {
        binding.embedded_signature().is_some_and(|back| {
            is_sound(back, times.now)
                && times.valid.iter().all(|time| expiry(back).is_none_or(|end| *time < end))
                && back.verify_primary_key_binding(&subkey.key, &self.primary.key).is_ok()
        })
    }

    /// Check that the primary key is neither expired nor revoked.
    fn check_life(&self, statements: &Statements<'_>, times: &Times) -> Result<(), Fault> {
        check_age(&self.primary.key, &statements.at_each, times)?;
        let revocation = self.primary.signatures.iter().find(|signature| {
            signature.typ() == Some(SignatureType::KeyRevocation)
                && revokes(signature, &KEY_IS_RETIRED, &times.valid)
                && signature.verify_key(&self.primary.key).is_ok()
        });
        revocation.map_or(Ok(()), |revocation| Err(revoked("whose key", revocation)))
    }

    /// What the owner says of the primary key.
    fn statements(&self, times: &Times) -> Result<Statements<'_>, Fault> {
        let direct = self.primary.signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::Key)
                && is_statement(signature, times.now)
                && signature.verify_key(&self.primary.key).is_ok()
        });
        let mut all: Vec<&Signature> = direct.collect();
        let (mut user_id, mut is_primary) = (None, false);
        for (id, signatures) in &self.user_ids {
            let own = self.of_user(id, signatures, times);
            let is_better = !is_primary && own.iter().any(|statement| statement.is_primary());
            if is_better || user_id.is_none() && !own.is_empty() {
                (user_id, is_primary) = (Some(id), is_better);
            }
            all.extend(own);
        }
        let at_each = at_each(&all, times)
            .ok_or_else(|| (Untrusted, "whose certificate says nothing valid of its key".to_owned()))?;
        Ok(Statements { at_each, user_id })
    }

    /// What the owner says with a user id, unless the id is revoked.
    fn of_user<'a>(&self, id: &UserId, signatures: &'a [Signature], times: &Times) -> Vec<&'a Signature> {
        let verifies = |signature: &Signature| {
            signature.verify_certification(&self.primary.key, Tag::UserId, id).is_ok()
        };
        let is_revoked = signatures.iter().any(|signature| {
            signature.typ() == Some(SignatureType::CertRevocation)
                && revokes(signature, &USER_ID_IS_RETIRED, &times.valid)
                && verifies(signature)
        });
        let is_own = |signature: &&Signature| {
            signature.is_certification() && is_statement(signature, times.now) && verifies(signature)
        };
        if is_revoked { Vec::new() } else { signatures.iter().filter(is_own).collect() }
    }
}

/// What the owner of a certificate says of its primary key. It is verified.
pub(super) struct Statements<'a> {
    /// The newest at each moment of [`Times::valid`].
    at_each: Vec<&'a Signature>,
    /// A user id, the one marked as primary if there is one.
    user_id: Option<&'a UserId>,
}

impl Statements<'_> {
    /// The user id, which is a stranger's text.
    pub(super) fn user_id(&self) -> Option<Cow<'_, str>> {
        self.user_id.map(|id| String::from_utf8_lossy(id.id()))
    }
}

/// Whether a signature can be about what a key is for: without key flags it is not.
fn is_statement(signature: &Signature, now: u64) -> bool {
    let flags = |config: &pgp::packet::SignatureConfig| {
        config.hashed_subpackets.iter().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
    };
    is_sound(signature, now) && signature.config().is_some_and(flags)
}

/// Whether a signature about a key is understood and strong enough. Who made it is not checked here.
fn is_sound(signature: &Signature, now: u64) -> bool {
    let Some((made, hash)) = made(signature).zip(signature.hash_alg()) else { return false };
    let is_strong = is_strong(hash) || hash == HashAlgorithm::Sha1 && made < END_OF_SHA1;
    is_strong && made <= now + DAY && is_current_version(signature) && check_subpackets(signature).is_ok()
}

/// For each moment the newest signature that was made until then and has not expired. If all were made later it is the
/// earliest of them: exports often leave out what a newer one replaces.
fn at_each<'a>(signatures: &[&'a Signature], times: &Times) -> Option<Vec<&'a Signature>> {
    let at = |time: &u64| {
        let valid = || signatures.iter().filter(|signature| expiry(signature).is_none_or(|end| *time < end));
        let until_then = valid().filter(|signature| made(signature).is_some_and(|made| made <= *time));
        let newest = until_then.max_by_key(|signature| made(signature));
        newest.or_else(|| valid().min_by_key(|signature| made(signature))).copied()
    };
    times.valid.iter().map(at).collect()
}

fn check_flags(statements: &[&Signature]) -> Result<(), Fault> {
    match statements.iter().all(|statement| statement.key_flags().sign()) {
        true => Ok(()),
        false => Err((Untrusted, "whose key is not for signing".into())),
    }
}

/// Check that a key existed when the signature was made, and has not expired.
fn check_age(key: &impl KeyDetails, statements: &[&Signature], times: &Times) -> Result<(), Fault> {
    let created = u64::from(key.created_at().as_secs());
    if times.made < created {
        return Err((Bad, format!("on {}, before the key was made", date(times.made))));
    }
    for (statement, time) in statements.iter().zip(&times.valid) {
        let length = statement.key_expiration_time().map_or(0, |length| u64::from(length.as_secs()));
        if length > 0 && *time >= created + length {
            return Err((Expired, format!("whose key expired on {}", date(created + length))));
        }
    }
    Ok(())
}

/// Reasons with which a revocation counts only from its date on (RFC 9580, section 5.2.3.31).
const KEY_IS_RETIRED: [RevocationCode; 2] = [RevocationCode::KeySuperseded, RevocationCode::KeyRetired];
const USER_ID_IS_RETIRED: [RevocationCode; 1] = [RevocationCode::CertUserIdInvalid];

/// Whether a revocation counts at one of these moments.
fn revokes(revocation: &Signature, from_its_date: &[RevocationCode], times: &[u64]) -> bool {
    let is_soft = revocation.revocation_reason_code().is_some_and(|code| from_its_date.contains(code));
    match made(revocation).filter(|_| is_soft) {
        Some(made) => times.iter().any(|time| *time >= made),
        None => true,
    }
}

fn revoked(what: &str, revocation: &Signature) -> Fault {
    let day = made(revocation).map_or(String::new(), |made| format!(" on {}", date(made)));
    (Revoked, format!("{what} was revoked{day}"))
}

/// Check that a key is of a kind that is strong enough.
pub(super) fn check_strength(key: &impl KeyDetails) -> Result<(), Fault> {
    match key.public_params() {
        PublicParams::RSA(params) => {
            // The modulus comes first, with its length in bits (RFC 9580, section 3.2).
            let mut encoded = Vec::new();
            let bits = match params.to_writer(&mut encoded) {
                Ok(()) => encoded.first_chunk().map_or(0, |length| u16::from_be_bytes(*length)),
                Err(_) => 0,
            };
            match bits >= MIN_RSA_BITS {
                true => Ok(()),
                false => Err((Weak, format!("an RSA key of {bits} bits, which is too weak"))),
            }
        }
        PublicParams::DSA(_) => Err((Weak, "a DSA key, which is too weak".into())),
        PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        )
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => Ok(()),
        _ => Err((Unsupported, format!("a key of kind {:?}, which is not verified", key.algorithm()))),
    }
}
