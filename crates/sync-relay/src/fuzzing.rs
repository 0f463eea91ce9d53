//! What is private, for the targets in `fuzz/`. No part of the library's interface.

use ring::signature::Ed25519KeyPair;

use crate::keys::SigningKey;

/// The key that is made from these bytes.
///
/// # Errors
///
/// There is no such key.
pub fn signing_key(seed: &[u8; 32]) -> Result<SigningKey, String> {
    Ed25519KeyPair::from_seed_unchecked(seed).map(SigningKey).map_err(|err| err.to_string())
}
