//! Clone a reference into a directory: `cargo run --example clone -- URL REF DIR`.

use sync_core::{ConnectOptions, Interrupt, Progress, Resources, Source, Store, Upstream, checkout};

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, reference, directory] = arguments.as_slice() else { return Err("needs URL REF DIR".into()) };
    let source = Source::new(url.parse()?, reference.parse()?);
    let mut store = Store::open(directory.as_ref(), Resources::default())?;
    let (interrupt, progress) = (Interrupt::new(), Progress::new());
    let mut upstream = Upstream::new(source, ConnectOptions::default(), interrupt.clone(), progress.clone());
    let tip = upstream.look()?;
    let fetched = upstream.receive(&tip, &mut store)?;
    let tree = checkout(&store, &fetched, None, &progress, &interrupt)?;
    println!("{}", tree.path.display());
    Ok(())
}
