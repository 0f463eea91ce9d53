//! Build a page for several references of one repository whenever one of them moves, under tokio:
//! `cargo run --example docs_builder -- URL DIR OUT REF...`.
//!
//! It runs until Ctrl-C. Each reference has a mirror of its own; their blocking work goes to threads that may wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::{Interrupt, Mirror, Source, SyncOutcome};
use tokio::task::{JoinSet, spawn_blocking};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, root, out, references @ ..] = arguments.as_slice() else {
        return Err("needs URL DIR OUT REF...".into());
    };
    fs_err::create_dir_all(out)?;
    let interrupt = Interrupt::new();
    let mut builders = JoinSet::new();
    for reference in references {
        let source = Source::new(url.parse()?, reference.parse()?);
        let name = reference.replace('/', "-");
        let root = Path::new(root).join(&name);
        let mirror = Mirror::builder(source).interrupt(interrupt.clone()).open(root)?;
        builders.spawn(follow(mirror, PathBuf::from(out).join(format!("{name}.html"))));
    }
    tokio::select! {
        ended = builders.join_next() => ended.unwrap_or(Ok(Ok(())))?,
        signal = tokio::signal::ctrl_c() => {
            interrupt.trigger(); // what still runs ends within a moment
            Ok(signal?)
        }
    }
}

/// Keep one page in step with one reference.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example")]
async fn follow(mut mirror: Mirror, page: PathBuf) -> Result<(), Error> {
    loop {
        let outcome;
        (mirror, outcome) = spawn_blocking(move || {
            let outcome = mirror.sync();
            (mirror, outcome)
        })
        .await?;
        match outcome {
            Ok(SyncOutcome::Updated(update)) => {
                // While the page is built, its tree stays, even if the reference moves on meanwhile.
                let _guard = update.guard();
                let commit = mirror.store().describe(update.commit())?;
                let title = format!("<h1>{} ({})</h1>\n", commit.subject, commit.id);
                fs_err::write(&page, title + &list(update.path())?)?;
                println!("built {} from {}", page.display(), commit.subject);
            }
            Ok(_) => {}
            Err(err) => eprintln!("{err}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn list(dir: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != ".git");
    names.sort();
    Ok(names.iter().map(|name| format!("<li>{name}\n")).collect())
}
