//! What a metric is: its name, its type, and its samples. (The usual crates know no summaries and force a suffix on
//! counters.)

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::status::{Facts, Status, Sum};

/// A line of a family: what its name has in addition, its labels, and its value.
pub(super) struct Sample(pub(super) &'static str, pub(super) String, pub(super) f64);

/// What is measured of a repository.
pub(super) struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
}

impl Family {
    /// Like client_golang, a family without samples is not shown.
    pub(super) fn render(&self, repos: &[(String, Status)]) -> String {
        let mut page = Page::default();
        for (repo, status) in repos {
            for Sample(suffix, labels, value) in status.read(|facts| (self.samples)(facts, self.name)) {
                page.head(self.name, self.kind, self.help);
                let separator = if repo.is_empty() || labels.is_empty() { "" } else { "," };
                page.sample(&format!("{}{suffix}", self.name), &format!("{repo}{separator}{labels}"), value);
            }
        }
        page.text
    }
}

pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { name, kind: "counter", help, samples }
}

pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { name, kind: "gauge", help, samples }
}

pub(super) const fn summary(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { name, kind: "summary", help, samples }
}

pub(super) fn plain(value: f64) -> Sample {
    Sample("", String::new(), value)
}

pub(super) fn optional(value: Option<f64>) -> Vec<Sample> {
    value.map(plain).into_iter().collect()
}

pub(super) fn labelled(name: &str, text: &str, value: f64) -> Sample {
    Sample("", label(name, text), value)
}

pub(super) fn counts(name: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<Sample> {
    counts.iter().map(|(text, count)| labelled(name, text, *count as f64)).collect()
}

pub(super) fn sums<'a>(name: &str, sums: impl Iterator<Item = (&'a str, Sum)>) -> Vec<Sample> {
    sums.flat_map(|(text, sum)| {
        let labels = label(name, text);
        [Sample("_sum", labels.clone(), sum.seconds), Sample("_count", labels, sum.count as f64)]
    })
    .collect()
}

pub(super) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// Lines of one family after the other.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    /// Before the first sample of a family.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.text.is_empty() {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    pub(super) fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        let mut family = Page::default();
        for (labels, value) in samples {
            family.head(name, kind, help);
            family.sample(name, &labels, value);
        }
        self.text.push_str(&family.text);
    }
}
