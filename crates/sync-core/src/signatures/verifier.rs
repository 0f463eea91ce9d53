//! The verifier: the policy of the user, and the files with keys, which are read anew for every commit.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::RefusalReason::{Bad, Unsigned, Unsupported, Untrusted};
use super::openpgp::Certificates;
use super::split::{Signed, split_commit, split_tag};
use super::ssh::SshKeys;
use super::{Identity, Moments, Refusal, SignatureFormat, SignedObject, Signer};
use crate::error::{ParseError, Result};
use crate::spec::reference::CommitId;
use crate::wildcards::wildcard_match;

/// Which signatures a commit must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyMode {
    /// The commit.
    Head,
    /// The annotated tag that the reference names.
    Tag,
    /// Both.
    TagAndHead,
}

impl FromStr for VerifyMode {
    type Err = ParseError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseError> {
        match text {
            "head" => Ok(VerifyMode::Head),
            "tag" => Ok(VerifyMode::Tag),
            "tag-and-head" => Ok(VerifyMode::TagAndHead),
            _ => Err(format!("must be off, head, tag or tag-and-head, not {text:?}").into()),
        }
    }
}

/// At which time a key must be valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiredKeys {
    /// At the date of the commit or tag, as Git has it for SSH; for OpenPGP, at the time that the signature has. So an
    /// old commit stays good when its key expires; to withdraw a key, remove it from the file.
    #[default]
    AtSigning,
    /// Also now.
    Refuse,
}

impl FromStr for ExpiredKeys {
    type Err = ParseError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseError> {
        match text {
            "at-signing" => Ok(ExpiredKeys::AtSigning),
            "refuse" => Ok(ExpiredKeys::Refuse),
            _ => Err(format!("must be at-signing or refuse, not {text:?}").into()),
        }
    }
}

/// Whose signatures count.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignaturePolicy {
    /// Which signatures a commit must have.
    pub mode: VerifyMode,
    /// Files in the format of ssh-keygen(1), "ALLOWED SIGNERS".
    pub allowed_signers: Vec<PathBuf>,
    /// Files with OpenPGP certificates, or directories of them. The default is none.
    pub keys: Vec<PathBuf>,
    /// A file with the SSH keys that never count: public keys or `SHA256:` fingerprints, one in a line. The default is
    /// none.
    pub revoked: Option<PathBuf>,
    /// Of the allowed signers only these: full fingerprints (`SHA256:…`, or the 40 or 64 digits of an OpenPGP key or
    /// subkey), or patterns of principals in `allowed_signers`. All if it is empty.
    pub signers: Vec<String>,
    /// Patterns for the e-mail address of the committer or tagger, one of which must match. Any if it is empty.
    pub committers: Vec<String>,
    /// At which time a key must be valid. The default is when it was signed.
    pub expired: ExpiredKeys,
}

impl SignaturePolicy {
    /// Everybody in `allowed_signers` may sign, and nobody else until there are OpenPGP keys.
    #[must_use]
    pub fn new(mode: VerifyMode, allowed_signers: Vec<PathBuf>) -> Self {
        SignaturePolicy {
            mode,
            allowed_signers,
            keys: Vec::new(),
            revoked: None,
            signers: Vec::new(),
            committers: Vec::new(),
            expired: ExpiredKeys::default(),
        }
    }
}

/// Verifies signatures of commits and tags. The files with keys are read anew for every commit.
#[derive(Clone, Debug)]
pub struct SignatureVerifier {
    policy: SignaturePolicy,
    now: fn() -> SystemTime,
}

/// The objects that are judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The commit.
    pub commit: CommitId,
    /// The full name of the reference, if the source names one.
    pub reference: Option<&'a str>,
    /// The content of the commit object, without its header: the bytes that were hashed.
    pub commit_object: &'a [u8],
    /// The same of the annotated tag, if the reference names one.
    pub tag_object: Option<&'a [u8]>,
}

impl SignatureVerifier {
    /// A verifier for `policy`. `now` is the caller's clock, usually `SystemTime::now`.
    #[must_use]
    pub fn new(policy: SignaturePolicy, now: fn() -> SystemTime) -> Self {
        SignatureVerifier { policy, now }
    }

    /// Judge objects, wherever they are from. The inner result is the judgement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a file with keys cannot be read: no older set
    /// of keys is used in its place.
    pub fn judge(&self, judged: &Judged<'_>) -> Result<std::result::Result<Vec<Signer>, Refusal>> {
        let keys = self.read_keys()?;
        let mode = self.policy.mode;
        let of_tag = (mode != VerifyMode::Head).then(|| self.judge_tag(judged, &keys));
        let of_commit = (mode != VerifyMode::Tag).then(|| self.judge_commit(judged, &keys));
        Ok(of_tag.into_iter().chain(of_commit).collect())
    }

    /// The fingerprints of the OpenPGP certificates that no key of may sign now, each with the reason.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a file with keys cannot be read.
    pub fn unusable_certificates(&self) -> Result<Vec<(String, String)>> {
        Ok(Certificates::read(&self.policy.keys)?.unusable(self.moments().now))
    }

    fn judge_commit(&self, judged: &Judged<'_>, keys: &Keys) -> std::result::Result<Signer, Refusal> {
        let is_sha256 = judged.commit.0.kind() == gix::hash::Kind::Sha256;
        let signed = split_commit(judged.commit_object, is_sha256)?;
        self.judge_signed(SignedObject::Commit, &signed, keys)
    }

    fn judge_tag(&self, judged: &Judged<'_>, keys: &Keys) -> std::result::Result<Signer, Refusal> {
        let named = judged.reference.and_then(|name| name.strip_prefix("refs/tags/"));
        let (Some(object), Some(named)) = (judged.tag_object, named) else {
            return Err(Refusal::new(
                Unsigned,
                "the reference is no annotated tag, so there is no signature of one",
            ));
        };
        let (fields, signed) = split_tag(object)
            .map_err(|refusal| Refusal { text: format!("its tag: {}", refusal.text), ..refusal })?;
        if fields.name != named {
            return Err(Refusal::new(
                Bad,
                format!("its tag says {:?}, and the reference {named:?}", fields.name),
            ));
        }
        if fields.object != judged.commit.to_string() {
            return Err(Refusal::new(Bad, format!("its tag names {:?}, another commit", fields.object)));
        }
        self.judge_signed(SignedObject::Tag, &signed, keys)
    }

    fn judge_signed(
        &self,
        object: SignedObject,
        signed: &Signed,
        keys: &Keys,
    ) -> std::result::Result<Signer, Refusal> {
        let moments = self.moments();
        let identity = match signed.format {
            SignatureFormat::Ssh => keys.ssh.verify(signed, moments)?,
            SignatureFormat::OpenPgp => keys.openpgp.verify(signed, moments)?,
            SignatureFormat::X509 => {
                let text = "it is signed with X.509, which is not verified; sign with SSH or OpenPGP";
                return Err(Refusal::new(Unsupported, text));
            }
        };
        self.allow(&identity, &signed.email)?;
        let Identity { fingerprint, name, .. } = identity;
        Ok(Signer { object, format: signed.format, fingerprint, name })
    }

    /// Whether this signer is one of those that the policy narrows the keys down to.
    fn allow(&self, identity: &Identity, email: &str) -> std::result::Result<(), Refusal> {
        let refuse = |text: String| {
            let Identity { fingerprint, name, .. } = identity;
            let name = name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
            Err(Refusal::new(Untrusted, format!("signed by {fingerprint}{name}, {text}")))
        };
        if !self.policy.signers.is_empty() && !self.policy.signers.iter().any(|signer| identity.is(signer)) {
            return refuse("who is not one of --verify-signers".into());
        }
        let is_committer = |pattern: &String| wildcard_match(pattern, email);
        if !self.policy.committers.is_empty() && !self.policy.committers.iter().any(is_committer) {
            return refuse(format!("but {email:?} is not one of --verify-committers"));
        }
        Ok(())
    }

    fn moments(&self) -> Moments {
        let now = (self.now)().duration_since(SystemTime::UNIX_EPOCH);
        Moments { now: now.map_or(0, |since| Duration::as_secs(&since)), expired: self.policy.expired }
    }

    fn read_keys(&self) -> Result<Keys> {
        let ssh = SshKeys::read(&self.policy.allowed_signers, self.policy.revoked.as_deref())?;
        Ok(Keys { ssh, openpgp: Certificates::read(&self.policy.keys)? })
    }
}

/// All keys that may sign.
struct Keys {
    ssh: SshKeys,
    openpgp: Certificates,
}
