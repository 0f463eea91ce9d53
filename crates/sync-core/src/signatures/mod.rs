//! Signatures of commits and tags: who signed, and whether that is enough.
//!
//! ```text
//! raw object ──split──▶ payload and signature ──ssh──▶ key ──allowed_signers──▶ Signer
//! ```
//! The objects are the bytes that were hashed. What is ambiguous is refused: other programs might read it differently.

#[cfg(feature = "ssh")]
pub(crate) mod allowed_signers;
pub(crate) mod split;
#[cfg(feature = "ssh")]
pub(crate) mod ssh;
#[cfg(feature = "ssh")]
pub(crate) mod verifier;

use std::fmt;

#[cfg(feature = "ssh")]
pub use verifier::{ExpiredKeys, SignaturePolicy, SignatureVerifier, VerifyMode};

/// Who signed a commit or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// What is signed.
    pub object: SignedObject,
    /// The format of the signature.
    pub format: SignatureFormat,
    /// The fingerprint of the key: `SHA256:` and base64.
    pub fingerprint: String,
    /// The principal that `allowed_signers` names. Control characters are escaped.
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

impl fmt::Display for SignedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignedObject::Commit => "commit",
            SignedObject::Tag => "tag",
        })
    }
}

/// The format of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureFormat {
    /// By OpenSSH.
    Ssh,
    /// By OpenPGP, for example GnuPG. It is recognised, and not verified.
    OpenPgp,
    /// X.509, for example by gitsign. It is recognised, and not verified.
    X509,
}

impl fmt::Display for SignatureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignatureFormat::Ssh => "SSH",
            SignatureFormat::OpenPgp => "OpenPGP",
            SignatureFormat::X509 => "X.509",
        })
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.fingerprint)?;
        self.name.iter().try_for_each(|name| write!(f, " ({name})"))
    }
}

/// Why a commit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of reason.
    pub reason: RefusalReason,
    /// The reason in words. They name the fingerprint, if there is one.
    pub text: String,
}

impl Refusal {
    fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Refusal { reason, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kind of reason why a commit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// There is no signature.
    Unsigned,
    /// The signature or what it is about does not fit.
    Bad,
    /// The signer is not one of those who may sign.
    Untrusted,
    /// The key or its certificate is not valid at that time.
    Expired,
    /// The key is revoked.
    Revoked,
    /// The key or the algorithm is too weak.
    Weak,
    /// The object can be read in more than one way.
    Ambiguous,
    /// The format of the signature is not verified.
    Unsupported,
}

impl RefusalReason {
    /// A short name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RefusalReason::Unsigned => "unsigned",
            RefusalReason::Bad => "bad",
            RefusalReason::Untrusted => "untrusted",
            RefusalReason::Expired => "expired",
            RefusalReason::Revoked => "revoked",
            RefusalReason::Weak => "weak",
            RefusalReason::Ambiguous => "ambiguous",
            RefusalReason::Unsupported => "unsupported",
        }
    }
}
