//! The progress of long work on stderr: on a terminal a line that is redrawn, elsewhere a log line every few seconds.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use sync_core::{Snapshot, Stage};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{Span, info};

use crate::board::Board;
use crate::config::LogFormat;
use crate::log::{is_json, repository};

/// How often a line is redrawn, and how often a line is logged.
const REDRAWN: Duration = Duration::from_millis(250);
const LOGGED: Duration = Duration::from_secs(5);

/// How long a stage has to last before its remaining time is told: before that it is a guess.
const FORESEEABLE: Duration = Duration::from_secs(2);

/// How many characters the bar has.
const BAR: usize = 20;

/// How much the newest speed counts against those before it.
const NEWEST: f64 = 0.3;

/// Whether there is a terminal, and people read it.
pub fn is_watched(format: LogFormat) -> bool {
    io::stderr().is_terminal() && !is_json(format)
}

/// Show progress until dropped. Quick work says nothing. Only a repository that is alone has the terminal to itself.
pub async fn show(board: &Board, format: LogFormat) {
    let on_terminal = !board.is_many() && is_watched(format);
    let period = if on_terminal { REDRAWN } else { LOGGED };
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        ticks.tick().await;
        let mut before = std::mem::take(&mut seen);
        for (name, entry) in board.repos() {
            let snapshot = entry.progress.snapshot();
            let last = before.remove(&name).filter(|last| last.finished == snapshot.finished);
            let is_long = last.is_some() && snapshot.stage != Stage::Idle;
            let now = Seen::after(last, &snapshot);
            if is_long {
                let text = describe(&snapshot, &now);
                if on_terminal {
                    let _ = write!(io::stderr(), "\r\x1b[K{}", cut(&text, columns()));
                } else {
                    let span = if board.is_many() { repository(&name) } else { Span::none() };
                    span.in_scope(|| tell(&snapshot, &text));
                }
            }
            seen.insert(name, now);
        }
    }
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
    /// Since when it is in this stage, as far as was seen.
    since: Instant,
    /// Bytes per second, smoothed.
    speed: f64,
}

impl Seen {
    fn after(last: Option<Seen>, snapshot: &Snapshot) -> Seen {
        let Snapshot { finished, stage, bytes, .. } = *snapshot;
        let at = Instant::now();
        let Some(last) = last.filter(|last| last.stage == stage) else {
            return Seen { finished, stage, bytes, at, since: at, speed: 0.0 };
        };
        let seconds = (at - last.at).as_secs_f64();
        let now = if seconds > 0.0 { bytes.saturating_sub(last.bytes) as f64 / seconds } else { last.speed };
        let speed = if last.speed > 0.0 { NEWEST * now + (1.0 - NEWEST) * last.speed } else { now };
        Seen { finished, stage, bytes, at, since: last.since, speed }
    }

    /// How long the stage will last if it goes on as it did.
    fn left(&self, snapshot: &Snapshot) -> Option<Duration> {
        let (passed, Snapshot { done, total, .. }) = (self.at - self.since, *snapshot);
        let is_foreseeable = passed >= FORESEEABLE && done > 0 && total > done;
        is_foreseeable.then(|| passed.mul_f64((total - done) as f64 / done as f64))
    }
}

fn describe(snapshot: &Snapshot, seen: &Seen) -> String {
    let mut text = snapshot.stage.describe().to_owned();
    match (snapshot.done, snapshot.total) {
        (0, 0) => {}
        (done, 0) => text.push_str(&format!(": {done}")),
        (done, total) => {
            let (done, filled) = (done.min(total), done.min(total) * BAR / total);
            let bar = "#".repeat(filled) + &"-".repeat(BAR - filled);
            text.push_str(&format!(": [{bar}] {}% ({done}/{total})", done * 100 / total));
        }
    }
    if snapshot.bytes > 0 {
        text.push_str(&format!(", {}, {}/s", size(snapshot.bytes), size(seen.speed as usize)));
    }
    if let Some(left) = seen.left(snapshot) {
        text.push_str(&format!(
            ", {} left",
            humantime::format_duration(Duration::from_secs(left.as_secs() + 1))
        ));
    }
    text
}

/// The width of the terminal: a longer line could not be redrawn.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns.saturating_sub(1)).collect()
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

    fn snapshot(stage: Stage, done: usize, total: usize, bytes: usize) -> Snapshot {
        let mut snapshot = Snapshot::default();
        (snapshot.stage, snapshot.done, snapshot.total, snapshot.bytes) = (stage, done, total, bytes);
        snapshot
    }

    #[tokio::test(start_paused = true)]
    async fn progress_tells_the_stage_how_much_is_done_how_fast_and_how_long_it_will_take() {
        let connecting = snapshot(Stage::Connecting, 0, 0, 0);
        let seen = Seen::after(None, &connecting);
        assert_eq!(describe(&connecting, &seen), "connecting");
        let start = snapshot(Stage::Receiving, 0, 2048, 0);
        let seen = Seen::after(Some(seen), &start);
        tokio::time::advance(Duration::from_secs(1)).await;
        let quarter = snapshot(Stage::Receiving, 512, 2048, 3 << 20);
        let seen = Seen::after(Some(seen), &quarter);
        let text = "receiving objects: [#####---------------] 25% (512/2048), 3.0 MiB, 3.0 MiB/s";
        assert_eq!(describe(&quarter, &seen), text);
        tokio::time::advance(Duration::from_secs(3)).await;
        let half = snapshot(Stage::Receiving, 1024, 2048, 9 << 20);
        let seen = Seen::after(Some(seen), &half);
        let text = "receiving objects: [##########----------] 50% (1024/2048), 9.0 MiB, 2.7 MiB/s, 5s left";
        assert_eq!(describe(&half, &seen), text);
        let next = Seen::after(Some(seen), &snapshot(Stage::Writing, 1, 10, 1));
        assert_eq!(next.left(&snapshot(Stage::Writing, 1, 10, 1)), None, "a stage that just began");
    }

    #[test]
    fn a_line_is_not_wider_than_the_terminal() {
        assert_eq!(cut("receiving objects", 10), "receiving");
    }
}
