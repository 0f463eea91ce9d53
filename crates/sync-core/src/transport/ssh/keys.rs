//! Private keys from files. Unlike OpenSSH, we accept files that others may read: the secrets of a container are often
//! readable by a group.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::{Certificate, Error, PrivateKey, decode_secret_key, ssh_key};

use super::options::SshOptions;
use crate::bounded_read::{LARGEST_FILE, read_bounded_text};
use crate::fs_ext::if_there;

/// A key to log in with.
pub(super) struct Identity {
    pub(super) file: PathBuf,
    pub(super) key: Arc<PrivateKey>,
    pub(super) certificate: Option<Certificate>,
}

/// Load all keys. Returns those that can be used, and for the others what is wrong with them.
pub(super) fn load(options: &SshOptions) -> (Vec<Identity>, Vec<String>) {
    let (mut identities, mut faults) = (Vec::new(), Vec::new());
    for file in &options.keys {
        match read_bounded_text(file, LARGEST_FILE) {
            Err(err) if err.kind() == ErrorKind::NotFound && options.keys_are_optional => {
                faults.push(format!("there is no {}", file.display()));
            }
            Err(err) => faults.push(format!("cannot read the key: {err}")),
            Ok(text) => match decode(&text, options) {
                Err(fault) => faults.push(format!("the key in {} {fault}", file.display())),
                Ok(key) => {
                    let certificate = certificate(file, &key).unwrap_or_else(|fault| {
                        faults.push(fault);
                        None
                    });
                    identities.push(Identity { file: file.clone(), key: Arc::new(key), certificate });
                }
            },
        }
    }
    (identities, faults)
}

pub(crate) fn decode(text: &str, options: &SshOptions) -> Result<PrivateKey, String> {
    // Editors of other systems may write a byte order mark and CRLF.
    let text = &text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if !text.contains("ENCRYPTED") {
        match decode_secret_key(text, None) {
            Ok(key) => return Ok(key),
            Err(Error::KeyIsEncrypted) => {}
            Err(err) => {
                let cause = mistaken(text).map_or_else(|| err.to_string(), Into::into);
                return Err(format!("cannot be read: {cause}"));
            }
        }
    }
    let is_known = text.contains("BEGIN RSA ") && text.contains("DEK-Info: AES-128-CBC,");
    if text.contains("DEK-Info:") && !is_known {
        return Err(
            "is encrypted in an old format that is not supported; convert it with ssh-keygen -p".into()
        );
    }
    let Some(file) = &options.passphrase_file else {
        return Err("is encrypted, and no file with its passphrase was given".into());
    };
    let passphrase = read_bounded_text(file, LARGEST_FILE)
        .map_err(|err| format!("is encrypted, and its passphrase cannot be read: {err}"))?;
    let passphrase = passphrase.lines().next().unwrap_or_default();
    decode_secret_key(text, Some(passphrase)).map_err(|err| match err {
        Error::SshKey(ssh_key::Error::Crypto) | Error::Unpad(_) | Error::Pkcs8(_) => {
            format!("cannot be decrypted: the passphrase in {} is wrong", file.display())
        }
        err => format!("cannot be decrypted with the passphrase in {}: {err}", file.display()),
    })
}

/// A hint if the text is a common mistake instead of a private key.
fn mistaken(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if ["ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC", "-----BEGIN PUBLIC"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return Some("it is a public key; the private one is needed");
    }
    if text.starts_with("-----BEGIN ") && text.lines().count() == 1 {
        return Some("its line breaks are lost; keep them when you store it");
    }
    let joined: String = text.split_whitespace().collect();
    BASE64
        .decode(joined)
        .is_ok_and(|decoded| decoded.starts_with(b"-----BEGIN "))
        .then_some("it is the base64 of a key; store it decoded")
}

/// The path of the certificate of a key, if it has one.
pub(super) fn certificate_file(key_file: &Path) -> PathBuf {
    let mut file = OsString::from(key_file);
    file.push("-cert.pub");
    file.into()
}

fn certificate(key_file: &Path, key: &PrivateKey) -> Result<Option<Certificate>, String> {
    let file = certificate_file(key_file);
    let text = if_there(read_bounded_text(&file, LARGEST_FILE))
        .map_err(|err| format!("cannot read the certificate: {err}"))?;
    let Some(text) = text else { return Ok(None) };
    let certificate = Certificate::from_openssh(text.trim())
        .map_err(|err| format!("the certificate in {} cannot be read: {err}", file.display()))?;
    if certificate.public_key() != key.public_key().key_data() {
        return Err(format!("the certificate in {} is for another key", file.display()));
    }
    Ok(Some(certificate))
}
