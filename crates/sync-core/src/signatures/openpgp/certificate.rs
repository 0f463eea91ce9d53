//! OpenPGP certificates: keys with user ids, and what was signed about them (RFC 9580, section 10.1).

use pgp::packet::{Packet, PacketParser, PublicKey, PublicSubkey, Signature, SignatureType, UserId};
use pgp::types::{Fingerprint, KeyDetails, KeyId, KeyVersion};

use super::packets::{PUBLIC_KEY, RawPacket, dearmor, packets};

/// The largest certificate, in bytes.
const MAX_CERTIFICATE: usize = 1 << 20;

/// A key with its names, which are costly to work out.
#[derive(Clone, Debug)]
pub(super) struct Key<K> {
    pub(super) key: K,
    pub(super) id: KeyId,
    pub(super) fingerprint: Fingerprint,
    /// What was signed about the key alone, in any order and by anybody.
    pub(super) signatures: Vec<Signature>,
}

/// A certificate. Nothing of it is verified yet.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) primary: Key<PublicKey>,
    pub(super) user_ids: Vec<(UserId, Vec<Signature>)>,
    pub(super) subkeys: Vec<Key<PublicSubkey>>,
}

/// The certificates of a file, armored or binary. There is at least one.
pub(super) fn parse(content: &[u8]) -> Result<Vec<Certificate>, String> {
    let blocks = if content.first().is_some_and(|first| first & 0x80 != 0) {
        vec![content.to_vec()]
    } else {
        dearmor(&String::from_utf8_lossy(content), PUBLIC_KEY)?
    };
    let mut certificates = Vec::new();
    for block in &blocks {
        for packets in packets(block)?.chunk_by(|_, next| next.kind != PUBLIC) {
            certificates.extend(certificate(packets)?);
        }
    }
    match certificates.is_empty() {
        true => Err("it has no OpenPGP certificate that can be used".into()),
        false => Ok(certificates),
    }
}

const SIGNATURE: u8 = 2;
const SECRET: u8 = 5;
const PUBLIC: u8 = 6;
const SECRET_SUBKEY: u8 = 7;
const MARKER: u8 = 10;
const TRUST: u8 = 12;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;
const USER_ATTRIBUTE: u8 = 17;
const PADDING: u8 = 21;

/// What the next signature is about.
enum About {
    Key,
    UserId,
    Subkey,
    /// A part that is not looked at.
    Other,
}

/// A certificate; `None` if its primary key is of a kind that is not known.
fn certificate(packets: &[RawPacket<'_>]) -> Result<Option<Certificate>, String> {
    if packets.iter().any(|packet| matches!(packet.kind, SECRET | SECRET_SUBKEY)) {
        return Err("it has a secret key, which must not be here; export the public one".into());
    }
    let (first, rest) = packets.split_first().ok_or("it is empty")?;
    if first.kind != PUBLIC {
        return Err(format!("it begins with a packet of type {}, not with a public key", first.kind));
    }
    if packets.iter().map(|packet| packet.bytes.len()).sum::<usize>() > MAX_CERTIFICATE {
        return Err(format!("a certificate has more than {MAX_CERTIFICATE} bytes"));
    }
    let Some(Packet::PublicKey(key)) = read(first) else { return Ok(None) };
    let Some(primary) = Key::new(key) else { return Ok(None) };
    let mut certificate = Certificate { primary, user_ids: Vec::new(), subkeys: Vec::new() };
    let mut about = About::Key;
    for packet in rest {
        match packet.kind {
            SIGNATURE => certificate.add(&about, signature(packet)?),
            MARKER | TRUST | PADDING => {}
            USER_ID | SUBKEY | USER_ATTRIBUTE => about = certificate.next(packet),
            other => return Err(format!("a certificate has a packet of type {other}")),
        }
    }
    Ok(Some(certificate))
}

fn read(packet: &RawPacket<'_>) -> Option<Packet> {
    PacketParser::new(packet.bytes).next()?.ok()
}

/// A signature; `None` if it is of a kind that is not known, and does not revoke anything.
fn signature(packet: &RawPacket<'_>) -> Result<Option<Signature>, String> {
    if let Some(Packet::Signature(signature)) = read(packet) {
        return Ok(Some(signature));
    }
    let kind = packet.content.get(1).map(|kind| SignatureType::from(*kind));
    match kind {
        Some(SignatureType::KeyRevocation | SignatureType::SubkeyRevocation) => {
            Err("a revocation cannot be read".into())
        }
        _ => Ok(None),
    }
}

impl<K: KeyDetails> Key<K> {
    fn new(key: K) -> Option<Self> {
        let is_known = matches!(key.version(), KeyVersion::V4 | KeyVersion::V6);
        let (id, fingerprint) = is_known.then(|| (key.legacy_key_id(), key.fingerprint()))?;
        Some(Key { key, id, fingerprint, signatures: Vec::new() })
    }
}

impl Certificate {
    /// Begin a part that signatures are about.
    fn next(&mut self, packet: &RawPacket<'_>) -> About {
        match read(packet) {
            Some(Packet::UserId(id)) => {
                self.user_ids.push((id, Vec::new()));
                About::UserId
            }
            Some(Packet::PublicSubkey(key)) => Key::new(key).map_or(About::Other, |subkey| {
                self.subkeys.push(subkey);
                About::Subkey
            }),
            _ => About::Other,
        }
    }

    fn add(&mut self, about: &About, signature: Option<Signature>) {
        let signatures = match about {
            About::Key => Some(&mut self.primary.signatures),
            About::UserId => self.user_ids.last_mut().map(|(_, signatures)| signatures),
            About::Subkey => self.subkeys.last_mut().map(|subkey| &mut subkey.signatures),
            About::Other => None,
        };
        if let Some(signatures) = signatures {
            signatures.extend(signature);
        }
    }

    /// Take in what another copy of the same certificate says: a revocation may be in only one of them.
    pub(super) fn merge(&mut self, other: Certificate) {
        self.primary.signatures.extend(other.primary.signatures);
        for (id, signatures) in other.user_ids {
            match self.user_ids.iter_mut().find(|(known, _)| known.id() == id.id()) {
                Some((_, known)) => known.extend(signatures),
                None => self.user_ids.push((id, signatures)),
            }
        }
        for subkey in other.subkeys {
            match self.subkeys.iter_mut().find(|known| known.fingerprint == subkey.fingerprint) {
                Some(known) => known.signatures.extend(subkey.signatures),
                None => self.subkeys.push(subkey),
            }
        }
    }
}
