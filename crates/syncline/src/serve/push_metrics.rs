//! The metrics of push hooks. Where hooks are not taken, there are none of them.

use super::family::{Family, Sample, counter, gauge, label, optional, plain, summary};
use crate::status::{Facts, PushFacts, Sum};

pub(super) const PUSHES: [Family; 9] = [
    counter(
        "syncline_push_requests_total",
        "How many requests came for push hooks, by sender and result",
        |facts, _| {
            let requests = facts.pushes.iter().flat_map(|pushes| &pushes.requests);
            let labels = |sender, result| format!("{},{}", label("sender", sender), label("result", result));
            requests
                .map(|((sender, result), count)| Sample("", labels(sender, result), *count as f64))
                .collect()
        },
    )
    .by("sender, result"),
    gauge("syncline_push_last_timestamp_seconds", "When the last genuine push hook came", |facts, _| {
        optional(facts.pushes.as_ref().and_then(|pushes| Some(pushes.last?.at)))
    }),
    gauge(
        "syncline_push_last_news_timestamp_seconds",
        "When the last push hook came that was followed by a look",
        |facts, _| optional(facts.pushes.as_ref().and_then(|pushes| pushes.last_news)),
    ),
    summary("syncline_push_to_published_seconds", "From a push hook to the publication", |facts, _| {
        let sum = facts.pushes.as_ref().map(|pushes| pushes.to_published).filter(|sum| sum.count > 0);
        let parts = |sum: Sum| [("_sum", sum.seconds), ("_count", sum.count as f64)];
        sum.into_iter().flat_map(parts).map(|(suffix, value)| Sample(suffix, String::new(), value)).collect()
    }),
    counter(
        "syncline_push_looks_again_total",
        "How often the server did not show yet what a push hook announced",
        |facts, _| count(facts, |pushes| pushes.looks_again),
    ),
    counter(
        "syncline_push_stale_total",
        "How often it did not show it even after some seconds",
        |facts, _| count(facts, |pushes| pushes.stale),
    ),
    counter(
        "syncline_push_missed_total",
        "How often a poll found a commit that no push hook announced, though hooks had worked",
        |facts, _| count(facts, |pushes| pushes.missed),
    ),
    gauge(
        "syncline_push_period_seconds",
        "The pause between syncs while it is longer than configured, because push hooks work",
        |facts, _| {
            optional(facts.pushes.as_ref().and_then(|pushes| pushes.period).map(|pause| pause.as_secs_f64()))
        },
    ),
    counter(
        "syncline_push_secret_faults_total",
        "How often a file with a secret of push hooks could not be used",
        |facts, _| count(facts, |pushes| pushes.secret_faults),
    ),
];

fn count(facts: &Facts, of: fn(&PushFacts) -> u64) -> Vec<Sample> {
    facts.pushes.iter().map(|pushes| plain(of(pushes) as f64)).collect()
}
