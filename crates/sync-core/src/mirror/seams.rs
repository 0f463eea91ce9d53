//! Interfaces for callers: where credentials come from, and a check of each received commit.

use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetched::{Fetched, Tip};
use crate::spec::reference::CommitId;
use crate::store::Store;

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

/// Checks each received commit before it is checked out and published, for example its signature.
pub trait Verifier: Send {
    /// Check a commit.
    ///
    /// # Errors
    ///
    /// Any, preferably of kind [`ErrorKind::Rejected`](crate::ErrorKind::Rejected). The update fails with this error,
    /// and the published tree stays.
    fn verify(&mut self, received: &Received<'_>) -> Result<()>;
}

impl<F: FnMut(&Received<'_>) -> Result<()> + Send> Verifier for F {
    fn verify(&mut self, received: &Received<'_>) -> Result<()> {
        self(received)
    }
}

/// A commit that is in the store and is not checked out yet.
pub struct Received<'a> {
    pub(super) store: &'a Store,
    pub(super) tip: &'a Tip,
    pub(super) fetched: &'a Fetched,
}

impl Received<'_> {
    /// The commit.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.fetched.commit
    }

    /// Where the reference points, including the annotated tag if there is one.
    #[must_use]
    pub fn tip(&self) -> &Tip {
        self.tip
    }

    /// The content of the commit object, without the header of the object. A signature is part of it and covers the
    /// rest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind::DamagedStore) if the object cannot be read.
    pub fn commit_object(&self) -> Result<Vec<u8>> {
        self.store.read_object(self.fetched.commit)
    }
}
