//! Check out arbitrary commits, branches and merge references for build jobs:
//! `cargo run --example ci_checkout -- URL DIR`, with one reference or commit id on each line of its input.
//!
//! Every job gets files of its own that it may change. Objects that are there already are not fetched again.

use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

use sync_core::{ErrorKind, Interrupt, Mirror, Reference, Source};

#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "an example, with a clock")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, root] = arguments.as_slice() else { return Err("needs URL DIR".into()) };
    let interrupt = Interrupt::new();
    let mut mirror = Mirror::builder(Source::new(url.parse()?, "HEAD".parse()?))
        .shares_files(false) // a job may write to its files
        .interrupt(interrupt.clone())
        .open(root)?;
    for line in std::io::stdin().lock().lines() {
        let reference: Reference = match line?.trim().parse() {
            Ok(reference) => reference,
            Err(err) => {
                eprintln!("{err}");
                continue;
            }
        };
        let end = Instant::now() + Duration::from_secs(120);
        interrupt.set_deadline(move || Instant::now() >= end);
        mirror.set_reference(reference.clone());
        match mirror.sync() {
            Ok(outcome) => build(&reference, &mirror.store().tree_path(outcome.commit()))?,
            Err(err) if err.kind() == ErrorKind::NotFound => eprintln!("not there: {err}"),
            Err(err) => eprintln!("{err}"),
        }
    }
    Ok(())
}

/// The job. This one counts files, and leaves one behind.
#[expect(clippy::print_stdout, reason = "an example")]
fn build(reference: &Reference, tree: &Path) -> std::io::Result<()> {
    let files = fs_err::read_dir(tree)?.count() - 1; // without .git
    fs_err::write(tree.join("build.log"), "built\n")?;
    println!("{reference}: {files} files");
    Ok(())
}
