//! `/metrics`: Prometheus' text format 0.0.4. git-sync's metrics have git-sync's names, types and labels; what
//! is ours begins with `syncline_`. (The usual crates know no summaries and force a suffix on counters.)

use std::fmt::Write;

use super::process::Process;
use crate::login::SOURCES;
use crate::status::{Facts, Outcome, Published, Sum};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn render(facts: &Facts, process: &Process) -> String {
    let mut page = Page::default();
    page.summary(
        "git_sync_duration_seconds",
        "Summary of git sync durations",
        facts.passes.iter().map(by_status),
    );
    let counts =
        facts.passes.iter().map(|(outcome, sum)| (label("status", outcome.as_str()), sum.count as f64));
    page.family(
        "git_sync_count_total",
        "counter",
        "How many git syncs completed, partitioned by state",
        counts,
    );
    page.one("git_fetch_count_total", "counter", "How many git fetches were run", facts.updates() as f64);
    let hooks = facts.hooks.iter().map(|((name, outcome), count)| {
        (format!("{},{}", label("name", name), label("status", outcome.as_str())), *count as f64)
    });
    page.family(
        "git_sync_hook_run_count_total",
        "counter",
        "How many hook runs completed, partitioned by name and state",
        hooks,
    );
    for (name, help) in SOURCES.iter().map(|kind| kind.metric) {
        let of = facts.logins.iter().filter(|((metric, _), _)| *metric == name);
        let counts = of.map(|((_, outcome), count)| (label("status", outcome.as_str()), *count as f64));
        page.family(name, "counter", help, counts);
    }

    let stages = facts.stages.iter().map(|(stage, sum)| (label("phase", stage), *sum));
    page.summary("syncline_phase_duration_seconds", "How long each phase of the syncs took", stages);
    page.one(
        "syncline_received_bytes_total",
        "counter",
        "Bytes of packs received",
        facts.received_bytes as f64,
    );
    page.one("syncline_received_objects_total", "counter", "Objects received", facts.received_objects as f64);
    if facts.received_lfs_bytes > 0 {
        page.one(
            "syncline_lfs_received_bytes_total",
            "counter",
            "Bytes of objects of Git LFS received",
            facts.received_lfs_bytes as f64,
        );
    }
    let objects = facts.lfs_objects.iter().map(|(result, count)| (label("result", result), *count as f64));
    page.family(
        "syncline_lfs_objects_total",
        "counter",
        "How many objects of Git LFS trees needed: fetched, reused from the store, or missing on the server",
        objects,
    );
    page.gauge("syncline_last_attempt_timestamp_seconds", "When the last sync ended", facts.last_attempt());
    page.gauge(
        "syncline_last_success_timestamp_seconds",
        "When the last successful sync ended",
        facts.last_success,
    );
    page.gauge(
        "syncline_consecutive_failures",
        "How many syncs have failed in a row",
        Some(facts.consecutive_failures.into()),
    );
    if let Some(Published { info: commit, signer, .. }) = &facts.published {
        let reference = facts.published_reference();
        let mut labels = format!("{},{}", label("hash", &commit.id.to_string()), label("ref", reference));
        if let Some(signer) = signer {
            labels.push(',');
            labels.push_str(&label("signer", signer));
        }
        page.family("syncline_published_commit_info", "gauge", "What is published", [(labels, 1.0)]);
        page.gauge(
            "syncline_published_commit_timestamp_seconds",
            "The committer's date of what is published",
            Some(commit.time as f64),
        );
    }
    let judged = facts.verifications.iter().map(|(result, count)| (label("result", result), *count as f64));
    page.family(
        "syncline_verifications_total",
        "counter",
        "How often the signatures of a commit were judged, by result",
        judged,
    );
    let held = facts.held.iter().map(|held| (label("rule", held.rule.name()), 1.0));
    page.family(
        "syncline_held_commits",
        "gauge",
        "Whether a rule holds back the commit that the reference names",
        held,
    );
    page.gauge(
        "syncline_published_timestamp_seconds",
        "When the link was last flipped or first checked",
        facts.published_at,
    );
    let disk = [("store", facts.store_bytes), ("tree", facts.tree_bytes)];
    let disk = disk.map(|(kind, bytes)| (label("kind", kind), bytes as f64));
    page.family(
        "syncline_disk_bytes",
        "gauge",
        "Disk space of the object store and of the published tree",
        disk,
    );
    for (name, kind, help, value) in process.samples() {
        page.family(name, kind, help, value.map(|value| (String::new(), value)));
    }
    page.text
}

fn by_status((outcome, sum): (&Outcome, &Sum)) -> (String, Sum) {
    (label("status", outcome.as_str()), *sum)
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    /// Like client_golang, a family without samples is not shown.
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.head(name, kind, help);
        }
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help, [(String::new(), value)]);
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.family(name, "gauge", help, value.map(|value| (String::new(), value)));
    }

    fn summary(&mut self, name: &str, help: &str, samples: impl Iterator<Item = (String, Sum)>) {
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.head(name, "summary", help);
        }
        for (labels, sum) in samples {
            self.sample(&format!("{name}_sum"), &labels, sum.seconds);
            self.sample(&format!("{name}_count"), &labels, sum.count as f64);
        }
    }
}
