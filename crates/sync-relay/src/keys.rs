//! Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` writes them.

use std::fmt;
use std::io;
use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use sync_core::{LARGEST_FILE, read_bounded};

use crate::hex::hex;

/// What is in front of the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The keys whose signatures count. With several, any of them is enough, so that a key can be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(Vec<[u8; 32]>);

impl PublicKeys {
    /// Read the public keys in a PEM file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has no public key, or one that is not Ed25519.
    pub fn read(path: &Path) -> io::Result<PublicKeys> {
        let pem = read_bounded(path, LARGEST_FILE)?;
        let named = |text| fault(path, text);
        let keys = SubjectPublicKeyInfoDer::pem_slice_iter(&pem)
            .map(|key| {
                let key = key.map_err(|_| named("holds a damaged PEM block"))?;
                let raw = key.strip_prefix(&SPKI_PREFIX).and_then(|raw| raw.try_into().ok());
                raw.ok_or_else(|| named("holds a public key that is not Ed25519"))
            })
            .collect::<io::Result<Vec<[u8; 32]>>>()?;
        match keys.is_empty() {
            true => Err(named("holds no PEM public key (BEGIN PUBLIC KEY)")),
            false => Ok(PublicKeys(keys)),
        }
    }

    /// Whether one of the keys made the signature.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|key| UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
    }
}

fn fault(path: &Path, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {text}", path.display()))
}

/// The key that signs tips.
pub struct SigningKey(pub(crate) Ed25519KeyPair);

impl SigningKey {
    /// Read the private key in a PEM file (PKCS #8, not encrypted).
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no such key.
    pub fn read(path: &Path) -> io::Result<SigningKey> {
        let pem = read_bounded(path, LARGEST_FILE)?;
        let named = |text| fault(path, text);
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem)
            .map_err(|_| named("holds no unencrypted PEM private key (BEGIN PRIVATE KEY)"))?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map(SigningKey)
            .map_err(|_| named("holds a private key that is not Ed25519"))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    /// Names the key in an envelope: a part of the SHA-256 of the public key. It proves nothing.
    pub(crate) fn id(&self) -> String {
        let digest = digest(&SHA256, self.0.public_key().as_ref());
        hex(&digest.as_ref()[..8])
    }

    /// The keys with which its signatures are verified.
    #[must_use]
    pub fn public(&self) -> PublicKeys {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKeys(vec![key])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}
