//! What a caller can put into a mirror: logins, and a check of what was received.

use crate::credentials::Credentials;
use crate::error::Result;
use crate::fetched::{Fetched, Tip};
use crate::spec::reference::CommitId;
use crate::store::Store;

/// Where the credentials for HTTP come from. They are asked for at every update.
pub trait CredentialProvider: Send {
    /// What to log in with now.
    ///
    /// # Errors
    ///
    /// Any: the update fails with it.
    fn credentials(&mut self) -> Result<Credentials>;

    /// A server refused what [`CredentialProvider::credentials`] said. Whether to ask again at once: there is something
    /// else to show.
    fn renew(&mut self) -> bool {
        false
    }
}

/// The same credentials every time.
impl CredentialProvider for Credentials {
    fn credentials(&mut self) -> Result<Credentials> {
        Ok(self.clone())
    }
}

/// Decides whether a commit may be checked out and published. It is asked for every commit that was received, before
/// any of it becomes visible.
pub trait Verifier: Send {
    /// Check a commit.
    ///
    /// # Errors
    ///
    /// Any, preferably of kind [`ErrorKind::Rejected`](crate::ErrorKind): the update fails with it, and what was
    /// published stays.
    fn verify(&mut self, received: &Received<'_>) -> Result<()>;
}

impl<F: FnMut(&Received<'_>) -> Result<()> + Send> Verifier for F {
    fn verify(&mut self, received: &Received<'_>) -> Result<()> {
        self(received)
    }
}

/// A commit that is in the store with its tree, and not checked out yet.
pub struct Received<'a> {
    pub(super) store: &'a Store,
    pub(super) tip: &'a Tip,
    pub(super) fetched: &'a Fetched,
}

impl Received<'_> {
    /// The commit.
    pub fn commit(&self) -> CommitId {
        self.fetched.commit
    }

    /// What the reference pointed to.
    pub fn tip(&self) -> &Tip {
        self.tip
    }

    /// The commit's object as it is stored, without its header: what a signature covers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DamagedStore`](crate::ErrorKind) if it cannot be read.
    pub fn commit_object(&self) -> Result<Vec<u8>> {
        self.store.read_object(self.fetched.commit)
    }
}
