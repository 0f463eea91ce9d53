//! The metrics of a relay. Without one, there are none of them.

use std::collections::BTreeMap;

use super::family::{Family, Sample, counter, counts, gauge, optional};
use crate::status::{Facts, RelayShown};

pub(super) const RELAY: [Family; 7] = [
    gauge("syncline_relay_connected", "Whether the relay can be reached", |facts, _| {
        of_relay(facts, |relay| Some(f64::from(u8::from(relay.is_connected))))
    }),
    gauge(
        "syncline_relay_observed_timestamp_seconds",
        "When a feeder last saw at the git server what the relay says",
        |facts, _| of_relay(facts, |relay| relay.observed),
    ),
    gauge("syncline_relay_generation", "The generation of the relay's tip; it only grows", |facts, _| {
        of_relay(facts, |relay| Some(relay.generation as f64))
    }),
    gauge(
        "syncline_relay_lag_seconds",
        "How long the published commit took from a feeder's look at the git server to here",
        |facts, _| optional(facts.relay_lag),
    ),
    counter(
        "syncline_relay_bytes_total",
        "Bytes of packs that came from the relay, or went to it",
        |facts, _| of_relay_each(facts, "kind", |relay| &relay.bytes),
    )
    .by("kind"),
    counter("syncline_relay_refused_total", "What the relay showed and was not followed", |facts, _| {
        of_relay_each(facts, "reason", |relay| &relay.refused)
    })
    .by("reason"),
    counter("syncline_relay_writes_total", "How often a feeder wrote its tip, by result", |facts, _| {
        of_relay_each(facts, "result", |relay| &relay.writes)
    })
    .by("result"),
];

fn of_relay(facts: &Facts, value: fn(&RelayShown) -> Option<f64>) -> Vec<Sample> {
    optional(facts.relay.as_ref().and_then(|relay| value(&relay.shown())))
}

fn of_relay_each(
    facts: &Facts,
    name: &str,
    all: fn(&RelayShown) -> &BTreeMap<&'static str, u64>,
) -> Vec<Sample> {
    facts.relay.iter().flat_map(|relay| counts(name, all(&relay.shown()))).collect()
}
