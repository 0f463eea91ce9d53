//! The verifier's judgement of a commit, before anything else of it is fetched where the server allows that.

use super::Mirror;
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::{Received, Tip};
use crate::signatures::Signer;
use crate::spec::reference::CommitId;

/// What is known of the commit that the verifier saw last.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// It is not fetched again for the next judgement.
    received: Option<Received>,
    /// Who signed it, if it was accepted.
    signers: Option<(CommitId, Vec<Signer>)>,
}

impl Judged {
    /// As [`Mirror::signers`].
    pub(super) fn signers(&self, commit: CommitId) -> &[Signer] {
        match &self.signers {
            Some((known, signers)) if *known == commit => signers,
            _ => &[],
        }
    }
}

impl Mirror {
    /// Who signed a commit, according to the [`Verifier`](super::Verifier); empty if it did not accept the commit in
    /// the last update.
    #[must_use]
    pub fn signers(&self, commit: CommitId) -> &[Signer] {
        self.judged.signers(commit)
    }

    /// Have the commit judged, if there is a verifier. The answer is false if that is only possible once it is
    /// fetched.
    pub(super) fn verify(&mut self, tip: &Tip) -> Result<bool> {
        if self.verifier.is_none() {
            return Ok(true);
        }
        let known = self.judged.received.take().filter(|known| known.tip.is_same(tip));
        let known = match known {
            Some(known) => Some(known),
            None => self.received(tip)?,
        };
        known.map_or(Ok(false), |received| self.judge(received).map(|()| true))
    }

    /// The same for a commit that is in the store, if it is not judged yet.
    pub(super) fn verify_fetched(&mut self, tip: &Tip) -> Result<()> {
        if !tip.is_unverified || self.verify(tip)? {
            return Ok(());
        }
        let step = format!("verify {}", tip.commit);
        Err(Error::new(ErrorKind::Server, step, "the server did not send the tag with the commit"))
    }

    /// The objects of a tip, from the store or from the remote.
    fn received(&mut self, tip: &Tip) -> Result<Option<Received>> {
        match self.store.received(tip)? {
            Some(found) => Ok(Some(found)),
            None => self.fetcher.peek(tip, &mut self.store),
        }
    }

    fn judge(&mut self, received: Received) -> Result<()> {
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let verdict = verifier.verify(&received);
        self.judged.signers = None;
        let commit = received.commit();
        self.judged.received = Some(received);
        self.judged.signers = Some((commit, verdict?));
        Ok(())
    }
}
