//! Follow three repositories with one pool: they share connections, and only one is fetched and checked out at a time:
//! `cargo run --example many_mirrors -- REF DIR URL URL URL`.
//!
//! It runs until it is stopped. Each mirror has a thread and a directory of its own. A poll needs no permit of the pool,
//! so a large fetch of one repository delays no poll of another.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use sync_core::{Mirror, Pool, Resources, Source, SyncOutcome};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, root, urls @ ..] = arguments.as_slice() else {
        return Err("needs REF DIR URL URL URL".into());
    };
    let pool = Pool::new(Resources::default(), NonZeroUsize::MIN);
    let mut mirrors = Vec::new();
    for (number, url) in (1..).zip(urls) {
        let source = Source::new(url.parse()?, reference.parse()?);
        mirrors.push(Mirror::builder(source).pool(&pool).open(Path::new(root).join(format!("{number}")))?);
    }
    std::thread::scope(|scope| {
        for mirror in mirrors {
            scope.spawn(move || follow(mirror));
        }
    });
    Ok(())
}

#[expect(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, reason = "an example")]
fn follow(mut mirror: Mirror) {
    loop {
        match mirror.sync() {
            Ok(SyncOutcome::Updated(update)) => {
                println!("{} is in {}", update.commit(), update.path().display());
            }
            Ok(_) => {}
            // The last tree stays in use, and so do the other mirrors.
            Err(err) => eprintln!("{err}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
