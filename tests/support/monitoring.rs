//! Prometheus' own tools.

use std::io::Write;
use std::process::{Command, Stdio};

use super::text;

/// What promtool says of this input. Faults fail the test.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool, of the Debian package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    // Exit code 3: it would have other names, which are git-sync's.
    let is_lint = arguments == ["check", "metrics"] && output.status.code() == Some(3);
    assert!(output.status.success() || is_lint, "{arguments:?}: {said}");
    said
}
