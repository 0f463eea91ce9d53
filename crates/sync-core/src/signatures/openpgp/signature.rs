//! Which signatures of objects are looked at: the first point of the policy in docs/signatures.md.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType, SignatureVersion, SubpacketData};

use super::packets::{SIGNATURE, dearmor, packets};
use super::{DAY, date};
use crate::signatures::Refusal;
use crate::signatures::RefusalReason::{Ambiguous, Bad, Expired, Unsupported, Weak};

/// The type id of a signature.
const SIGNATURE_PACKET: u8 = 2;

/// Read the armored signature of an object, and when it was made. `now` is in seconds since 1970 (UTC).
pub(super) fn read(armored: &str, now: u64) -> Result<(Signature, u64), Refusal> {
    let malformed = |err: String| Refusal::new(Bad, format!("its signature cannot be read: {err}"));
    let blocks = dearmor(armored, SIGNATURE).map_err(malformed)?;
    let [block] = &blocks[..] else {
        return Err(malformed("it is not one block of BEGIN PGP SIGNATURE".into()));
    };
    let packets = packets(block).map_err(malformed)?;
    let packet = match packets[..] {
        [packet] if packet.kind == SIGNATURE_PACKET => packet,
        [packet] => return Err(malformed(format!("it has a packet of type {}", packet.kind))),
        _ => return Err(Refusal::new(Ambiguous, format!("its signature has {} packets", packets.len()))),
    };
    let signature = match PacketParser::new(packet.bytes).next() {
        Some(Ok(Packet::Signature(signature))) => signature,
        Some(Err(err)) => return Err(malformed(err.to_string().escape_debug().to_string())),
        _ => return Err(malformed("it is no signature".into())),
    };
    let made = judge(&signature, now)?;
    Ok((signature, made))
}

fn judge(signature: &Signature, now: u64) -> Result<u64, Refusal> {
    if !is_current_version(signature) {
        return Err(Refusal::new(Unsupported, "its signature has a version other than 4 and 6"));
    }
    if signature.typ() != Some(SignatureType::Binary) {
        return Err(Refusal::new(Bad, "its signature is not about the bytes as they are"));
    }
    match signature.hash_alg() {
        Some(hash) if is_strong(hash) => {}
        Some(hash) => {
            return Err(Refusal::new(Weak, format!("signed with {hash}, which is too weak")));
        }
        None => return Err(Refusal::new(Unsupported, "its signature has no hash algorithm")),
    }
    if let Err(fault) = check_subpackets(signature) {
        return Err(Refusal::new(Unsupported, format!("its signature {fault}")));
    }
    let Some(made) = made(signature) else {
        return Err(Refusal::new(Bad, "its signature does not say when it was made"));
    };
    if made > now + DAY {
        return Err(Refusal::new(Bad, format!("signed on {}, which is in the future", date(made))));
    }
    match expiry(signature) {
        Some(end) if end <= now => {
            Err(Refusal::new(Expired, format!("its signature expired on {}", date(end))))
        }
        _ => Ok(made),
    }
}

pub(super) fn is_current_version(signature: &Signature) -> bool {
    matches!(signature.version(), SignatureVersion::V4 | SignatureVersion::V6)
}

/// Whether collisions of a hash algorithm are out of reach.
pub(super) fn is_strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(hash, Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512)
}

/// Whether a signature says something that must be understood and is not, or says something twice.
pub(super) fn check_subpackets(signature: &Signature) -> Result<(), &'static str> {
    let Some(config) = signature.config() else { return Err("is of an unknown form") };
    let mut is_seen = [false; 5];
    for subpacket in &config.hashed_subpackets {
        let is_unknown = matches!(
            subpacket.data,
            SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..)
        );
        if subpacket.is_critical && is_unknown {
            return Err("has a critical subpacket that is not known");
        }
        let single = match subpacket.data {
            SubpacketData::SignatureCreationTime(_) => 0,
            SubpacketData::SignatureExpirationTime(_) => 1,
            SubpacketData::KeyExpirationTime(_) => 2,
            SubpacketData::KeyFlags(_) => 3,
            SubpacketData::RevocationReason(..) => 4,
            _ => continue,
        };
        if std::mem::replace(&mut is_seen[single], true) {
            return Err("has a subpacket twice");
        }
    }
    Ok(())
}

/// When a signature was made, in seconds since 1970 (UTC). Only what is signed counts.
pub(super) fn made(signature: &Signature) -> Option<u64> {
    signature.created().map(|time| time.as_secs().into())
}

/// When it expires.
pub(super) fn expiry(signature: &Signature) -> Option<u64> {
    let length = signature.signature_expiration_time().map(|length| u64::from(length.as_secs()));
    length.filter(|length| *length > 0).zip(made(signature)).map(|(length, made)| made + length)
}
