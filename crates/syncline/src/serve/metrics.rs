//! `/metrics`: Prometheus' text format 0.0.4. git-sync's metrics have git-sync's names, types and labels; what
//! is ours begins with `syncline_`.

use super::family::{
    Family, Page, Sample, counter, counts, gauge, label, labelled, optional, plain, summary, sums,
};
use super::process::Process;
use super::push_metrics::PUSHES;
use super::relay_metrics::RELAY;
use crate::board::{Board, GroupFacts};
use crate::login::SOURCES;
use crate::status::{Facts, Outcome, Published, STATES, Status};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page in parts, so that one of many repositories need not be held in memory.
pub(super) fn render(board: &Board) -> impl Iterator<Item = String> + use<> {
    let repos: Vec<(String, Status)> = board
        .repos()
        .into_iter()
        .map(|(name, entry)| {
            (if board.is_many() { label("repo", &name) } else { String::new() }, entry.status)
        })
        .collect();
    let own = if board.is_many() { render_many(board) } else { String::new() };
    let end = own + &render_process(&Process::now());
    let of_many = board.is_many().then_some(STATE);
    let mut hooked = repos.clone();
    hooked.extend(board.is_many().then(|| (String::new(), board.process().clone())));
    let families = families().chain(of_many).map(move |family| family.render(&repos));
    families.chain(PUSHES.into_iter().map(move |family| family.render(&hooked))).chain(std::iter::once(end))
}

/// In the order of the page.
fn families() -> impl Iterator<Item = Family> {
    let sources = SOURCES.iter().map(|kind| {
        let (name, help) = kind.metric;
        counter(name, help, |facts, name| {
            let of = facts.logins.iter().filter(|((metric, _), _)| *metric == name);
            of.map(|((_, outcome), count)| labelled("status", outcome.as_str(), *count as f64)).collect()
        })
    });
    SYNCS.into_iter().chain(sources).chain(OWN).chain(RELAY)
}

/// git-sync's.
const SYNCS: [Family; 4] = [
    summary("git_sync_duration_seconds", "Summary of git sync durations", |facts, _| {
        sums("status", facts.passes.iter().map(|(outcome, sum)| (outcome.as_str(), *sum)))
    }),
    counter("git_sync_count_total", "How many git syncs completed, partitioned by state", |facts, _| {
        let counts = facts.passes.iter();
        counts.map(|(outcome, sum)| labelled("status", outcome.as_str(), sum.count as f64)).collect()
    }),
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
    ),
];

const OWN: [Family; 14] = [
    summary("syncline_phase_duration_seconds", "How long each phase of the syncs took", |facts, _| {
        sums("phase", facts.stages.iter().map(|(stage, sum)| (*stage, *sum)))
    }),
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
    ),
    gauge("syncline_last_attempt_timestamp_seconds", "When the last sync ended", |facts, _| {
        optional(facts.last_attempt())
    }),
    gauge("syncline_last_success_timestamp_seconds", "When the last successful sync ended", |facts, _| {
        optional(facts.last_success)
    }),
    gauge("syncline_consecutive_failures", "How many syncs have failed in a row", |facts, _| {
        vec![plain(facts.consecutive_failures.into())]
    }),
    gauge("syncline_published_commit_info", "What is published", |facts, _| {
        facts.published.iter().map(|published| commit_info(facts, published)).collect()
    }),
    gauge(
        "syncline_published_commit_timestamp_seconds",
        "The committer's date of what is published",
        |facts, _| optional(facts.published.as_ref().map(|published| published.info.time as f64)),
    ),
    counter(
        "syncline_verifications_total",
        "How often the signatures of a commit were judged, by result",
        |facts, _| counts("result", &facts.verifications),
    ),
    gauge(
        "syncline_held_commits",
        "Whether a rule holds back the commit that the reference names",
        |facts, _| facts.held.iter().map(|held| labelled("rule", held.rule.name(), 1.0)).collect(),
    ),
    gauge(
        "syncline_published_timestamp_seconds",
        "When the link was last flipped or first checked",
        |facts, _| optional(facts.published_at),
    ),
    gauge("syncline_disk_bytes", "Disk space of the object store and of the published tree", |facts, _| {
        let disk = [("store", facts.store_bytes), ("tree", facts.tree_bytes)];
        disk.map(|(kind, bytes)| labelled("kind", kind, bytes as f64)).into()
    }),
];

/// Only with many repositories.
const STATE: Family =
    gauge("syncline_repo_state", "The state of a repository: 1 for the one that it is in", |facts, _| {
        let of = |state: &&str| labelled("state", state, f64::from(u8::from(facts.state() == *state)));
        STATES.iter().map(of).collect()
    });

fn commit_info(facts: &Facts, Published { info, signer, .. }: &Published) -> Sample {
    let mut labels =
        format!("{},{}", label("hash", &info.id.to_string()), label("ref", facts.published_reference()));
    if let Some(signer) = signer {
        labels.push(',');
        labels.push_str(&label("signer", signer));
    }
    Sample("", labels, 1.0)
}

/// What is known of groups, of the file, and of the process.
fn render_many(board: &Board) -> String {
    let mut page = Page::default();
    let groups = board.groups();
    let of = |value: fn(&GroupFacts) -> Option<f64>| {
        groups.iter().filter_map(move |(name, facts)| Some((label("group", name), value(facts)?)))
    };
    page.family(
        "syncline_group_generation_timestamp_seconds",
        "gauge",
        "When this process last flipped the link of a group",
        of(|facts| facts.flipped_at),
    );
    page.family(
        "syncline_group_flips_total",
        "counter",
        "How often the link of a group was flipped",
        of(|facts| Some(facts.flips as f64)),
    );
    let (config, pool) = (board.config(), board.pool());
    for (name, help, value) in [
        (
            "syncline_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded",
            f64::from(u8::from(config.error.is_none())),
        ),
        (
            "syncline_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully",
            config.loaded_at,
        ),
        (
            "syncline_passes_waiting",
            "How many repositories wait until they may fetch and check out",
            pool.waiting() as f64,
        ),
        (
            "syncline_passes_running",
            "How many repositories are fetched and checked out now",
            pool.working() as f64,
        ),
    ] {
        page.family(name, "gauge", help, [(String::new(), value)]);
    }
    page.text
}

fn render_process(process: &Process) -> String {
    let mut page = Page::default();
    for (name, kind, help, value) in process.samples() {
        page.family(name, kind, help, value.map(|value| (String::new(), value)));
    }
    page.text
}
