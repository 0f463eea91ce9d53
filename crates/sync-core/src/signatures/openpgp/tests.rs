//! Certificates and signatures that GnuPG would not make. What it makes is in tests/signatures/.

use pgp::composed::KeyType;
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::PacketTrait;
use pgp::packet::{
    KeyFlags, Notation, PubKeyInner, PublicKey, PublicSubkey, RevocationCode, SecretKey, Signature,
    SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{Duration, KeyDetails, KeyVersion, Password, Tag, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Certificates;
use super::binding::END_OF_SHA1;
use crate::signatures::RefusalReason::{self, *};
use crate::signatures::split::Signed;
use crate::signatures::{ExpiredKeys, Identity, Moments, Refusal, SignatureFormat};

/// When keys are made, in seconds since 1970. Signatures follow a day later, and now is a year later.
const START: u32 = 1_700_000_000;
const DAY: u32 = 24 * 60 * 60;
const NOW: u32 = START + 365 * DAY;
const PAYLOAD: &[u8] = b"tree 1\n";

/// A key with a certificate that grows.
struct Owner {
    secret: SecretKey,
    /// Of the same material.
    subkey: PublicSubkey,
    packets: Vec<u8>,
}

fn packet(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

fn user_id() -> UserId {
    UserId::from_str(Default::default(), "Dev \x1b[31m <dev@x>").unwrap()
}

fn flags(flags: fn(&mut KeyFlags)) -> SubpacketData {
    let mut all = KeyFlags::default();
    flags(&mut all);
    SubpacketData::KeyFlags(all)
}

fn notation() -> SubpacketData {
    SubpacketData::Notation(Notation { readable: true, name: "a@x".into(), value: "b".into() })
}

fn sign() -> SubpacketData {
    flags(|flags| flags.set_sign(true))
}

impl Owner {
    fn new(seed: u64, kind: &KeyType, version: KeyVersion) -> Owner {
        let (public, secret) = kind.generate(StdRng::seed_from_u64(seed)).unwrap();
        let inner =
            PubKeyInner::new(version, kind.to_alg(), Timestamp::from_secs(START), None, public).unwrap();
        let subkey = PublicSubkey::from_inner(inner.clone()).unwrap();
        let secret = SecretKey::new(PublicKey::from_inner(inner).unwrap(), secret).unwrap();
        let packets = packet(secret.public_key());
        Owner { secret, subkey, packets }
    }

    /// With one user id, and a key that may sign.
    fn usual(seed: u64) -> Owner {
        let mut owner = Owner::new(seed, &KeyType::ECDSA(ECCCurve::P256), KeyVersion::V4);
        let statement = owner.statement(START, vec![sign()]);
        owner.packets.extend(packet(&user_id()));
        owner.packets.extend(packet(&statement));
        owner
    }

    fn public(&self) -> &PublicKey {
        self.secret.public_key()
    }

    fn config(&self, kind: SignatureType, made: u32, more: Vec<SubpacketData>) -> SignatureConfig {
        let rng = StdRng::seed_from_u64(made.into());
        let mut config = SignatureConfig::from_key(rng, &self.secret, kind).unwrap();
        let made = SubpacketData::SignatureCreationTime(Timestamp::from_secs(made));
        let issuer = SubpacketData::IssuerFingerprint(self.public().fingerprint());
        let all = [made, issuer].into_iter().chain(more);
        config.hashed_subpackets = all.map(|data| Subpacket::regular(data).unwrap()).collect();
        config
    }

    fn statement(&self, made: u32, more: Vec<SubpacketData>) -> Signature {
        self.certify(self.config(SignatureType::CertPositive, made, more))
    }

    fn certify(&self, config: SignatureConfig) -> Signature {
        config
            .sign_certification(&self.secret, self.public(), &Password::empty(), Tag::UserId, &user_id())
            .unwrap()
    }

    fn about_key(&self, kind: SignatureType, made: u32, more: Vec<SubpacketData>) -> Signature {
        let config = self.config(kind, made, more);
        config.sign_key(&self.secret, &Password::empty(), self.public()).unwrap()
    }

    /// What this owner signs about a subkey.
    fn about_subkey(&self, kind: SignatureType, other: &Owner, more: Vec<SubpacketData>) -> Signature {
        let config = self.config(kind, START, more);
        config.sign_subkey_binding(&self.secret, self.public(), &Password::empty(), &other.subkey).unwrap()
    }

    /// What this owner, as a subkey, signs about a primary key.
    fn back(&self, primary: &Owner) -> SubpacketData {
        let config = self.config(SignatureType::KeyBinding, START, vec![]);
        let signature =
            config.sign_primary_key_binding(&self.secret, &self.subkey, &Password::empty(), primary.public());
        SubpacketData::EmbeddedSignature(Box::new(signature.unwrap()))
    }

    fn commit(&self) -> Vec<u8> {
        self.sign(self.config(SignatureType::Binary, START + DAY, vec![]))
    }

    fn sign(&self, config: SignatureConfig) -> Vec<u8> {
        packet(&config.sign(&self.secret, &Password::empty(), PAYLOAD).unwrap())
    }
}

fn armor(bytes: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n")
}

fn judge(certificates: &[&[u8]], signature: &[u8], expired: ExpiredKeys) -> Result<Identity, Refusal> {
    let mut all = Certificates::default();
    for certificate in certificates {
        all.add(certificate).unwrap();
    }
    let signed = Signed {
        payload: PAYLOAD.to_vec(),
        signature: armor(signature),
        format: SignatureFormat::OpenPgp,
        email: String::new(),
        time: 0,
    };
    all.verify(&signed, Moments { now: NOW.into(), expired })
}

#[track_caller]
fn assert_good(certificate: &[u8], signature: &[u8]) -> Identity {
    judge(&[certificate], signature, ExpiredKeys::AtSigning).unwrap()
}

#[track_caller]
fn assert_refused(certificate: &[u8], signature: &[u8], reason: RefusalReason, words: &str) {
    let refusal = judge(&[certificate], signature, ExpiredKeys::AtSigning).unwrap_err();
    assert!(refusal.reason == reason && refusal.text.contains(words), "{refusal:?}");
}

#[test]
fn keys_of_every_accepted_kind_sign() {
    for (kind, version) in [
        (KeyType::Ed25519Legacy, KeyVersion::V4),
        (KeyType::Ed25519, KeyVersion::V4),
        (KeyType::Ed25519, KeyVersion::V6),
        (KeyType::ECDSA(ECCCurve::P256), KeyVersion::V4),
        (KeyType::ECDSA(ECCCurve::P384), KeyVersion::V6),
    ] {
        let mut owner = Owner::new(1, &kind, version);
        let direct = owner.about_key(SignatureType::Key, START, vec![sign()]);
        owner.packets.extend(packet(&direct));
        let identity = assert_good(&owner.packets, &owner.commit());
        assert_eq!(identity.fingerprint, format!("{:X}", owner.public().fingerprint()), "{kind:?}");
        assert_eq!((identity.subkey, identity.name), (None, None));
    }
    let mut unknown = Owner::new(1, &KeyType::ECDSA(ECCCurve::Secp256k1), KeyVersion::V4);
    let direct = unknown.about_key(SignatureType::Key, START, vec![sign()]);
    unknown.packets.extend(packet(&direct));
    assert_refused(&unknown.packets, &unknown.commit(), Unsupported, "a key of kind");
}

#[test]
fn a_user_id_is_shown_without_control_characters() {
    let owner = Owner::usual(1);
    assert_eq!(assert_good(&owner.packets, &owner.commit()).name.unwrap(), "Dev \\u{1b}[31m <dev@x>");
}

#[test]
fn only_plain_strong_signatures_count() {
    let owner = Owner::usual(1);
    let with = |change: &dyn Fn(&mut SignatureConfig)| {
        let mut config = owner.config(SignatureType::Binary, START + DAY, vec![]);
        change(&mut config);
        owner.sign(config)
    };
    let at = |made| owner.sign(owner.config(SignatureType::Binary, made, vec![]));
    let and = |more| owner.sign(owner.config(SignatureType::Binary, START + DAY, vec![more]));
    let critical = |data: SubpacketData| {
        with(&|config| config.hashed_subpackets.push(Subpacket::critical(data.clone()).unwrap()))
    };
    // The library makes no such signatures.
    let hashed_with = |algorithm| {
        let mut signature = owner.commit();
        signature[2 + 3] = algorithm;
        signature
    };
    let mut unknown = and(SubpacketData::Other(77, "x".into()));
    let at_type = unknown.windows(3).position(|three| three == [2, 77, b'x']).unwrap() + 1;
    unknown[at_type] |= 0x80;
    let expiry = |length| SubpacketData::SignatureExpirationTime(Duration::from_secs(length));
    let time = SubpacketData::SignatureCreationTime(Timestamp::from_secs(START));
    let stranger = SubpacketData::IssuerFingerprint(Owner::usual(2).public().fingerprint());
    for (signature, reason, words) in [
        (with(&|config| config.typ = SignatureType::Text), Bad, "not about the bytes"),
        (hashed_with(1), Weak, "MD5"),
        (hashed_with(2), Weak, "SHA1"),
        (hashed_with(3), Weak, "RIPEMD160"),
        (hashed_with(11), Weak, "SHA224"),
        (with(&|config| config.hashed_subpackets.clear()), Bad, "does not say when"),
        (with(&|config| drop(config.hashed_subpackets.pop())), Bad, "does not say by which key"),
        (critical(notation()), Unsupported, "critical"),
        (unknown, Unsupported, "critical"),
        (and(time), Unsupported, "twice"),
        (and(expiry(DAY)), Expired, "expired on 2023-11-16"),
        (and(stranger), Bad, "several keys"),
        (at(START - 1), Bad, "before the key was made"),
        (at(NOW + 2 * DAY), Bad, "in the future"),
    ] {
        assert_refused(&owner.packets, &signature, reason, words);
    }
    assert_good(&owner.packets, &at(NOW + DAY));
    assert_good(&owner.packets, &and(expiry(366 * DAY)));
    assert_refused(&Owner::usual(2).packets, &owner.commit(), Untrusted, "not among the OpenPGP keys");
}

#[test]
fn what_is_no_single_signature_is_refused() {
    let owner = Owner::usual(1);
    let good = owner.commit();
    let mut other = good.clone();
    *other.last_mut().unwrap() ^= 1;
    let compressed = [&[0xc8, 3, 0][..], &good[..2]].concat();
    for (signature, reason, words) in [
        ([&good[..], &good].concat(), Ambiguous, "has 2 packets"),
        (good.repeat(10_000), Ambiguous, "has 10000 packets"),
        (vec![], Ambiguous, "has 0 packets"),
        (compressed, Bad, "packet of type 8"),
        (owner.packets.clone(), Ambiguous, "packets"),
        (good[..good.len() - 1].to_vec(), Bad, "cut off"),
        ([&[0xc2, 224][..], &good[2..]].concat(), Bad, "partial length"),
        ([&[0xc2, 5, 9][..], &good[3..7]].concat(), Unsupported, "version"),
        (other, Bad, "does not fit"),
    ] {
        assert_refused(&owner.packets, &signature, reason, words);
    }
}

#[test]
fn a_key_signs_only_if_its_owner_says_so() {
    let usual = Owner::usual(1);
    let commit = usual.commit();
    let with = |signatures: &[Signature]| {
        let bare = [packet(usual.public()), packet(&user_id())].concat();
        [bare, signatures.iter().flat_map(packet).collect()].concat()
    };
    let certify_only = || flags(|flags| flags.set_certify(true));
    let expires = SubpacketData::KeyExpirationTime(Duration::from_secs(DAY));
    let critical = {
        let mut config = usual.config(SignatureType::CertGeneric, START, vec![sign()]);
        config.hashed_subpackets.push(Subpacket::critical(notation()).unwrap());
        usual.certify(config)
    };
    for (statements, reason, words) in [
        (vec![], Untrusted, "says nothing valid"),
        (vec![usual.statement(START, vec![])], Untrusted, "says nothing valid"),
        (vec![usual.statement(START, vec![certify_only()])], Untrusted, "not for signing"),
        (vec![Owner::usual(2).statement(START, vec![sign()])], Untrusted, "says nothing valid"),
        (vec![critical], Untrusted, "says nothing valid"),
        (vec![usual.statement(START, vec![sign(), expires.clone()])], Expired, "expired on 2023-11-15"),
        (
            vec![usual.statement(START, vec![sign()]), usual.statement(START + 1, vec![certify_only()])],
            Untrusted,
            "not for signing",
        ),
    ] {
        assert_refused(&with(&statements), &commit, reason, words);
    }
    for statements in [
        vec![usual.statement(START, vec![sign()]), usual.statement(START + 2 * DAY, vec![certify_only()])],
        // Exports leave out what a newer statement replaces.
        vec![usual.statement(START + 2 * DAY, vec![sign()])],
        vec![usual.statement(START, vec![sign(), expires.clone()]), usual.statement(START + 1, vec![sign()])],
    ] {
        assert_good(&with(&statements), &commit);
    }
}

#[test]
fn what_owners_signed_with_sha1_counts_only_if_it_is_old() {
    let owner = Owner::new(1, &KeyType::Rsa(2048), KeyVersion::V4);
    for (made, is_good) in [(END_OF_SHA1 - 1, true), (END_OF_SHA1, false)] {
        let mut config = owner.config(SignatureType::CertGeneric, made.try_into().unwrap(), vec![sign()]);
        config.hash_alg = HashAlgorithm::Sha1;
        let certificate = [&owner.packets[..], &packet(&user_id()), &packet(&owner.certify(config))].concat();
        let judged = judge(&[&certificate], &owner.commit(), ExpiredKeys::AtSigning);
        assert_eq!(judged.is_ok(), is_good, "{judged:?}");
    }
}

#[test]
fn an_expired_key_counts_for_what_it_signed_before_unless_that_is_refused() {
    let owner = Owner::usual(1);
    let expires = SubpacketData::KeyExpirationTime(Duration::from_secs(30 * DAY));
    let newer = packet(&owner.statement(START + 1, vec![sign(), expires]));
    let certificate = [owner.packets.clone(), newer].concat();
    assert_good(&certificate, &owner.commit());
    let refusal = judge(&[&certificate], &owner.commit(), ExpiredKeys::Refuse).unwrap_err();
    assert!(refusal.reason == Expired && refusal.text.contains("2023-12-14"), "{refusal:?}");
    let late = owner.sign(owner.config(SignatureType::Binary, START + 31 * DAY, vec![]));
    assert_refused(&certificate, &late, Expired, "2023-12-14");
}

#[test]
fn revocations_count_for_ever_or_from_their_date_on() {
    let owner = Owner::usual(1);
    let because = |code| vec![SubpacketData::RevocationReason(code, "".into())];
    let revocation = |made, reason| packet(&owner.about_key(SignatureType::KeyRevocation, made, reason));
    // What is about the key stands before the user ids.
    let with = |revocation: Vec<u8>| {
        let key = packet(owner.public());
        [&key, &revocation, &owner.packets[key.len()..]].concat()
    };
    for (reason, is_soft) in [
        (vec![], false),
        (because(RevocationCode::NoReason), false),
        (because(RevocationCode::KeyCompromised), false),
        (because(RevocationCode::CertUserIdInvalid), false),
        (because(RevocationCode::Other(99)), false),
        (because(RevocationCode::KeySuperseded), true),
        (because(RevocationCode::KeyRetired), true),
    ] {
        let later = with(revocation(START + 2 * DAY, reason.clone()));
        let judged = judge(&[&later], &owner.commit(), ExpiredKeys::AtSigning);
        assert_eq!(judged.is_ok(), is_soft, "{reason:?}");
        assert_eq!(judge(&[&later], &owner.commit(), ExpiredKeys::Refuse).unwrap_err().reason, Revoked);
        assert_refused(&with(revocation(START + DAY, reason)), &owner.commit(), Revoked, "was revoked on");
    }
    // A copy without it does not help, and one by somebody else does not count.
    let revoked = with(revocation(START, vec![]));
    for copies in [[&revoked, &owner.packets], [&owner.packets, &revoked]] {
        let copies = copies.map(|copy| &copy[..]);
        assert_eq!(judge(&copies, &owner.commit(), ExpiredKeys::AtSigning).unwrap_err().reason, Revoked);
    }
    let foreign = packet(&Owner::usual(2).about_key(SignatureType::KeyRevocation, START, vec![]));
    assert_good(&with(foreign), &owner.commit());
    // Its kind shows, although it cannot be read.
    let damaged = with([&[0xc2, 6, 4, 0x20, 1, 8, 0, 9][..]].concat());
    assert!(Certificates::default().add(&damaged).unwrap_err().contains("a revocation cannot be read"));
}

#[test]
fn a_revoked_user_id_says_nothing_of_the_key() {
    let owner = Owner::usual(1);
    let revoke = |made, reason| {
        let config = owner.config(SignatureType::CertRevocation, made, reason);
        [&owner.packets[..], &packet(&owner.certify_revocation(config))].concat()
    };
    let invalid = || vec![SubpacketData::RevocationReason(RevocationCode::CertUserIdInvalid, "".into())];
    assert_refused(&revoke(START, vec![]), &owner.commit(), Untrusted, "says nothing valid");
    assert_refused(&revoke(START, invalid()), &owner.commit(), Untrusted, "says nothing valid");
    assert_good(&revoke(START + 2 * DAY, invalid()), &owner.commit());
}

impl Owner {
    /// The library signs no such revocation by itself: it is a certification but for its type.
    fn certify_revocation(&self, mut config: SignatureConfig) -> Signature {
        use pgp::ser::Serialize;
        use pgp::types::SigningKey;
        config.typ = SignatureType::CertRevocation;
        let mut hasher = config.hash_alg.new_hasher().unwrap();
        let (mut key, mut id) = (Vec::new(), Vec::new());
        self.public().to_writer(&mut key).unwrap();
        user_id().to_writer(&mut id).unwrap();
        hasher.update(&[&[0x99][..], &u16::try_from(key.len()).unwrap().to_be_bytes(), &key].concat());
        hasher.update(&[&[0xb4][..], &u32::try_from(id.len()).unwrap().to_be_bytes(), &id].concat());
        let length = config.hash_signature_data(&mut hasher).unwrap();
        hasher.update(&config.trailer(length).unwrap());
        let hash = hasher.finalize();
        let signature = self.secret.sign(&Password::empty(), config.hash_alg, &hash).unwrap();
        Signature::from_config(config, [hash[0], hash[1]], signature).unwrap()
    }
}

#[test]
fn a_subkey_signs_only_if_it_and_its_certificate_say_so() {
    let (owner, subkey, stranger) = (Owner::usual(1), Owner::usual(2), Owner::usual(3));
    let commit = subkey.commit();
    let binding = |owner: &Owner, more| owner.about_subkey(SignatureType::SubkeyBinding, &subkey, more);
    let with = |owner: &Owner, signatures: &[Signature]| {
        let bound: Vec<u8> = signatures.iter().flat_map(packet).collect();
        [&owner.packets[..], &packet(&subkey.subkey), &bound].concat()
    };
    let good = with(&owner, &[binding(&owner, vec![sign(), subkey.back(&owner)])]);
    let identity = assert_good(&good, &commit);
    assert_eq!(identity.fingerprint, format!("{:X}", owner.public().fingerprint()));
    assert_eq!(identity.subkey, Some(format!("{:X}", subkey.public().fingerprint())));

    let encrypt = flags(|flags| flags.set_encrypt_comms(true));
    let revoke = |reason| owner.about_subkey(SignatureType::SubkeyRevocation, &subkey, reason);
    let expires = SubpacketData::KeyExpirationTime(Duration::from_secs(DAY));
    for (signatures, reason, words) in [
        (vec![], Untrusted, "is not bound"),
        (vec![binding(&owner, vec![sign()])], Untrusted, "does not confirm"),
        (vec![binding(&owner, vec![sign(), stranger.back(&owner)])], Untrusted, "does not confirm"),
        (vec![binding(&owner, vec![sign(), subkey.back(&stranger)])], Untrusted, "does not confirm"),
        (vec![binding(&owner, vec![encrypt, subkey.back(&owner)])], Untrusted, "not for signing"),
        (vec![binding(&stranger, vec![sign(), subkey.back(&owner)])], Untrusted, "is not bound"),
        // A revocation binds nothing.
        (vec![revoke(vec![sign(), subkey.back(&owner)])], Untrusted, "is not bound"),
        (vec![binding(&owner, vec![sign(), subkey.back(&owner)]), revoke(vec![])], Revoked, "subkey was"),
        (vec![binding(&owner, vec![sign(), subkey.back(&owner), expires])], Expired, "expired on"),
    ] {
        assert_refused(&with(&owner, &signatures), &commit, reason, words);
    }
    // Who adopts it is not its owner, and does not stand in the way of the owner.
    let adopted = with(&stranger, &[binding(&stranger, vec![sign()])]);
    assert_refused(&adopted, &commit, Untrusted, "does not confirm");
    for copies in [[&adopted[..], &good], [&good, &adopted]] {
        let identity = judge(&copies, &commit, ExpiredKeys::AtSigning).unwrap();
        assert_eq!(identity.fingerprint, format!("{:X}", owner.public().fingerprint()));
    }
}

#[test]
fn a_subkey_lives_no_longer_than_its_certificate() {
    let (owner, subkey) = (Owner::usual(1), Owner::usual(2));
    let expires = SubpacketData::KeyExpirationTime(Duration::from_secs(DAY));
    let bound = owner.about_subkey(SignatureType::SubkeyBinding, &subkey, vec![sign(), subkey.back(&owner)]);
    let end = [packet(&subkey.subkey), packet(&bound)].concat();
    let expired = packet(&owner.statement(START + 1, vec![sign(), expires]));
    assert_refused(&[&owner.packets[..], &expired, &end].concat(), &subkey.commit(), Expired, "2023-11-15");
    let key = packet(owner.public());
    let revoked = packet(&owner.about_key(SignatureType::KeyRevocation, START, vec![]));
    let certificate = [&key[..], &revoked, &owner.packets[key.len()..], &end].concat();
    assert_refused(&certificate, &subkey.commit(), Revoked, "key was revoked");
}

#[test]
fn files_that_are_no_certificates_are_faults() {
    let owner = Owner::usual(1);
    let secret = packet(&owner.secret);
    let mut large = owner.packets.clone();
    large.extend(packet(&user_id()).repeat(60_000));
    for (content, fault) in [
        (&b""[..], "no OpenPGP certificate"),
        (b"text", "no OpenPGP certificate"),
        (&secret, "secret key"),
        (&large, "more than"),
        (&owner.packets[..owner.packets.len() - 1], "cut off"),
        (&owner.commit(), "begins with a packet of type 2"),
        (&[&owner.packets[..], &[0xcb, 0]].concat(), "packet of type 11"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ", "no end"),
    ] {
        let found = Certificates::default().add(content).unwrap_err();
        assert!(found.contains(fault), "{fault}: {found}");
    }
}

#[test]
fn certificates_that_cannot_sign_are_named() {
    let (good, mut bad) = (Owner::usual(1), Owner::new(2, &KeyType::Ed25519Legacy, KeyVersion::V4));
    bad.packets.extend(packet(&user_id()));
    let mut all = Certificates::default();
    all.add(&[good.packets, bad.packets.clone()].concat()).unwrap();
    let unusable = all.unusable(NOW.into());
    assert_eq!(unusable.len(), 1);
    assert_eq!(unusable[0].0, format!("{:X}", bad.public().fingerprint()));
    assert!(unusable[0].1.contains("says nothing valid"), "{unusable:?}");
}

#[test]
fn files_and_directories_are_read_anew_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, data) = (dir.path().join("keys"), dir.path().join("keys/..data"));
    fs_err::create_dir_all(&data).unwrap();
    let read = || {
        Certificates::read(std::slice::from_ref(&keys)).map(|all| all.0.len()).map_err(|err| err.to_string())
    };
    assert!(read().unwrap_err().contains("has no files"));
    fs_err::write(data.join("one"), &Owner::usual(1).packets).unwrap();
    fs_err::os::unix::fs::symlink("..data/one", keys.join("one")).unwrap();
    fs_err::write(keys.join("two"), &Owner::usual(2).packets).unwrap();
    assert_eq!(read(), Ok(2));
    fs_err::write(keys.join("two"), "").unwrap();
    let error = read().unwrap_err();
    assert!(error.contains("keys/two: ") && error.contains("no OpenPGP certificate"), "{error}");
    fs_err::File::create(keys.join("two")).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(read().unwrap_err().contains("larger than the limit"));
    fs_err::os::unix::fs::symlink("nowhere", keys.join("broken")).unwrap();
    assert!(read().is_err());
}
