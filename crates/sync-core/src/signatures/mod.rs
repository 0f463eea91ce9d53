//! Signatures of commits and tags.

use std::fmt;

/// Who signed a commit or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// What is signed.
    pub object: SignedObject,
    /// The format of the signature.
    pub format: SignatureFormat,
    /// The fingerprint of the key: `SHA256:` and base64 for SSH, hexadecimal for OpenPGP.
    pub fingerprint: String,
    /// The principal that `allowed_signers` names, or the user id of the OpenPGP key. Control characters are escaped.
    pub name: Option<String>,
}

/// What a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedObject {
    /// The commit.
    Commit,
    /// The annotated tag that the reference names.
    Tag,
}

/// The format of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureFormat {
    /// By OpenSSH.
    Ssh,
    /// By OpenPGP, for example GnuPG.
    OpenPgp,
}

impl fmt::Display for SignatureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignatureFormat::Ssh => "SSH",
            SignatureFormat::OpenPgp => "OpenPGP",
        })
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.fingerprint)?;
        self.name.iter().try_for_each(|name| write!(f, " ({name})"))
    }
}
