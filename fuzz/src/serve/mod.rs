//! What is served over HTTP.

#[path = "../../../crates/syncline/src/serve/metrics.rs"]
mod metrics;
#[path = "../../../crates/syncline/src/serve/page.rs"]
mod page;
#[path = "../../../crates/syncline/src/serve/process.rs"]
mod process;

pub fn pages(facts: &crate::status::Facts) -> (String, String) {
    (page::render(facts), metrics::render(facts, &process::Process::now()))
}
