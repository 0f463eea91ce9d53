//! Interfaces for callers: where credentials come from, and a check of each commit.

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::Received;
use crate::signatures::verifier::Judged;
use crate::signatures::{Refusal, Signer};

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

impl crate::signatures::SignatureVerifier {
    /// Judge a commit that is about to be published. The inner result is the judgement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a file with keys cannot be read: no older set
    /// of keys is used in its place.
    pub fn check(&self, received: &Received) -> Result<std::result::Result<Vec<Signer>, Refusal>> {
        self.judge(&Judged {
            commit: received.commit(),
            reference: received.tip.reference(),
            commit_object: received.commit_object(),
            tag_object: received.tag_object(),
        })
    }
}

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
