//! What people see of a repository, on the page and on a terminal: rows of a name and a text.
//!
//! Subjects, references and errors are strangers' text: [`plain`] takes from them what could deceive.

use std::time::{Duration, UNIX_EPOCH};

use sync_core::{CommitId, Held};

use crate::board::{Board, Entry, GroupFacts};
use crate::clock::{rfc3339, unix_time};
use crate::status::{Attempt, Facts, LastPush, Outcome, PushFacts, RelayShown};

/// How much of a stranger's text is shown, in characters.
const LONGEST: usize = 400;

/// How much of a commit's id is shown.
const SHORT: usize = 10;

/// A text, and what it means exactly, if that is longer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Text {
    pub(super) short: String,
    pub(super) full: Option<String>,
}

/// A row.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) text: Text,
}

/// One of the last attempts.
pub(super) struct AttemptRow {
    pub(super) at: Text,
    pub(super) outcome: &'static str,
    pub(super) took: String,
    pub(super) error: String,
}

/// A repository.
pub(super) struct RepoView {
    /// Empty if it is the only one.
    pub(super) name: String,
    pub(super) state: &'static str,
    /// Why it is not ready, if it is not.
    pub(super) unready: Option<String>,
    pub(super) rows: Vec<Row>,
    pub(super) attempts: Vec<AttemptRow>,
}

/// A repository among others, in a line.
pub(super) struct RepoLine {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) is_ready: bool,
    pub(super) commit: Text,
    pub(super) subject: String,
    pub(super) last_success: Text,
    pub(super) error: String,
}

/// A group, in a line.
pub(super) struct GroupLine {
    pub(super) name: String,
    pub(super) generation: Text,
    pub(super) flipped: Text,
    pub(super) members: String,
    pub(super) error: String,
}

/// All repositories of a process.
pub(super) struct BoardView {
    pub(super) repos: Vec<RepoLine>,
    pub(super) groups: Vec<GroupLine>,
    pub(super) rows: Vec<Row>,
}

impl RepoView {
    pub(super) fn of(name: &str, entry: &Entry) -> RepoView {
        let (facts, now) = (entry.status.facts(), unix_time());
        let unready = entry.unready().map(|reason| plain(&reason));
        let attempts = facts.attempts.iter().map(|attempt| AttemptRow::of(attempt, now)).collect();
        RepoView { name: name.to_owned(), state: facts.state(), unready, rows: rows(&facts, now), attempts }
    }

    /// In a word or a sentence.
    pub(super) fn verdict(&self) -> String {
        self.unready.as_ref().map_or_else(|| "fresh".into(), |reason| format!("stale: {reason}"))
    }
}

impl BoardView {
    pub(super) fn of(board: &Board) -> BoardView {
        let now = unix_time();
        let config = board.config();
        let mut rows = vec![
            row("Configuration", plain(&config.path.to_string_lossy())),
            Row { name: "Loaded", text: moment(now, config.loaded_at) },
        ];
        rows.extend(config.error.map(|error| row("Error in a newer file", plain(&error))));
        BoardView {
            repos: board.repos().iter().map(|(name, entry)| RepoLine::of(name, entry, now)).collect(),
            groups: board.groups().iter().map(|(name, facts)| GroupLine::of(name, facts, now)).collect(),
            rows,
        }
    }
}

impl RepoLine {
    fn of(name: &str, entry: &Entry, now: f64) -> RepoLine {
        let is_ready = entry.unready().is_none();
        entry.status.read(|facts| RepoLine {
            name: name.to_owned(),
            state: facts.state(),
            is_ready,
            commit: facts.published.as_ref().map(|published| commit(published.info.id)).unwrap_or_default(),
            subject: facts
                .published
                .as_ref()
                .map(|published| plain(&published.info.subject))
                .unwrap_or_default(),
            last_success: last_success(facts, now).unwrap_or_default(),
            error: facts.last_error().map(plain).unwrap_or_default(),
        })
    }
}

impl GroupLine {
    fn of(name: &str, facts: &GroupFacts, now: f64) -> GroupLine {
        let members = facts.members.iter().map(|(name, id)| format!("{name} {}", commit(*id).short));
        GroupLine {
            name: name.to_owned(),
            generation: facts.shown.as_deref().map(shortened).unwrap_or_default(),
            flipped: facts.flipped_at.map(|at| moment(now, at)).unwrap_or_default(),
            members: members.collect::<Vec<_>>().join(", "),
            error: facts.error.as_deref().map(plain).unwrap_or_default(),
        }
    }
}

impl AttemptRow {
    fn of(attempt: &Attempt, now: f64) -> AttemptRow {
        AttemptRow {
            at: moment(now, attempt.at),
            outcome: match attempt.outcome {
                Outcome::Success => "published",
                Outcome::Noop => "nothing new",
                Outcome::Error => "failed",
            },
            took: format!("{:.3} s", attempt.seconds),
            error: attempt.error.as_deref().map(plain).unwrap_or_default(),
        }
    }
}

fn rows(facts: &Facts, now: f64) -> Vec<Row> {
    let mut rows = vec![row("Repository", plain(&facts.source)), row("Reference", plain(&facts.reference))];
    if let Some(published) = &facts.published {
        let reference = facts.published_reference();
        if reference != facts.reference {
            rows.push(row("Chosen", plain(reference)));
        }
        rows.push(Row { name: "Commit", text: commit(published.info.id) });
        rows.push(row("Subject", plain(&published.info.subject)));
        rows.push(Row { name: "Committed", text: moment(now, published.info.time as f64) });
        rows.extend(published.signer.as_ref().map(|signer| row("Signed by", plain(signer))));
    }
    rows.extend(facts.published_at.map(|at| Row { name: "Published", text: moment(now, at) }));
    rows.extend(facts.held.as_ref().map(|held| row("Held back", held_back(held, now))));
    rows.extend(last_success(facts, now).map(|text| Row { name: "Last success", text }));
    rows.extend(facts.next_attempt.map(|at| Row { name: "Next attempt", text: moment(now, at.max(now)) }));
    if facts.consecutive_failures > 0 {
        rows.push(row("Failures in a row", facts.consecutive_failures.to_string()));
    }
    rows.extend(facts.last_error().map(|error| row("Last error", plain(error))));
    rows.extend((!facts.hooks.is_empty()).then(|| row("Hooks", hooks(facts))));
    rows.extend(facts.pushes.as_ref().map(|pushes| row("Push hooks", push_hooks(pushes, now))));
    rows.extend(facts.relay.as_ref().map(|facts| row("Relay", relay(&facts.shown(), now))));
    if facts.published.is_some() {
        let text = format!("tree {}, store {}", size(facts.tree_bytes), size(facts.store_bytes));
        rows.push(row("On disk", text));
    }
    rows
}

fn row(name: &'static str, text: String) -> Row {
    Row { name, text: Text { short: text, full: None } }
}

fn last_success(facts: &Facts, now: f64) -> Option<Text> {
    // The monotonic clock tells its age, which the wall clock only names.
    let text = moment(now, facts.last_success?);
    Some(Text { short: ago(facts.succeeded?.elapsed()), ..text })
}

fn held_back(held: &Held, now: f64) -> String {
    let since = held.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    let since = since.map(|since| format!(", first seen {}", moment(now, since.as_secs_f64()).short));
    let commit = commit(held.commit).short;
    format!("{commit} by the rule {:?}{}", held.rule.name(), since.unwrap_or_default())
}

fn hooks(facts: &Facts) -> String {
    let runs =
        facts.hooks.iter().map(|((name, outcome), count)| format!("{name} {} {count}", outcome.as_str()));
    let told = facts.delivered.iter().map(|(name, id)| format!("{name} knows {}", commit(*id).short));
    runs.chain(told).collect::<Vec<_>>().join(", ")
}

fn push_hooks(facts: &PushFacts, now: f64) -> String {
    let working = if facts.is_working { "they work" } else { "not known to work" };
    match &facts.last {
        None => format!("none yet; {working}"),
        Some(LastPush { at, sender, result, .. }) => {
            format!("the last one came {} from {sender} ({result}); {working}", moment(now, *at).short)
        }
    }
}

fn relay(relay: &RelayShown, now: f64) -> String {
    let role = if relay.is_follower { "follows" } else { "feeds" };
    let connected = if relay.is_connected { "connected" } else { "not connected" };
    let observed = relay.observed.map(|at| format!(", a feeder looked {}", moment(now, at).short));
    let server = if relay.asks_server { "; the git server is asked in its place" } else { "" };
    format!("{role}, {connected}, generation {}{}{server}", relay.generation, observed.unwrap_or_default())
}

fn commit(id: CommitId) -> Text {
    shortened(&id.to_string())
}

fn shortened(id: &str) -> Text {
    Text { short: id.chars().take(SHORT).collect(), full: Some(id.to_owned()) }
}

/// A time as people say it, and by the calendar.
fn moment(now: f64, at: f64) -> Text {
    let short = match Duration::try_from_secs_f64(at - now) {
        Ok(pause) if pause.as_secs() > 0 => format!("in {}", about(pause)),
        _ => ago(Duration::try_from_secs_f64(now - at).unwrap_or_default()),
    };
    Text { short, full: rfc3339(at) }
}

fn ago(age: Duration) -> String {
    if age.as_secs() == 0 { "now".into() } else { format!("{} ago", about(age)) }
}

/// A duration in its largest unit.
fn about(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

/// A stranger's text in one line, without what could deceive: control characters and those that change the direction of
/// writing. Long texts are cut.
pub fn plain(text: &str) -> String {
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if deceives(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_people_say_them_and_are_never_negative() {
        let now = 1_000_000_000.0;
        for (at, text) in [
            (now, "now"),
            (now + 0.9, "now"),
            (now - 59.0, "59 s ago"),
            (now - 180.0, "3 min ago"),
            (now - 7200.0, "2 h ago"),
            (now - 1e6, "11 d ago"),
            (now + 8.5, "in 8 s"),
            (f64::NAN, "now"),
            (f64::MAX, "now"),
        ] {
            assert_eq!(moment(now, at).short, text, "{at}");
        }
        assert_eq!(moment(now, now).full.as_deref(), Some("2001-09-09T01:46:40Z"));
        assert_eq!(moment(now, -1e9).full, None, "before 1970");
    }

    #[test]
    fn what_could_deceive_is_replaced_and_what_is_long_is_cut() {
        assert_eq!(plain("a\u{202e}b\nc\u{1b}[2Jd"), "a\u{fffd}b\u{fffd}c\u{fffd}[2Jd");
        assert_eq!(plain("Grüße, 世界"), "Grüße, 世界");
        let long = plain(&"x".repeat(1 << 20));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST + 1, true));
    }
}
