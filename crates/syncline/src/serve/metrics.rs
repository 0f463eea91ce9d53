//! `/metrics`, as Prometheus and OpenMetrics have it. git-sync's metrics have git-sync's names, types and labels; what
//! is ours begins with `syncline_`.

use std::collections::BTreeMap;

use super::family::{
    Family, Format, Head, Page, Sample, buckets, counter, counts, gauge, head, histogram, label, labelled,
    optional, plain, summary, sums,
};
use super::process::Process;
use super::push_metrics::PUSHES;
use super::relay_metrics::RELAY;
use crate::board::{Board, Entry, GroupFacts};
use crate::login::SOURCES;
use crate::status::{Facts, Outcome, Published, STATES, Status, Sum};

impl Format {
    /// OpenMetrics if the client accepts it.
    pub(super) fn accepted(accept: &str) -> Format {
        let is_open =
            accept.split(',').any(|part| part.trim_start().starts_with("application/openmetrics-text"));
        if is_open { Format::OpenMetrics } else { Format::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The page in parts, so that one of many repositories need not be held in memory.
pub(super) fn render(board: &Board, format: Format) -> impl Iterator<Item = String> + use<> {
    let label_of = |name: &str| if board.is_many() { label("repo", name) } else { String::new() };
    let entries = board.repos();
    let repos: Vec<(String, Status)> =
        entries.iter().map(|(name, entry)| (label_of(name), entry.status.clone())).collect();
    let mut own = Page::new(format);
    own.family(&BUILD, [(build_labels(), 1.0)]);
    let is_ready = |entry: &Entry| f64::from(u8::from(entry.unready().is_none()));
    own.family(&READY, entries.iter().map(|(name, entry)| (label_of(name), is_ready(entry))));
    if board.is_many() {
        render_many(board, &mut own);
    }
    for (head, value) in Process::now().samples() {
        own.family(&head, value.map(|value| (String::new(), value)));
    }
    if format == Format::OpenMetrics {
        own.text.push_str("# EOF\n");
    }
    let of_many = board.is_many().then_some(STATE);
    let mut hooked = repos.clone();
    hooked.extend(board.is_many().then(|| (String::new(), board.process().clone())));
    let families = families().chain(of_many).map(move |family| family.render(&repos, format));
    let pushes = PUSHES.into_iter().map(move |family| family.render(&hooked, format));
    families.chain(pushes).chain(std::iter::once(own.text))
}

const BUILD: Head =
    Head { labels: "version, commit", ..head("syncline_build_info", "gauge", "The version of this program") };

const READY: Head = head("syncline_ready", "gauge", "Whether the last success is recent, as /readyz has it");

fn build_labels() -> String {
    let version = label("version", env!("CARGO_PKG_VERSION"));
    option_env!("SYNCLINE_COMMIT")
        .filter(|commit| !commit.is_empty())
        .map_or(version.clone(), |commit| format!("{version},{}", label("commit", commit)))
}

/// In the order of the page.
fn families() -> impl Iterator<Item = Family> {
    let sources = SOURCES.iter().map(|kind| {
        let (name, help) = kind.metric;
        let family = counter(name, help, |facts, name| {
            let of = facts.logins.iter().filter(|((metric, _), _)| *metric == name);
            of.map(|((_, outcome), count)| labelled("status", outcome.as_str(), *count as f64)).collect()
        });
        family.by("status")
    });
    SYNCS.into_iter().chain(sources).chain(OWN).chain(RELAY)
}

/// git-sync's.
const SYNCS: [Family; 4] = [
    summary("git_sync_duration_seconds", "Summary of git sync durations", |facts, _| {
        sums("status", facts.passes.iter().map(|(outcome, passes)| (outcome.as_str(), passes.sum)))
    })
    .by("status"),
    counter("git_sync_count_total", "How many git syncs completed, partitioned by state", |facts, _| {
        let counts = facts.passes.iter();
        counts
            .map(|(outcome, passes)| labelled("status", outcome.as_str(), passes.sum.count as f64))
            .collect()
    })
    .by("status"),
    counter("git_fetch_count_total", "How many git fetches were run", |facts, _| {
        vec![plain(facts.updates() as f64)]
    }),
    counter(
        "git_sync_hook_run_count_total",
        "How many hook runs completed, partitioned by name and state",
        |facts, _| {
            let labels = |name: &str, outcome: Outcome| {
                format!("{},{}", label("name", name), label("status", outcome.as_str()))
            };
            let runs = facts.hooks.iter();
            runs.map(|((name, outcome), count)| Sample("", labels(name, *outcome), *count as f64)).collect()
        },
    )
    .by("name, status"),
];

const OWN: [Family; 21] = [
    histogram("syncline_sync_duration_seconds", "How long syncs took", |facts, _| {
        let passes = facts.passes.iter();
        passes.flat_map(|(outcome, passes)| buckets("status", outcome.as_str(), passes)).collect()
    }).by("status, le"),
    summary("syncline_phase_duration_seconds", "How long each phase of the syncs took", |facts, _| {
        sums("phase", facts.stages.iter().map(|(stage, sum)| (*stage, *sum)))
    }).by("phase"),
    counter("syncline_received_bytes_total", "Bytes of packs received", |facts, _| {
        vec![plain(facts.received_bytes as f64)]
    }),
    counter("syncline_received_objects_total", "Objects received", |facts, _| {
        vec![plain(facts.received_objects as f64)]
    }),
    counter("syncline_lfs_received_bytes_total", "Bytes of objects of Git LFS received", |facts, _| {
        let bytes = Some(facts.received_lfs_bytes).filter(|bytes| *bytes > 0);
        bytes.map(|bytes| plain(bytes as f64)).into_iter().collect()
    }),
    counter(
        "syncline_lfs_objects_total",
        "How many objects of Git LFS trees needed: fetched, reused from the store, or missing on the server",
        |facts, _| counts("result", &facts.lfs_objects),
    ).by("result"),
    counter(
        "syncline_requests_total",
        "How many requests were sent, by kind of server and by answer: the class of the HTTP status, ok or none",
        |facts, _| {
            let labels = |to, status| format!("{},{}", label("to", to), label("status", status));
            let counts = facts.requests.iter();
            counts.map(|((to, status), count)| Sample("", labels(to, status), *count as f64)).collect()
        },
    ).by("to, status"),
    counter(
        "syncline_rate_limited_total",
        "How many answers said that the server is asked too often, by kind of server",
        |facts, _| {
            // There from the beginning, so that a first answer is an increase.
            let mut limited = BTreeMap::from([("git", 0)]);
            limited.extend(&facts.rate_limited);
            counts("to", &limited)
        },
    ).by("to"),
    gauge("syncline_last_attempt_timestamp_seconds", "When the last sync ended", |facts, _| {
        optional(facts.last_attempt())
    }),
    gauge("syncline_last_success_timestamp_seconds", "When the last successful sync ended", |facts, _| {
        optional(facts.last_success)
    }),
    gauge("syncline_config_period_seconds", "The pause between syncs, as configured", |facts, _| {
        optional(facts.period.map(|period| period.as_secs_f64()))
    }),
    gauge("syncline_consecutive_failures", "How many syncs have failed in a row", |facts, _| {
        vec![plain(facts.consecutive_failures.into())]
    }),
    gauge("syncline_published_commit_info", "What is published", |facts, _| {
        facts.published.iter().map(|published| commit_info(facts, published)).collect()
    }).by("hash, source, ref, signer"),
    gauge(
        "syncline_published_commit_timestamp_seconds",
        "The committer's date of what is published",
        |facts, _| optional(facts.published.as_ref().map(|published| published.info.time as f64)),
    ),
    summary(
        "syncline_lag_seconds",
        "From the committer's date to the publication, of commits that came while this process ran",
        |facts, _| {
            let Sum { count, seconds } = facts.lag;
            vec![Sample("_sum", String::new(), seconds), Sample("_count", String::new(), count as f64)]
        },
    ),
    counter(
        "syncline_verifications_total",
        "How often the signatures of a commit were judged, by result",
        |facts, _| counts("result", &facts.verifications),
    ).by("result"),
    gauge(
        "syncline_held_commits",
        "Whether a rule holds back the commit that the reference names",
        |facts, _| facts.held.iter().map(|held| labelled("rule", held.rule.name(), 1.0)).collect(),
    ).by("rule"),
    gauge(
        "syncline_published_timestamp_seconds",
        "When the link was last flipped or first checked",
        |facts, _| optional(facts.published_at),
    ),
    gauge("syncline_disk_bytes", "Disk space of the object store and of the published tree", |facts, _| {
        let disk = [("store", facts.store_bytes), ("tree", facts.tree_bytes)];
        disk.map(|(kind, bytes)| labelled("kind", kind, bytes as f64)).into()
    }).by("kind"),
    gauge("syncline_volume_size_bytes", "The size of the file system of the root", |facts, _| {
        optional(facts.volume.map(|volume| volume.size as f64))
    }),
    gauge(
        "syncline_volume_available_bytes",
        "How much may still be written to the file system of the root",
        |facts, _| optional(facts.volume.map(|volume| volume.available as f64)),
    ),
];

/// Only with many repositories.
const STATE: Family =
    gauge("syncline_repo_state", "The state of a repository: 1 for the one that it is in", |facts, _| {
        let of = |state: &&str| labelled("state", state, f64::from(u8::from(facts.state() == *state)));
        STATES.iter().map(of).collect()
    })
    .by("state");

fn commit_info(facts: &Facts, Published { info, signer, .. }: &Published) -> Sample {
    let mut labels = format!(
        "{},{},{}",
        label("hash", &info.id.to_string()),
        label("source", &facts.source),
        label("ref", facts.published_reference())
    );
    if let Some(signer) = signer {
        labels.push(',');
        labels.push_str(&label("signer", signer));
    }
    Sample("", labels, 1.0)
}

/// A metric of groups.
type OfGroup = (Head, fn(&GroupFacts) -> Option<f64>);

const GROUPS: [OfGroup; 2] = [
    (
        head(
            "syncline_group_generation_timestamp_seconds",
            "gauge",
            "When this process last flipped the link of a group",
        ),
        |facts| facts.flipped_at,
    ),
    (head("syncline_group_flips_total", "counter", "How often the link of a group was flipped"), |facts| {
        Some(facts.flips as f64)
    }),
];

/// A metric of the process.
type OfBoard = (Head, fn(&Board) -> f64);

/// Of the file that lists the repositories, and of what works on them.
const CONFIG: [OfBoard; 4] = [
    (
        head(
            "syncline_config_last_reload_successful",
            "gauge",
            "Whether the last attempt to load the configuration succeeded",
        ),
        |board| f64::from(u8::from(board.config().error.is_none())),
    ),
    (
        head(
            "syncline_config_last_reload_success_timestamp_seconds",
            "gauge",
            "When the configuration was last loaded successfully",
        ),
        |board| board.config().loaded_at,
    ),
    (
        head(
            "syncline_passes_waiting",
            "gauge",
            "How many repositories wait until they may fetch and check out",
        ),
        |board| board.pool().waiting() as f64,
    ),
    (
        head("syncline_passes_running", "gauge", "How many repositories are fetched and checked out now"),
        |board| board.pool().working() as f64,
    ),
];

fn render_many(board: &Board, page: &mut Page) {
    let groups = board.groups();
    for (head, value) in &GROUPS {
        let of = groups.iter().filter_map(|(name, facts)| Some((label("group", name), value(facts)?)));
        page.family(head, of);
    }
    for (head, value) in &CONFIG {
        page.family(head, [(String::new(), value(board))]);
    }
}

const REFERENCE_HEAD: &str = "\
# Metrics

<!-- Written by `syncline generate metrics`. -->

`/metrics` exists with `--http-bind` and `--http-metrics`. It is in Prometheus' text format, or in OpenMetrics 1.0 for \
clients that ask for it, as Prometheus does. [Operating](operating.md) has alerts and a dashboard.

Metrics that begin with `git_sync_` and `git_fetch_` are those of git-sync, with its names, types and labels. Times are \
seconds since 1970. A metric that has no value yet is absent: in rules, use `absent()` or `unless`. Each process counts \
from 0. With [many repositories](many-repositories.md), every metric of a repository also has the label `repo`.
";

/// The reference of all metrics as Markdown: `docs/metrics.md`.
pub fn reference() -> String {
    let of_process = Process::now().samples().map(|(head, _)| head);
    let of_groups = GROUPS.map(|(head, _)| Head { labels: "group", ..head });
    let of_repos = families().chain(PUSHES).chain([STATE]).map(|family| family.head).chain([READY]);
    let own = [BUILD].into_iter().chain(CONFIG.map(|(head, _)| head)).chain(of_process);
    let tables = [
        ("Of a repository", of_repos.collect()),
        ("Of a group", Vec::from(of_groups)),
        ("Of the process", own.collect()),
    ];
    let tables = tables.into_iter().map(|(title, heads)| table(title, heads));
    REFERENCE_HEAD.to_owned() + &tables.collect::<String>()
}

fn table(title: &str, heads: Vec<Head>) -> String {
    let mut text =
        format!("\n## {title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for Head { name, kind, help, labels } in heads {
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", help.trim_end_matches('.')));
    }
    text
}
