//! `/status`: what people and scripts ask, as JSON. Times are RFC 3339.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::status::Facts;

pub(super) fn render(facts: &Facts) -> String {
    let published = facts.published.as_ref().map(|commit| {
        json!({
            "commit": commit.id.to_string(),
            "subject": commit.subject,
            "committed_at": time(Some(commit.time as f64)),
            "published_at": time(facts.published_at),
        })
    });
    let attempts = facts.attempts.iter().map(|attempt| {
        let (outcome, error) = (attempt.outcome.as_str(), &attempt.error);
        let mut shown =
            json!({ "at": time(Some(attempt.at)), "outcome": outcome, "seconds": attempt.seconds });
        if let Some(error) = error {
            shown["error"] = error.as_str().into();
        }
        shown
    });
    let page = json!({
        "source": facts.source,
        "ref": facts.reference,
        "published": published,
        "last_attempt": time(facts.last_attempt()),
        "last_success": time(facts.last_success),
        "next_attempt": time(facts.next_attempt),
        "consecutive_failures": facts.consecutive_failures,
        "last_error": facts.last_error,
        "last_attempts": attempts.collect::<Value>(),
    });
    format!("{page:#}\n")
}

fn time(unix: Option<f64>) -> Value {
    let since = unix.and_then(|unix| Duration::try_from_secs_f64(unix).ok());
    since
        .map_or(Value::Null, |since| humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string().into())
}
