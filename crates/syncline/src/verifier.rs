//! The verifier of signatures, with its counts for `/metrics`.

use sync_core::{CommitId, Received, Result, SignaturePolicy, SignatureVerifier, Signer, Verifier};
use tracing::{info, warn};

use crate::clock::CLOCK;
use crate::status::Status;

/// Verifies signatures, and counts the results.
pub struct CountedVerifier {
    verifier: SignatureVerifier,
    status: Status,
    /// The commit that was found good last.
    good: Option<CommitId>,
}

impl CountedVerifier {
    pub fn new(policy: &SignaturePolicy, status: &Status) -> Self {
        let verifier = SignatureVerifier::new(policy.clone(), CLOCK.wall);
        // Files that cannot be read are the error of every sync.
        for (fingerprint, reason) in verifier.unusable_certificates().unwrap_or_default() {
            warn!(fingerprint, reason, "no key of this OpenPGP certificate may sign");
        }
        CountedVerifier { verifier, status: status.clone(), good: None }
    }
}

impl Verifier for CountedVerifier {
    fn verify(&mut self, received: &Received) -> Result<Vec<Signer>> {
        let judgement = self.verifier.check(received)?;
        self.status.verified(judgement.as_ref().map_or_else(|refusal| refusal.reason.name(), |_| "good"));
        let signers = judgement.map_err(|refusal| refusal.into_error(received))?;
        let commit = received.commit();
        if self.good.replace(commit) != Some(commit) {
            for Signer { object, format, fingerprint, name, .. } in &signers {
                let name = name.as_deref().unwrap_or_default();
                info!(%commit, %object, %format, fingerprint, name, "the signature is good");
            }
        }
        Ok(signers)
    }
}
