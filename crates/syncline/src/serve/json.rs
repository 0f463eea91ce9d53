//! `/status` as JSON, for scripts. Times are RFC 3339.

use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};
use sync_core::Held;

use crate::board::{Board, ConfigFacts, Entry, GroupFacts};
use crate::clock::rfc3339;
use crate::status::{Facts, LastPush, Published, PushFacts, RelayShown};

/// Of one repository.
pub(super) fn repo(entry: &Entry) -> String {
    format!("{:#}\n", state(entry, &entry.status.facts()))
}

/// Of all repositories, groups and the file that lists them.
pub(super) fn board(board: &Board) -> String {
    let mut repos = Map::new();
    for (name, entry) in board.repos() {
        let facts = entry.status.facts();
        let mut shown = state(&entry, &facts);
        shown["state"] = facts.state().into();
        shown["required"] = entry.is_required.into();
        repos.insert(name, shown);
    }
    let groups = board.groups();
    let groups = groups.iter().map(|(name, facts)| (name.clone(), group(facts))).collect::<Map<_, _>>();
    let ConfigFacts { path, sha256, loaded_at, error } = board.config();
    let config = json!({
        "path": path.to_string_lossy(),
        "sha256": sha256,
        "loaded_at": time(Some(loaded_at)),
        "error": error,
    });
    format!("{:#}\n", json!({ "repos": repos, "groups": groups, "config": config }))
}

fn group(facts: &GroupFacts) -> Value {
    let members = facts.members.iter().map(|(name, commit)| (name.clone(), commit.to_string().into()));
    json!({
        "generation": facts.shown,
        "members": members.collect::<Map<_, _>>(),
        "flipped_at": time(facts.flipped_at),
        "error": facts.error,
    })
}

/// What `/v1/changes` says about a group.
pub(super) fn flip(facts: &GroupFacts) -> String {
    format!("{:#}\n", group(facts))
}

fn state(entry: &Entry, facts: &Facts) -> Value {
    let unready = entry.unready();
    let attempts = facts.attempts.iter().map(|attempt| {
        let (outcome, error) = (attempt.outcome.as_str(), &attempt.error);
        let mut shown =
            json!({ "at": time(Some(attempt.at)), "outcome": outcome, "seconds": attempt.seconds });
        if let Some(error) = error {
            shown["error"] = error.as_str().into();
        }
        shown
    });
    let mut shown = json!({
        "ready": unready.is_none(),
        "unready": unready,
        "source": facts.source,
        "ref": facts.reference,
        "published": published(facts),
        "held": facts.held.as_ref().map_or(Value::Null, held),
        "last_attempt": time(facts.last_attempt()),
        "last_success": time(facts.last_success),
        "next_attempt": time(facts.next_attempt),
        "consecutive_failures": facts.consecutive_failures,
        "last_error": facts.last_error(),
        "last_attempts": attempts.collect::<Value>(),
    });
    if let Some(facts) = &facts.relay {
        shown["relay"] = relay(&facts.shown());
    }
    if let Some(pushes) = &facts.pushes {
        shown["push"] = push(pushes);
    }
    shown
}

fn relay(relay: &RelayShown) -> Value {
    json!({
        "role": if relay.is_follower { "follow" } else { "feed" },
        "connected": relay.is_connected,
        "generation": relay.generation,
        "observed": time(relay.observed),
        "commit": relay.commit.map(|commit| commit.to_string()),
        "feeder": relay.feeder,
    })
}

/// The last push hook that proved itself, and whether hooks work.
fn push(facts: &PushFacts) -> Value {
    let last = |of: fn(&LastPush) -> Value| facts.last.as_ref().map_or(Value::Null, of);
    json!({
        "last": last(|last| time(Some(last.at))),
        "sender": last(|last| last.sender.into()),
        "result": last(|last| last.result.into()),
        "commit": last(|last| last.commit.map(|commit| commit.to_string()).into()),
        "working": facts.is_working,
    })
}

/// What `/v1/changes` says about the published commit.
pub(super) fn change(facts: &Facts) -> String {
    format!("{:#}\n", published(facts))
}

fn published(facts: &Facts) -> Value {
    let Some(Published { info, reference, signer }) = &facts.published else { return Value::Null };
    let mut shown = json!({
        "commit": info.id.to_string(),
        "subject": info.subject,
        "committed_at": time(Some(info.time as f64)),
        "published_at": time(facts.published_at),
    });
    for (name, value) in [("ref", reference), ("signer", signer)] {
        if let Some(value) = value {
            shown[name] = value.as_str().into();
        }
    }
    shown
}

/// The commit that a rule holds back.
fn held(held: &Held) -> Value {
    let since = held.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    json!({
        "commit": held.commit.to_string(),
        "ref": held.reference,
        "rule": held.rule.name(),
        "since": time(since.map(|since| since.as_secs_f64())),
    })
}

/// Null for times that cannot be expressed.
fn time(unix: Option<f64>) -> Value {
    unix.and_then(rfc3339).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_may_have_any_date() {
        for (seconds, shown) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, None),
            (i64::MAX, None),
            (-1, None),
        ] {
            assert_eq!(time(Some(seconds as f64)).as_str(), shown, "{seconds}");
        }
    }
}
