//! The log on stderr.

use std::io::{self, IsTerminal, Write};

use sync_core::{Notice, Severity};
use tracing::{Level, Metadata, Span, debug, info, info_span, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Set up the log of the process.
pub fn start(config: LogConfig) {
    let level = if config.verbosity == 0 { Level::INFO } else { Level::DEBUG };
    let builder = fmt().with_max_level(level).with_writer(Stderr::new).with_target(false);
    let own = filter_fn(is_own);
    if is_json(config.format) {
        let json = builder.json().flatten_event(true).with_current_span(true).with_span_list(false);
        json.finish().with(own).init();
    } else {
        builder.with_ansi(io::stderr().is_terminal()).finish().with(own).init();
    }
}

/// Other crates say in their own words, and often, what we say in ours.
fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("sync")
}

/// Write a line for what a mirror noticed.
pub fn notice(notice: &Notice) {
    let Notice { text, error, reason, .. } = notice;
    let (error, reason) = (error.as_deref(), reason.as_deref());
    let commit = notice.commit.map(|commit| commit.to_string());
    let files = (!notice.files.is_empty()).then(|| format!("{:?}", notice.files));
    let (commit, files) = (commit.as_deref(), files.as_deref());
    match notice.severity {
        Severity::Warning => warn!(commit, files, reason, error, "{text}"),
        Severity::Info => info!(commit, files, reason, error, "{text}"),
        _ => debug!(commit, files, reason, error, "{text}"),
    }
}

pub fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    }
}

/// Stderr that erases a progress line before a log line.
struct Stderr {
    fresh: bool,
}

impl Stderr {
    fn new() -> Self {
        Stderr { fresh: io::stderr().is_terminal() }
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr();
        if std::mem::take(&mut self.fresh) {
            stderr.write_all(b"\r\x1b[K")?;
        }
        stderr.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// What stands before the lines about one of many repositories.
pub fn repository(name: &str) -> Span {
    info_span!("repository", repo = name)
}
