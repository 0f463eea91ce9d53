//! Whose signatures a commit must have.

use sync_core::{Reference, SignaturePolicy, VerifyMode};

use crate::options::{
    REF, Row, VERIFY, VERIFY_ALLOWED_SIGNERS, VERIFY_COMMITTERS, VERIFY_EXPIRED, VERIFY_KEYS, VERIFY_REVOKED,
    VERIFY_SIGNERS,
};
use crate::reader::OptionReader;

/// The policy, if there is one. `is_forward_only` says whether earlier commits are refused anyway.
pub fn signatures(
    r: &mut OptionReader,
    reference: Option<&Reference>,
    is_forward_only: bool,
) -> Option<SignaturePolicy> {
    let Some(mode) = r.get(&VERIFY) else {
        let others: [&Row; 5] =
            [&VERIFY_ALLOWED_SIGNERS, &VERIFY_KEYS, &VERIFY_REVOKED, &VERIFY_SIGNERS, &VERIFY_COMMITTERS];
        r.error_each(&others, "has no effect without --verify");
        return None;
    };
    let (files, keys) = (r.paths(&VERIFY_ALLOWED_SIGNERS), r.paths(&VERIFY_KEYS));
    if files.is_empty() && keys.is_empty() {
        r.error(&VERIFY, "needs --verify-allowed-signers or --verify-keys");
    }
    if !keys.is_empty() && cfg!(not(feature = "openpgp")) {
        r.error(&VERIFY_KEYS, "needs a syncline that is built with its feature openpgp");
    }
    if mode != VerifyMode::Head && matches!(reference, Some(Reference::Commit(_))) {
        r.error(&VERIFY, format!("needs a tag, and {} names a commit", r.mention(&REF)));
    }
    if !is_forward_only {
        r.warn("--verify without --forward-only: an old signed commit can be put back");
    }
    let mut policy = SignaturePolicy::new(mode, files);
    policy.keys = keys;
    policy.revoked = r.path(&VERIFY_REVOKED);
    policy.signers = r.find(&VERIFY_SIGNERS).unwrap_or_default();
    policy.committers = r.find(&VERIFY_COMMITTERS).unwrap_or_default();
    policy.expired = r.get(&VERIFY_EXPIRED);
    if let Some(id) = policy.signers.iter().find(|signer| is_short_id(signer)) {
        r.error(
            &VERIFY_SIGNERS,
            format!("{id:?} is a short key id, which is no proof; give the whole fingerprint"),
        );
    }
    Some(policy)
}

/// Whether this is the end of an OpenPGP fingerprint.
fn is_short_id(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    matches!(digits.len(), 8 | 16) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tests::read;

    fn policy(argv: &[&str]) -> Result<Option<SignaturePolicy>, Vec<String>> {
        read(argv, &[], |r| signatures(r, Some(&Reference::Name("main".into())), true))
    }

    #[test]
    fn nothing_is_verified_unless_asked_for() {
        assert!(policy(&[]).unwrap().is_none());
        for option in [
            "--verify-allowed-signers=x",
            "--verify-keys=x",
            "--verify-revoked=x",
            "--verify-signers=x",
            "--verify-committers=x",
        ] {
            assert!(policy(&[option]).unwrap_err()[0].contains("has no effect without --verify"), "{option}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_signatures_is_reported() {
        for (argv, fault) in [
            (vec!["--verify=head"], "needs --verify-allowed-signers or --verify-keys"),
            (vec!["--verify=yes", "--verify-allowed-signers=x"], "must be off, head, tag or tag-and-head"),
            (
                vec!["--verify=head", "--verify-allowed-signers=x", "--verify-signers=0123456789abcdef"],
                "short key id",
            ),
            (
                vec!["--verify=head", "--verify-allowed-signers=x", "--verify-expired=no"],
                "must be at-signing",
            ),
        ] {
            let errors = policy(&argv).unwrap_err();
            assert!(errors.iter().any(|error| error.contains(fault)), "{errors:?}");
        }
        let commit = Reference::Commit("1".repeat(40).parse().unwrap());
        let argv = ["--verify=tag", "--verify-allowed-signers=x"];
        let errors = read(&argv, &[], |r| signatures(r, Some(&commit), true)).unwrap_err();
        assert!(errors[0].contains("needs a tag"), "{errors:?}");
        let good = policy(&["--verify=tag-and-head", "--verify-allowed-signers=x", "--verify-signers=a@*,b"])
            .unwrap();
        assert_eq!(good.unwrap().signers, ["a@*", "b"]);
        if cfg!(feature = "openpgp") {
            let keys =
                policy(&["--verify=head", "--verify-keys=/a", "--verify-keys=/b"]).unwrap().unwrap().keys;
            assert_eq!(keys, ["/a", "/b"].map(std::path::PathBuf::from));
        }
    }
}
