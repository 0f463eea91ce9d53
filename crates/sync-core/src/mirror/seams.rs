//! Interfaces for callers: where credentials come from, and a check of each commit.

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::Tip;
#[cfg(feature = "ssh")]
use crate::signatures::verifier::Judged;
use crate::signatures::{Refusal, Signer};
use crate::spec::reference::CommitId;

/// Provides the credentials for HTTP, at the start of every update.
pub trait CredentialProvider: Send {
    /// The credentials to use now.
    ///
    /// # Errors
    ///
    /// Any. The update fails with this error.
    fn credentials(&mut self) -> Result<Credentials>;

    /// The server refused the credentials. Return true if [`CredentialProvider::credentials`] now provides different
    /// ones; the update then tries again, once. The default is false.
    fn renew(&mut self) -> bool {
        false
    }
}

/// Provides the same credentials every time.
impl CredentialProvider for Credentials {
    fn credentials(&mut self) -> Result<Credentials> {
        Ok(self.clone())
    }
}

/// Checks each commit before it is checked out and published, for example its signature. It may be called again for the
/// same commit, also for the published one: at every update it decides anew.
pub trait Verifier: Send {
    /// Check a commit. The answer is who signed it, as far as the check is about signatures.
    ///
    /// # Errors
    ///
    /// Any, preferably of kind [`ErrorKind::Rejected`]. The update fails with this error,
    /// and the published tree stays.
    fn verify(&mut self, received: &Received) -> Result<Vec<Signer>>;
}

impl<F: FnMut(&Received) -> Result<Vec<Signer>> + Send> Verifier for F {
    fn verify(&mut self, received: &Received) -> Result<Vec<Signer>> {
        self(received)
    }
}

/// The objects of a commit that is not checked out yet.
#[derive(Clone, Debug)]
pub struct Received {
    pub(crate) tip: Tip,
    pub(crate) commit_object: Vec<u8>,
    pub(crate) tag_object: Option<Vec<u8>>,
}

impl Received {
    /// The commit.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.tip.commit
    }

    /// Where the reference points, including the annotated tag if there is one.
    #[must_use]
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The content of the commit object, without the header of the object. A signature is part of it and covers the
    /// rest. Its hash is the id of the commit.
    #[must_use]
    pub fn commit_object(&self) -> &[u8] {
        &self.commit_object
    }

    /// The content of the annotated tag that the reference names; `None` if it names none. Its hash is
    /// [`Tip::tag`].
    #[must_use]
    pub fn tag_object(&self) -> Option<&[u8]> {
        self.tag_object.as_deref()
    }
}

#[cfg(feature = "ssh")]
impl crate::signatures::SignatureVerifier {
    /// Judge a commit. The inner result is the judgement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a file with keys cannot be read: no older set
    /// of keys is used in its place.
    pub fn check(&self, received: &Received) -> Result<std::result::Result<Vec<Signer>, Refusal>> {
        self.judge(&Judged {
            commit: received.commit(),
            reference: received.tip.reference(),
            commit_object: &received.commit_object,
            tag_object: received.tag_object(),
        })
    }
}

#[cfg(feature = "ssh")]
impl Verifier for crate::signatures::SignatureVerifier {
    fn verify(&mut self, received: &Received) -> Result<Vec<Signer>> {
        self.check(received)?.map_err(|refusal| refusal.into_error(received))
    }
}

impl Refusal {
    /// The error with which the update fails.
    #[must_use]
    pub fn into_error(self, received: &Received) -> Error {
        let reference = received.tip.reference().unwrap_or("by its id");
        Error::new(ErrorKind::Rejected, format!("verify {} ({reference})", received.commit()), self.text)
    }
}
