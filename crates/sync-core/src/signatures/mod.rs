//! Signatures of commits and tags: who signed, and whether that is enough.
//!
//! ```text
//! raw object ──split──▶ payload and signature ──ssh, openpgp──▶ key and its owner ──verifier──▶ Signer
//! ```
//! The objects are the bytes that were hashed. What is ambiguous is refused: other programs might read it differently.

#[cfg(feature = "ssh")]
pub(crate) mod allowed_signers;
#[cfg_attr(not(feature = "openpgp"), path = "openpgp_absent.rs")]
pub(crate) mod openpgp;
pub(crate) mod split;
#[cfg_attr(not(feature = "ssh"), path = "ssh_absent.rs")]
pub(crate) mod ssh;
pub(crate) mod verifier;

use std::fmt;
#[cfg(any(feature = "openpgp", feature = "ssh"))]
use std::path::Path;

use crate::wildcards::wildcard_match;

#[cfg(any(feature = "openpgp", feature = "ssh"))]
use crate::error::{Error, ErrorKind};

pub use verifier::{ExpiredKeys, Judged, SignaturePolicy, SignatureVerifier, VerifyMode};

/// Who signed a commit or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// What is signed.
    pub object: SignedObject,
    /// The format of the signature.
    pub format: SignatureFormat,
    /// The fingerprint of the key: `SHA256:` and base64 for SSH. For OpenPGP the hexadecimal digits of the
    /// certificate's primary key, which may have signed by a subkey.
    pub fingerprint: String,
    /// The principal that `allowed_signers` names, or a user id of the OpenPGP certificate. Control characters are
    /// escaped, and only the beginning of a long name is here.
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
    /// By OpenPGP, for example GnuPG.
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

/// Who made a signature that fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As in [`Signer::fingerprint`].
    pub(crate) fingerprint: String,
    /// The fingerprint of the OpenPGP subkey that signed.
    pub(crate) subkey: Option<String>,
    /// The principal that `allowed_signers` names. Not a user id: everybody chooses their own.
    pub(crate) principal: Option<String>,
    /// As in [`Signer::name`].
    pub(crate) name: Option<String>,
}

impl Identity {
    /// Whether an entry of [`SignaturePolicy::signers`] means this one.
    fn is(&self, signer: &str) -> bool {
        let is_openpgp = |known: &str| known.eq_ignore_ascii_case(signer);
        *signer == *self.fingerprint
            || self.principal.as_deref().is_some_and(|principal| wildcard_match(signer, principal))
            || self.principal.is_none() && is_openpgp(&self.fingerprint)
            || self.subkey.as_deref().is_some_and(is_openpgp)
    }
}

/// A name as it is shown in logs and metrics, and in the environment of hooks, where a long one would fail them.
#[cfg(any(feature = "openpgp", feature = "ssh"))]
fn shown_name(name: &str) -> String {
    const MAX_CHARACTERS: usize = 200;
    let beginning: String = name.chars().take(MAX_CHARACTERS).collect();
    beginning.escape_debug().to_string()
}

/// The moments at which keys must be valid, in seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) now: u64,
    pub(crate) expired: ExpiredKeys,
}

impl Moments {
    /// Those for a signature that was made at a time.
    pub(crate) fn of(self, signed: u64) -> Vec<u64> {
        match self.expired {
            ExpiredKeys::AtSigning => vec![signed],
            ExpiredKeys::Refuse => vec![signed, self.now],
        }
    }
}

/// The error for a file with keys. No older set of keys is used in its place.
#[cfg(any(feature = "openpgp", feature = "ssh"))]
fn unreadable(path: &Path, fault: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("read the keys in {}", path.display()), fault)
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

    /// A signature of a format that only a feature of this crate verifies.
    #[cfg(not(all(feature = "openpgp", feature = "ssh")))]
    fn not_built_in(format: &str, feature: &str) -> Self {
        let text =
            format!("it is signed with {format}, and sync-core was built without its feature `{feature}`");
        Refusal::new(RefusalReason::Unsupported, text)
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
