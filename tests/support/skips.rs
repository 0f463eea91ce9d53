//! What is not tested here is said, and counted by `tests/run`.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

use super::tell;

/// Say that the running test does nothing here, and why. Where `SYNCLINE_REQUIRE_ALL` is set, it fails instead.
#[track_caller]
pub fn skip(reason: &str) {
    record(reason);
    assert!(std::env::var_os("SYNCLINE_REQUIRE_ALL").is_none(), "skipped: {reason}");
}

/// Print it, and add it to the file that `SYNCLINE_SKIPPED` names.
#[track_caller]
fn record(reason: &str) {
    let thread = std::thread::current();
    // Tests that run one at a time have no thread of their own.
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => Location::caller().to_string(),
    };
    let line = format!("skipped: {test}: {reason}");
    tell(&line);
    if let Some(file) = std::env::var_os("SYNCLINE_SKIPPED") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
