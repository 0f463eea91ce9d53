//! What a metric is: its name, its type, and its samples. (The usual crates know no summaries and force a suffix on
//! counters.)

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::status::{DURATION_BOUNDS, Durations, Facts, Status, Sum};

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What stands above the samples.
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    /// The names of its labels, for the reference.
    pub(super) labels: &'static str,
}

/// A line of a family: what its name has in addition, its labels, and its value.
pub(super) struct Sample(pub(super) &'static str, pub(super) String, pub(super) f64);

/// What is measured of a repository.
pub(super) struct Family {
    pub(super) head: Head,
    samples: fn(&Facts, &str) -> Vec<Sample>,
}

impl Family {
    /// The same with labels of these names.
    pub(super) const fn by(mut self, labels: &'static str) -> Family {
        self.head.labels = labels;
        self
    }

    /// Like client_golang, a family without samples is not shown.
    pub(super) fn render(&self, repos: &[(String, Status)], format: Format) -> String {
        let mut page = Page::new(format);
        let name = self.head.name;
        for (repo, status) in repos {
            for Sample(suffix, labels, value) in status.read(|facts| (self.samples)(facts, name)) {
                page.begin(&self.head);
                let separator = if repo.is_empty() || labels.is_empty() { "" } else { "," };
                page.sample(&format!("{name}{suffix}"), &format!("{repo}{separator}{labels}"), value);
            }
        }
        page.text
    }
}

pub(super) const fn head(name: &'static str, kind: &'static str, help: &'static str) -> Head {
    Head { name, kind, help, labels: "" }
}

pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { head: head(name, "counter", help), samples }
}

pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { head: head(name, "gauge", help), samples }
}

pub(super) const fn summary(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { head: head(name, "summary", help), samples }
}

pub(super) const fn histogram(
    name: &'static str,
    help: &'static str,
    samples: fn(&Facts, &str) -> Vec<Sample>,
) -> Family {
    Family { head: head(name, "histogram", help), samples }
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

/// The samples of a histogram.
pub(super) fn buckets(name: &str, text: &str, durations: &Durations) -> Vec<Sample> {
    let labels = label(name, text);
    // OpenMetrics writes 1.0 where others write 1.
    let bounds = DURATION_BOUNDS.map(|bound| format!("{bound:?}")).into_iter().zip(durations.within);
    let all = bounds.chain([("+Inf".to_owned(), durations.sum.count)]);
    let bucket = |(bound, count): (String, u64)| {
        Sample("_bucket", format!("{labels},{}", label("le", &bound)), count as f64)
    };
    let mut samples: Vec<Sample> = all.map(bucket).collect();
    samples.extend(sums(name, [(text, durations.sum)].into_iter()));
    samples
}

pub(super) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// Lines of one family after the other.
pub(super) struct Page {
    pub(super) text: String,
    format: Format,
}

impl Page {
    pub(super) fn new(format: Format) -> Page {
        Page { text: String::new(), format }
    }

    /// Before the first sample of a family. OpenMetrics has counters under their names without `_total`, which all
    /// must have: git-sync has one without, which keeps its name as of an unknown type.
    fn begin(&mut self, Head { name, kind, help, .. }: &Head) {
        if !self.text.is_empty() {
            return;
        }
        let (name, kind) = match (self.format, *kind, name.strip_suffix("_total")) {
            (Format::OpenMetrics, "counter", Some(stem)) => (stem, "counter"),
            (Format::OpenMetrics, "counter", None) => (*name, "unknown"),
            (_, kind, _) => (*name, kind),
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    pub(super) fn family(&mut self, head: &Head, samples: impl IntoIterator<Item = (String, f64)>) {
        let mut family = Page::new(self.format);
        for (labels, value) in samples {
            family.begin(head);
            family.sample(head.name, &labels, value);
        }
        self.text.push_str(&family.text);
    }
}
