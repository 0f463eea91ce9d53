//! Follow the highest release in a range of versions, and never go back to a lower one:
//! `cargo run --example release_follower -- URL RANGE DIR`.
//!
//! It runs until it is stopped. A release whose tag is deleted stays until a higher one comes.

use std::time::Duration;

use sync_core::{Mirror, Reference, Rules, Source, SyncOutcome, VersionTags};

#[expect(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, range, root] = arguments.as_slice() else {
        return Err("needs URL RANGE DIR".into());
    };
    let releases = Reference::Highest(VersionTags::new(range.parse()?));
    let mut rules = Rules::default();
    rules.forward_only = true;
    let mut mirror = Mirror::builder(Source::new(url.parse()?, releases)).rules(rules).open(root)?;
    loop {
        match mirror.sync() {
            Ok(SyncOutcome::Updated(update)) => {
                let version = mirror.published_tip().and_then(|tip| tip.version());
                let version = version.map(ToString::to_string).unwrap_or_default();
                println!("{version} is in {}", update.path().display());
            }
            Ok(_) => {}
            // The last release stays in use.
            Err(err) => eprintln!("{err}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
