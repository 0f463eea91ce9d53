//! Long runs: whatever happens again and again leaves nothing behind. `SYNCLINE_SOAK=20` makes them twenty times as
//! long; `--nocapture` shows the figures.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use rustix::process::Signal;

use crate::support::*;

/// How often something is done: more often in a long run.
fn times(short: usize) -> usize {
    let factor = std::env::var("SYNCLINE_SOAK").map_or(1, |factor| factor.parse().unwrap());
    short * factor
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: usize,
    descriptors: usize,
    threads: usize,
    /// Names below the root, but for what tells of commits.
    names: usize,
}

impl Held {
    fn by(running: &Running, env: &Env) -> Held {
        let process = format!("/proc/{}", running.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let field = |name: &str| -> usize {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let mut names = 0;
        // It goes on working: what vanishes meanwhile is not counted.
        count(&env.root(), &mut names);
        let descriptors = fs::read_dir(format!("{process}/fd")).unwrap().count();
        Held { resident_kib: field("VmRSS:"), descriptors, threads: field("Threads:"), names }
    }

    /// Descriptors, threads and files come and go with a pass, but do not add up.
    #[track_caller]
    fn assert_flat(self, end: Held, what: &str) {
        eprintln!("{what}: {self:?} at the begin, {end:?} at the end");
        assert!(end.descriptors <= self.descriptors + 6, "descriptors: {self:?} {end:?}");
        assert!(end.threads <= self.threads + 4, "threads: {self:?} {end:?}");
        // Up to 40 packs of two files, with what a change adds, are kept.
        assert!(end.names <= self.names + 120, "names: {self:?} {end:?}");
        assert!(end.resident_kib <= self.resident_kib + 12 * 1024, "memory: {self:?} {end:?}");
    }
}

fn count(dir: &Path, names: &mut usize) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        *names += 1;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            count(&entry.path(), names);
        }
    }
}

/// A way to the upstream, with trouble on it.
struct Way {
    scheme: &'static str,
    port: u16,
    /// How many bytes the server sends for a change, about.
    bytes: usize,
}

#[test]
fn a_thousand_faults_of_the_network_never_show_a_wrong_tree_and_leave_nothing() {
    let env = Env::new();
    let repo = env.repo("up");
    let (nginx, daemon) = (Nginx::start(&env.path("")), GitDaemon::start(&env.path("")));
    let seed = std::env::var("SYNCLINE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    let ways = [
        Way { scheme: "http", port: nginx.port(), bytes: 4000 },
        Way { scheme: "https", port: nginx.tls_port(), bytes: 8000 },
        Way { scheme: "git", port: daemon.port(), bytes: 3000 },
    ];
    let (mut tried, mut failed) = (0, 0);
    for way in ways {
        let _ = fs::remove_dir_all(env.root());
        let meddler = Meddler::start(way.port, Trouble::None);
        let running = env
            .syncline(meddler.url(way.scheme, "up/.git").replace("127.0.0.1", "localhost"))
            .arg("--period=10ms")
            .arg("--sync-timeout=500ms")
            .arg("--max-failures=-1")
            .arg("--init-period=10ms")
            .arg("--sync-on-signal=SIGHUP")
            .arg("--ca-file")
            .arg(nginx.ca_file())
            .spawn();
        eventually("the first sync", || env.published());
        let begin = Held::by(&running, &env);
        for _ in 0..times(17) {
            let at = random.usize(0..way.bytes);
            let kinds: [fn(usize) -> Trouble; 6] = [
                Trouble::Cut,
                Trouble::Stall,
                Trouble::Drip,
                Trouble::Flip,
                Trouble::Reset,
                Trouble::Garbage,
            ];
            let trouble = random.choice(kinds).unwrap()(at);
            let before = env.published().unwrap();
            meddler.set(trouble);
            let failures = running.log().matches("sync failed").count();
            let commit = repo
                .commit(&[("file", &format!("{seed} {tried}\n")), ("dir/other", &noise_text(&mut random))]);
            eventually("a failure, or none", || {
                let has_failed = running.log().matches("sync failed").count() > failures;
                (has_failed || env.published()? == commit).then_some(())
            });
            let shown = env.published().unwrap();
            assert!(shown == before || shown == commit, "seed {seed}, {trouble:?}: {shown}");
            tried += 1;
            failed += usize::from(shown == before);
            meddler.set(Trouble::None);
            eventually("the next sync", || {
                running.signal(Signal::HUP);
                (env.published()? == commit).then_some(())
            });
            for file in ["file", "dir/other"] {
                let (found, made) = (fs::read(env.link().join(file)), fs::read(repo.path.join(file)));
                assert_eq!(found.unwrap(), made.unwrap(), "seed {seed}, {trouble:?}");
            }
        }
        begin.assert_flat(Held::by(&running, &env), way.scheme);
        drop(running);
        env.assert_published(&repo, &repo.head());
    }
    eprintln!("{tried} faults of the network, seed {seed}: {failed} failed a pass, all were survived");
}

fn noise_text(random: &mut fastrand::Rng) -> String {
    let length = random.usize(0..2000);
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

#[test]
fn polls_changes_and_signals_without_end_leave_memory_and_descriptors_flat() {
    let env = Env::new();
    let repo = env.repo("up");
    let daemon = GitDaemon::start(&env.path(""));
    let running = env
        .syncline(daemon.url("up/.git"))
        .arg("--period=10ms")
        .arg("--sync-on-signal=SIGHUP")
        .arg("-v1")
        .spawn();
    let rounds = times(5);
    let mut begin = None;
    let storm = |running: &Running| (0..200).for_each(|_| running.signal(Signal::HUP));
    for round in 1..=rounds {
        running.wait_for_times("nothing new", round * 100);
        storm(&running);
        let commit = repo.commit(&[("file", &format!("{round}\n"))]);
        storm(&running);
        eventually("publication", || (env.published()? == commit).then_some(()));
        if round == rounds.div_ceil(4) {
            begin = Some(Held::by(&running, &env));
        }
    }
    let polls = running.log().matches("nothing new").count();
    begin.unwrap().assert_flat(Held::by(&running, &env), &format!("{polls} polls, {} signals", rounds * 400));
}

#[test]
fn of_a_branch_that_moves_faster_than_it_is_synced_the_newest_wins() {
    let env = Env::new();
    let repo = env.repo("up");
    let commits: Vec<String> =
        (0..30).map(|number| repo.commit(&[("file", &format!("{number}\n"))])).collect();
    let told = env.path("told");
    let hook = env.path("hook");
    write_program(&hook, format!("#!/bin/sh\necho $GITSYNC_HASH >> {}\nsleep 0.05\n", told.display()));
    let running = env
        .syncline(repo.url())
        .arg("--period=10ms")
        .arg("--max-failures=-1")
        .arg("--exechook-command")
        .arg(&hook)
        .spawn();
    eventually("the first sync", || env.published());
    let before = running.log().matches("\"published\"").count();
    let moves: RangeInclusive<usize> = 1..=times(300);
    for number in moves.clone() {
        let commit = &commits[number * 7 % commits.len()];
        fs::write(repo.path.join(".git/refs/heads/main"), format!("{commit}\n")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let shown = env.read("file");
        assert!(shown.trim().parse::<usize>().is_ok(), "{shown:?}");
    }
    let last = &commits[moves.end() * 7 % commits.len()];
    eventually("the newest", || (env.published()? == *last).then_some(()));
    eventually("the hook", || {
        (fs::read_to_string(&told).unwrap().lines().last() == Some(last)).then_some(())
    });
    let flips = running.log().matches("\"published\"").count() - before;
    eprintln!("{} moves of the branch, {flips} flips of the link", moves.end());
    assert!(flips > 10, "the link stood still: {flips}");
}

/// A clock that was ahead for a while must not keep old trees for ever.
#[test]
fn a_tree_that_was_retired_in_the_future_goes_all_the_same() {
    let env = Env::new();
    let repo = env.repo("up");
    let running = env.syncline(repo.url()).arg("--period=10ms").arg("--stale-worktree-timeout=1s").spawn();
    eventually("the first sync", || env.published());
    let old = fs::canonicalize(env.link()).unwrap();
    let commit = repo.commit(&[("file", "new\n")]);
    eventually("publication", || (env.published()? == commit).then_some(()));
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(365 * 24 * 3600);
    fs::File::open(&old).unwrap().set_modified(future).unwrap();
    eventually("the old tree goes", || (!old.exists()).then_some(()));
    drop(running);
}
