//! The log on stderr, and the progress of long work on it.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use sync_core::{Notice, Severity, Snapshot, Stage};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{Level, Metadata, Span, debug, info, info_span, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::board::Board;
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

fn is_json(format: LogFormat) -> bool {
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

/// Show progress until dropped: on a terminal a line that is redrawn, elsewhere a log line every few seconds,
/// so that quick work says nothing. Only a repository that is alone has the terminal to itself.
pub async fn show(board: &Board, format: LogFormat) {
    let on_terminal = !board.is_many() && io::stderr().is_terminal() && !is_json(format);
    let period = if on_terminal { Duration::from_millis(250) } else { Duration::from_secs(5) };
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = BTreeMap::new();
    loop {
        ticks.tick().await;
        let before = std::mem::take(&mut seen);
        for (name, entry) in board.repos() {
            let snapshot = entry.progress.snapshot();
            let now = Seen::new(&snapshot);
            let last = before.get(&name).filter(|last: &&Seen| last.finished == now.finished);
            if let Some(last) = last.filter(|_| snapshot.stage != Stage::Idle) {
                let text = describe(&snapshot, last.speed(&now));
                if on_terminal {
                    let _ = write!(io::stderr(), "\r\x1b[K{text}");
                } else {
                    let span = if board.is_many() { repository(&name) } else { Span::none() };
                    span.in_scope(|| tell(&snapshot, &text));
                }
            }
            seen.insert(name, now);
        }
    }
}

/// What stands before the lines about one of many repositories.
pub fn repository(name: &str) -> Span {
    info_span!("repository", repo = name)
}

fn tell(snapshot: &Snapshot, text: &str) {
    let Snapshot { stage, done, total, bytes, .. } = *snapshot;
    info!(stage = stage.describe(), done, total, bytes, "{text}");
}

/// Work at one check.
struct Seen {
    finished: usize,
    stage: Stage,
    bytes: usize,
    at: Instant,
}

impl Seen {
    fn new(snapshot: &Snapshot) -> Seen {
        let Snapshot { finished, stage, bytes, .. } = *snapshot;
        Seen { finished, stage, bytes, at: Instant::now() }
    }

    /// Bytes per second until another check.
    fn speed(&self, now: &Seen) -> usize {
        let before = if self.stage == now.stage { self.bytes } else { 0 };
        let seconds = (now.at - self.at).as_secs_f64();
        if seconds > 0.0 { (now.bytes.saturating_sub(before) as f64 / seconds) as usize } else { 0 }
    }
}

fn describe(snapshot: &Snapshot, speed: usize) -> String {
    let mut text = snapshot.stage.describe().to_owned();
    match (snapshot.done, snapshot.total) {
        (0, 0) => {}
        (done, 0) => text.push_str(&format!(": {done}")),
        (done, total) => text.push_str(&format!(": {}% ({done}/{total})", done.min(total) * 100 / total)),
    }
    if snapshot.bytes > 0 {
        text.push_str(&format!(", {}, {}/s", size(snapshot.bytes), size(speed)));
    }
    text
}

fn size(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well() {
        let mut snapshot = Snapshot::default();
        snapshot.stage = Stage::Connecting;
        assert_eq!(describe(&snapshot, 0), "connecting");
        snapshot.stage = Stage::Receiving;
        (snapshot.done, snapshot.total, snapshot.bytes) = (512, 2048, 3 << 20);
        assert_eq!(describe(&snapshot, 1536), "receiving objects: 25% (512/2048), 3.0 MiB, 1.5 KiB/s");
    }
}
