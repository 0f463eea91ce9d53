//! The verifier: the policy of the user, and the files with keys, which are read anew for every commit.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::RefusalReason::{Bad, Unsigned, Unsupported, Untrusted};
use super::allowed_signers::{AllowedSigners, wildcard_match};
use super::split::{Signed, split_commit, split_tag};
use super::ssh::{SshKeys, SshSigner, fingerprint, verify};
use super::{Refusal, SignatureFormat, SignedObject, Signer};
use crate::bounded_read::{LARGEST_FILE, read_bounded_text};
use crate::error::{Error, ErrorKind, ParseError, Result};
use crate::spec::reference::CommitId;

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
    /// At the date of the commit or tag, as Git has it for SSH. So an old commit stays good when its key expires; to
    /// withdraw a key, remove it from the file.
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
    /// A file with the SSH keys that never count: public keys or `SHA256:` fingerprints, one in a line. The default is
    /// none.
    pub revoked: Option<PathBuf>,
    /// Of the allowed signers only these: fingerprints (`SHA256:…`), or patterns of principals. All if it is empty.
    pub signers: Vec<String>,
    /// Patterns for the e-mail address of the committer or tagger, one of which must match. Any if it is empty.
    pub committers: Vec<String>,
    /// At which time a key must be valid. The default is the date of the commit or tag.
    pub expired: ExpiredKeys,
}

impl SignaturePolicy {
    /// Everybody in `allowed_signers` may sign.
    #[must_use]
    pub fn new(mode: VerifyMode, allowed_signers: Vec<PathBuf>) -> Self {
        SignaturePolicy {
            mode,
            allowed_signers,
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
pub(crate) struct Judged<'a> {
    pub(crate) commit: CommitId,
    /// The full name of the reference, if the source names one.
    pub(crate) reference: Option<&'a str>,
    pub(crate) commit_object: &'a [u8],
    pub(crate) tag_object: Option<&'a [u8]>,
}

impl SignatureVerifier {
    /// A verifier for `policy`. `now` is the caller's clock, usually `SystemTime::now`.
    #[must_use]
    pub fn new(policy: SignaturePolicy, now: fn() -> SystemTime) -> Self {
        SignatureVerifier { policy, now }
    }

    /// Judge a commit. The inner result is the judgement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a file with keys cannot be read: no older set of keys is used in its place.
    pub(crate) fn judge(&self, judged: &Judged<'_>) -> Result<std::result::Result<Vec<Signer>, Refusal>> {
        let keys = self.read_keys()?;
        let mode = self.policy.mode;
        let of_tag = (mode != VerifyMode::Head).then(|| self.judge_tag(judged, &keys));
        let of_commit = (mode != VerifyMode::Tag).then(|| self.judge_commit(judged, &keys));
        Ok(of_tag.into_iter().chain(of_commit).collect())
    }

    fn judge_commit(&self, judged: &Judged<'_>, keys: &SshKeys) -> std::result::Result<Signer, Refusal> {
        let is_sha256 = judged.commit.0.kind() == gix::hash::Kind::Sha256;
        let signed = split_commit(judged.commit_object, is_sha256)?;
        self.judge_signed(SignedObject::Commit, &signed, keys)
    }

    fn judge_tag(&self, judged: &Judged<'_>, keys: &SshKeys) -> std::result::Result<Signer, Refusal> {
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
        keys: &SshKeys,
    ) -> std::result::Result<Signer, Refusal> {
        if signed.format != SignatureFormat::Ssh {
            let text = format!("it is signed with {}, which is not verified; sign with SSH", signed.format);
            return Err(Refusal::new(Unsupported, text));
        }
        let mut times = vec![signed.time];
        if self.policy.expired == ExpiredKeys::Refuse {
            times.push(
                (self.now)()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(0, |since| Duration::as_secs(&since)),
            );
        }
        let SshSigner { fingerprint, principal } = verify(signed, keys, &times)?;
        let refuse = |text: String| {
            Err(Refusal::new(Untrusted, format!("signed by {fingerprint} ({principal}), {text}")))
        };
        let is_named = |signer: &String| *signer == fingerprint || wildcard_match(signer, &principal);
        if !self.policy.signers.is_empty() && !self.policy.signers.iter().any(is_named) {
            return refuse("who is not one of --verify-signers".into());
        }
        let is_committer = |pattern: &String| wildcard_match(pattern, &signed.email);
        if !self.policy.committers.is_empty() && !self.policy.committers.iter().any(is_committer) {
            return refuse(format!("but {:?} is not one of --verify-committers", signed.email));
        }
        Ok(Signer { object, format: SignatureFormat::Ssh, fingerprint, name: Some(principal) })
    }

    fn read_keys(&self) -> Result<SshKeys> {
        let mut keys = SshKeys::default();
        for path in &self.policy.allowed_signers {
            let text = read(path)?;
            keys.allowed.0.extend(AllowedSigners::parse(&text).map_err(|fault| unreadable(path, fault))?.0);
        }
        if let Some(path) = &self.policy.revoked {
            keys.revoked = parse_revoked(&read(path)?).map_err(|fault| unreadable(path, fault))?;
        }
        Ok(keys)
    }
}

fn read(path: &Path) -> Result<String> {
    read_bounded_text(path, LARGEST_FILE).map_err(|err| unreadable(path, err))
}

fn unreadable(path: &Path, fault: impl Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("read the keys in {}", path.display()), fault)
}

/// Fingerprints, one in a line, and public keys.
fn parse_revoked(text: &str) -> std::result::Result<Vec<String>, String> {
    if text.starts_with("SSHKRL\n\0") {
        return Err(
            "it is a key revocation list, which is not supported; list the keys or their fingerprints".into(),
        );
    }
    let mut revoked = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        revoked.push(match line.strip_prefix("SHA256:") {
            Some(hash) => format!("SHA256:{}", hash.split_whitespace().next().unwrap_or_default()),
            None => {
                let key = russh::keys::PublicKey::from_openssh(line);
                let key =
                    key.map_err(|err| format!("line {number} is no public key and no fingerprint: {err}"))?;
                fingerprint(key.key_data())
            }
        });
    }
    Ok(revoked)
}
