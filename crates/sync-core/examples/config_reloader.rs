//! Reload a configuration whenever it changes in a repository:
//! `cargo run --example config_reloader -- URL REF DIR FILE`.
//!
//! It runs until it is stopped. DIR stays small: replaced trees are removed, and the store is repacked.

use std::path::Path;
use std::time::Duration;

use sync_core::{Mirror, Source, SyncOutcome};

#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, reference, root, file] = arguments.as_slice() else {
        return Err("needs URL REF DIR FILE".into());
    };
    let source = Source::new(url.parse()?, reference.parse()?);
    let mut mirror = Mirror::builder(source).observer(|notice| eprintln!("{notice}")).open(root)?;
    if let Some(commit) = mirror.published()? {
        reload(&mirror.store().tree_path(commit).join(file))?;
    }
    loop {
        match mirror.sync() {
            Ok(SyncOutcome::Updated(update)) => {
                let is_first = update.previous().is_none();
                if is_first || update.changes().iter().any(|change| change.path() == Path::new(file)) {
                    reload(&update.path().join(file))?;
                }
            }
            Ok(_) => {}
            // The last configuration stays in use.
            Err(err) => eprintln!("{err}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[expect(clippy::print_stdout, reason = "an example")]
fn reload(file: &Path) -> std::io::Result<()> {
    println!("reloaded: {}", fs_err::read_to_string(file)?.trim());
    Ok(())
}
