//! SSH signatures. See PROTOCOL.sshsig of OpenSSH.

use std::path::{Path, PathBuf};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, HashAlg, SshSig};
use russh::keys::{Certificate, PublicKey};

use super::RefusalReason::{Bad, Expired, Revoked, Untrusted, Weak};
use super::allowed_signers::{AllowedSigner, AllowedSigners};
use super::split::Signed;
use super::{Identity, Moments, Refusal, shown_name, unreadable};
use crate::bounded_read::{LARGEST_FILE, read_bounded, read_bounded_text};
use crate::error::Result as FileResult;

/// The purpose that Git signs for.
const NAMESPACE: &str = "git";

/// The smallest RSA key that is accepted, in bits.
const MIN_RSA_BITS: u32 = 2048;

/// The keys of the files that the user names.
#[derive(Debug, Default)]
pub(crate) struct SshKeys {
    pub(crate) allowed: AllowedSigners,
    /// Fingerprints by SHA-256.
    pub(crate) revoked: Vec<String>,
}

impl SshKeys {
    /// Read the files that the user names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for the first file that cannot be read.
    pub(crate) fn read(allowed_signers: &[PathBuf], revoked: Option<&Path>) -> FileResult<SshKeys> {
        let read = |path: &Path| read_bounded_text(path, LARGEST_FILE).map_err(|err| unreadable(path, err));
        let mut keys = SshKeys::default();
        for path in allowed_signers {
            let signers = AllowedSigners::parse(&read(path)?).map_err(|fault| unreadable(path, fault))?;
            keys.allowed.0.extend(signers.0);
        }
        if let Some(path) = revoked {
            let content = read_bounded(path, LARGEST_FILE).map_err(|err| unreadable(path, err))?;
            keys.revoked = parse_revoked(&content).map_err(|fault| unreadable(path, fault))?;
        }
        Ok(keys)
    }

    /// Verify a signature, and find its signer among the allowed ones.
    pub(crate) fn verify(&self, signed: &Signed, moments: Moments) -> Result<Identity, Refusal> {
        let (fingerprint, principal) = verify(signed, self, &moments.of(signed.time))?;
        let name = Some(shown_name(&principal));
        Ok(Identity { fingerprint, subkey: None, principal: Some(principal), name })
    }
}

/// The fingerprint and the principal. `times` are the moments at which key and certificate must be valid.
fn verify(signed: &Signed, keys: &SshKeys, times: &[u64]) -> Result<(String, String), Refusal> {
    let malformed =
        |err: &dyn std::fmt::Display| Refusal::new(Bad, format!("its signature cannot be read: {err}"));
    let signature = SshSig::from_pem(&signed.signature).map_err(|err| malformed(&err))?;
    let certificate = signature.public_key().certificate();
    let key = certificate.map_or(signature.public_key(), Certificate::public_key);
    let fingerprint = fingerprint(key);
    let refuse = |reason, text: String| Err(Refusal::new(reason, format!("signed by {fingerprint}, {text}")));
    if signature.namespace() != NAMESPACE {
        return refuse(Bad, format!("not for Git but for {:?}", signature.namespace()));
    }
    if !signature.reserved().is_empty() {
        return refuse(Bad, "with content in the field that is reserved".into());
    }
    if let Some(weakness) = weakness(key, &signature.algorithm()) {
        return refuse(Weak, weakness);
    }
    let plain = SshSig::new(key.clone(), NAMESPACE, signature.hash_alg(), signature.signature().clone());
    let fits =
        plain.and_then(|plain| PublicKey::new(key.clone(), "").verify(NAMESPACE, &signed.payload, &plain));
    if fits.is_err() {
        return refuse(Bad, "but the signature does not fit".into());
    }
    let authority = certificate.map(|certificate| self::fingerprint(certificate.signature_key()));
    if let Some(found) =
        keys.revoked.iter().find(|found| **found == fingerprint || Some(*found) == authority.as_ref())
    {
        return refuse(Revoked, format!("but {found} is revoked"));
    }
    let found = match certificate {
        Some(certificate) => find_authority(certificate, &keys.allowed, times),
        None => find_key(key, &keys.allowed, times),
    };
    match found {
        Ok(principal) => Ok((fingerprint, principal)),
        Err((reason, text)) => refuse(reason, text),
    }
}

/// `SHA256:` and base64.
pub(crate) fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Why the key or the algorithm of its signature is not good enough.
fn weakness(key: &KeyData, algorithm: &Algorithm) -> Option<String> {
    match (key, algorithm) {
        (KeyData::Dsa(_), _) => Some("a DSA key, which is too weak".into()),
        (KeyData::Rsa(_), Algorithm::Rsa { hash: None }) => Some("with SHA-1, which is too weak".into()),
        (KeyData::Rsa(key), _) if key.key_size() < MIN_RSA_BITS => {
            Some(format!("an RSA key of {} bits, which is too weak", key.key_size()))
        }
        _ => None,
    }
}

type NotFound = (super::RefusalReason, String);

/// The principals of the line that has this key.
fn find_key(key: &KeyData, allowed: &AllowedSigners, times: &[u64]) -> Result<String, NotFound> {
    let lines = allowed.0.iter().filter(|line| !line.is_authority && line.key == *key);
    let (mut is_valid, mut is_expired) = (None, false);
    for line in lines.filter(|line| is_for_git(line)) {
        match is_in_time(line, times) {
            true => is_valid = Some(line.principals.as_str().to_owned()),
            false => is_expired = true,
        }
    }
    match (is_valid, is_expired) {
        (Some(principals), _) => Ok(principals),
        (None, true) => Err((Expired, "whose key is not valid at that time".into())),
        (None, false) => Err((Untrusted, "who is not among the allowed signers".into())),
    }
}

/// The principal of a certificate whose authority is in the file.
fn find_authority(
    certificate: &Certificate,
    allowed: &AllowedSigners,
    times: &[u64],
) -> Result<String, NotFound> {
    let authority = certificate.signature_key();
    let lines =
        allowed.0.iter().filter(|line| line.is_authority && line.key == *authority && is_for_git(line));
    let lines: Vec<&AllowedSigner> = lines.collect();
    if lines.is_empty() {
        let text =
            format!("whose certificate is by {}, which is no allowed authority", fingerprint(authority));
        return Err((Untrusted, text));
    }
    if certificate.cert_type() != CertType::User {
        return Err((Untrusted, "whose certificate is not of a user".into()));
    }
    if !certificate.critical_options().is_empty() {
        return Err((Untrusted, "whose certificate has critical options".into()));
    }
    if weakness(authority, &certificate.signature().algorithm()).is_some() {
        return Err((Weak, "whose certificate is by a weak key".into()));
    }
    let fingerprint = authority.fingerprint(HashAlg::Sha256);
    if certificate.verify_signature().is_err() {
        return Err((Bad, "whose certificate is forged".into()));
    }
    if times.iter().any(|time| certificate.validate_at(*time, [&fingerprint]).is_err()) {
        return Err((Expired, "whose certificate is not valid at that time".into()));
    }
    let in_time: Vec<_> = lines.into_iter().filter(|line| is_in_time(line, times)).collect();
    if in_time.is_empty() {
        return Err((Expired, "whose authority is not valid at that time".into()));
    }
    let named = certificate.valid_principals().iter();
    let principal = named.into_iter().find(|name| in_time.iter().any(|line| line.principals.matches(name)));
    match principal {
        Some(name) => Ok(name.clone()),
        None => Err((Untrusted, "whose certificate names no principal of its authority's line".into())),
    }
}

fn is_for_git(line: &AllowedSigner) -> bool {
    line.namespaces.as_ref().is_none_or(|namespaces| namespaces.matches(NAMESPACE))
}

fn is_in_time(line: &AllowedSigner, times: &[u64]) -> bool {
    let (after, before) = (line.valid_after.unwrap_or(0), line.valid_before.unwrap_or(u64::MAX));
    times.iter().all(|time| (after..=before).contains(time))
}

/// Fingerprints, one in a line, and public keys.
fn parse_revoked(content: &[u8]) -> Result<Vec<String>, String> {
    // PROTOCOL.krl of OpenSSH.
    if content.starts_with(b"SSHKRL\n\0") {
        return Err(
            "it is a key revocation list, which is not supported; list the keys or their fingerprints".into(),
        );
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8 text")?;
    let mut revoked = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        revoked.push(match line.strip_prefix("SHA256:") {
            Some(hash) => format!("SHA256:{}", hash.split_whitespace().next().unwrap_or_default()),
            None => {
                let key = PublicKey::from_openssh(line)
                    .map_err(|err| format!("line {number} is no public key and no fingerprint: {err}"))?;
                fingerprint(key.key_data())
            }
        });
    }
    Ok(revoked)
}
