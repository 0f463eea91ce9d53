//! Follow a branch, and take over only commits that somebody signed who may:
//! `cargo run --example signed_policies -- URL BRANCH ALLOWED_SIGNERS DIR`.
//!
//! It runs until it is stopped. ALLOWED_SIGNERS is a file as in ssh-keygen(1). A commit that is refused changes nothing,
//! and an earlier one that was signed cannot come back.

use std::time::{Duration, SystemTime};

use sync_core::{Mirror, Rules, SignaturePolicy, SignatureVerifier, Source, SyncOutcome, VerifyMode};

#[expect(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, branch, signers, root] = arguments.as_slice() else {
        return Err("needs URL BRANCH ALLOWED_SIGNERS DIR".into());
    };
    let policy = SignaturePolicy::new(VerifyMode::Head, vec![signers.into()]);
    let mut rules = Rules::default();
    rules.forward_only = true;
    let mut mirror = Mirror::builder(Source::new(url.parse()?, branch.parse()?))
        .verifier(SignatureVerifier::new(policy, SystemTime::now))
        .rules(rules)
        .open(root)?;
    loop {
        match mirror.sync() {
            Ok(SyncOutcome::Updated(update)) => {
                for signer in mirror.signers(update.commit()) {
                    println!("{} is signed by {signer}", update.commit());
                }
            }
            Ok(_) => {}
            // The last good policies stay in use.
            Err(err) => eprintln!("{err}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
