//! OpenPGP signatures (RFC 9580). The crate `pgp` reads packets and computes; what counts is decided here.
//!
//! ```text
//! armored signature ──signature──▶ Signature ┐
//! files of keys ──certificate──▶ Certificates ┴──binding──▶ Identity
//! ```

mod binding;
mod certificate;
mod packets;
mod signature;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pgp::packet::Signature;
use pgp::ser::Serialize;
use pgp::types::{Fingerprint, KeyId, VerifyingKey};

use super::RefusalReason::{Bad, Untrusted};
use super::split::Signed;
use super::{Identity, Moments, Refusal, shown_name, unreadable};
use crate::bounded_read::read_bounded;
use crate::error::Result as FileResult;
use binding::{Fault, Statements, Times, check_strength};
use certificate::{Certificate, Key};

/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// How far the clocks of signers may be ahead, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// The certificates of the files that the user names.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Vec<Certificate>);

impl Certificates {
    /// Read files, and every file in directories whose name does not begin with a dot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for the first one that cannot be read, or that has
    /// no certificate.
    pub(crate) fn read(paths: &[PathBuf]) -> FileResult<Certificates> {
        let mut all = Certificates::default();
        for path in paths {
            for file in files(path).map_err(|err| unreadable(path, err))? {
                let content = read_bounded(&file, MAX_FILE).map_err(|err| unreadable(&file, err))?;
                all.add(&content).map_err(|fault| unreadable(&file, fault))?;
            }
        }
        Ok(all)
    }

    /// Add the certificates of a file.
    pub(crate) fn add(&mut self, content: &[u8]) -> Result<(), String> {
        for certificate in certificate::parse(content)? {
            let fingerprint = &certificate.primary.fingerprint;
            match self.0.iter_mut().find(|known| known.primary.fingerprint == *fingerprint) {
                Some(known) => known.merge(certificate),
                None => self.0.push(certificate),
            }
        }
        Ok(())
    }

    /// The fingerprints of the certificates that no key of may sign now, and why.
    pub(crate) fn unusable(&self, now: u64) -> Vec<(String, String)> {
        let times = Times { made: now, valid: vec![now], now };
        let why = |certificate: &Certificate| {
            let primary =
                check_strength(&certificate.primary.key).and_then(|()| certificate.check_primary(&times));
            let mut subkeys = certificate.subkeys.iter().map(|subkey| {
                check_strength(&subkey.key).and_then(|()| certificate.check_subkey(subkey, &times))
            });
            match primary {
                Err((_, text)) if !subkeys.any(|subkey| subkey.is_ok()) => Some(text),
                _ => None,
            }
        };
        let all = self.0.iter();
        all.filter_map(|certificate| Some((hex(&certificate.primary.fingerprint), why(certificate)?)))
            .collect()
    }

    /// Verify a signature, and find its signer.
    pub(crate) fn verify(&self, signed: &Signed, moments: Moments) -> Result<Identity, Refusal> {
        let (signature, made) = signature::read(&signed.signature, moments.now)?;
        let times = Times { made, valid: moments.of(made), now: moments.now };
        let issuer = Issuer::of(&signature)?;
        let mut refusal = None;
        for certificate in &self.0 {
            let primary = [&certificate.primary].into_iter().filter(|key| issuer.is(key)).map(|key| {
                check(key, &signature, &signed.payload)?;
                Ok(identity(certificate, None, &certificate.check_primary(&times)?))
            });
            let subkeys = certificate.subkeys.iter().filter(|key| issuer.is(key)).map(|key| {
                check(key, &signature, &signed.payload)?;
                Ok(identity(certificate, Some(&key.fingerprint), &certificate.check_subkey(key, &times)?))
            });
            for judged in primary.chain(subkeys) {
                match judged {
                    Ok(identity) => return Ok(identity),
                    Err(fault) => _ = refusal.get_or_insert(fault),
                }
            }
        }
        let unknown = || (Untrusted, "whose key is not among the OpenPGP keys".into());
        let (reason, text) = refusal.unwrap_or_else(unknown);
        Err(Refusal::new(reason, format!("signed by {}, {text}", issuer.text())))
    }
}

/// The mathematics: whether this key signed the payload.
fn check<K: VerifyingKey + Serialize>(
    key: &Key<K>,
    signature: &Signature,
    payload: &[u8],
) -> Result<(), Fault> {
    check_strength(&key.key)?;
    let is_same_kind = signature.config().is_some_and(|config| config.pub_alg == key.key.algorithm());
    match is_same_kind && signature.verify(&key.key, payload).is_ok() {
        true => Ok(()),
        false => Err((Bad, "but the signature does not fit".into())),
    }
}

fn identity(certificate: &Certificate, subkey: Option<&Fingerprint>, statements: &Statements) -> Identity {
    Identity {
        fingerprint: hex(&certificate.primary.fingerprint),
        subkey: subkey.map(hex),
        principal: None,
        name: statements.user_id().map(|id| shown_name(&id)),
    }
}

fn hex(fingerprint: &Fingerprint) -> String {
    format!("{fingerprint:X}")
}

/// Which key a signature says that it is by. It only serves to find the key.
struct Issuer {
    fingerprint: Option<Fingerprint>,
    id: Option<KeyId>,
}

impl Issuer {
    fn of(signature: &Signature) -> Result<Issuer, Refusal> {
        let refuse = |text: &str| Err(Refusal::new(Bad, format!("its signature {text}")));
        let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        if fingerprints.windows(2).any(|two| two[0] != two[1]) || ids.windows(2).any(|two| two[0] != two[1]) {
            return refuse("says that it is by several keys");
        }
        let fingerprint = fingerprints.first().map(|first| (*first).clone());
        match (fingerprint, ids.first().map(|first| **first)) {
            (None, None) => refuse("does not say by which key it is"),
            (fingerprint, id) => Ok(Issuer { fingerprint, id }),
        }
    }

    fn is<K>(&self, key: &Key<K>) -> bool {
        self.fingerprint.as_ref().is_none_or(|wanted| *wanted == key.fingerprint)
            && self.id.is_none_or(|wanted| wanted == key.id)
    }

    fn text(&self) -> String {
        match (&self.fingerprint, self.id) {
            (Some(fingerprint), _) => hex(fingerprint),
            (None, id) => id.map_or(String::new(), |id| id.to_string().to_uppercase()),
        }
    }
}

/// The files to read for a path, in the order of their names.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // The directories of Kubernetes' volumes are hidden; the links beside them lead to files.
        if !is_hidden && fs_err::metadata(entry.path())?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the directory has no files")),
        false => Ok(files),
    }
}

/// The day of a time in seconds since 1970, as `2030-01-31` (UTC).
fn date(time: u64) -> String {
    let time = gix::date::Time::new(time.try_into().unwrap_or(i64::MAX), 0);
    time.format_or_unix(gix::date::time::format::SHORT)
}
