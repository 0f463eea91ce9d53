//! Whatever happens upstream, what is published equals what stock git checks out, byte for byte and mode for mode.
//!
//! Every test draws its steps from a seed, which a failure names with the step and what was done in it.
//! `SYNCLINE_SEED` and `SYNCLINE_STEPS` say where all of them begin and how long they go on.

mod change;
mod consumer;
mod history;
mod material;
mod reference;
mod tree;
mod upstream;

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use change::Pin;
use reference::{Reference, Snapshot};
use upstream::Upstream;

use crate::support::*;

/// How a test runs the program, and what happens besides changes upstream.
#[derive(Clone, Copy, Default)]
struct Profile {
    seed: u64,
    steps: usize,
    format: &'static str,
    served: Served,
    arguments: &'static [&'static str],
    /// The file of sparse patterns changes.
    patterns: bool,
    /// The program is ended and started with other options.
    restarts: bool,
    /// Published files are altered in place.
    consumer: bool,
}

#[derive(Clone, Copy, Default)]
enum Served {
    #[default]
    Local,
    Http,
    Git,
}

#[test]
fn whatever_changes_is_published_as_git_checks_it_out() {
    run(Profile { seed: 1, steps: 600, format: "sha1", ..Profile::default() });
}

#[test]
fn whatever_patterns_and_a_filter_leave_is_as_git_checks_it_out() {
    run(Profile {
        seed: 2,
        steps: 250,
        format: "sha1",
        served: Served::Http,
        arguments: &["--filter=blob:none", "--depth=3", "--stale-worktree-timeout=1h"],
        patterns: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_options_a_restart_brings_the_tree_is_as_git_checks_it_out() {
    run(Profile {
        seed: 3,
        steps: 300,
        format: "sha256",
        served: Served::Git,
        restarts: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_consumers_write_reaches_no_later_tree() {
    run(Profile {
        seed: 4,
        steps: 500,
        format: "sha1",
        arguments: &["--stale-worktree-timeout=1h"],
        consumer: true,
        ..Profile::default()
    });
}

#[test]
fn whatever_is_copied_is_as_git_checks_it_out() {
    run(Profile {
        seed: 5,
        steps: 250,
        format: "sha256",
        served: Served::Http,
        arguments: &["--checkout=copy", "--depth=0"],
        consumer: true,
        ..Profile::default()
    });
}

fn run(profile: Profile) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("SYNCLINE_SEED").unwrap_or(profile.seed);
    let steps = number("SYNCLINE_STEPS").map_or(profile.steps, |steps| steps as usize);
    let mut scene = Scene::new(Profile { seed, steps, ..profile });
    for step in 1..=steps {
        scene.step(step);
    }
    scene.end();
}

/// Where a test is, told when it fails.
struct Story {
    seed: u64,
    step: usize,
    told: Vec<String>,
    dir: std::path::PathBuf, // DEBUG
}

impl Drop for Story {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(keep) = std::env::var_os("KEEP") {
                std::process::Command::new("cp").arg("-a").arg(&self.dir).arg(keep).status().unwrap();
            } // DEBUG
            let told: String = self.told.iter().map(|line| format!("  {line}\n")).collect();
            eprintln!(
                "SYNCLINE_SEED={} SYNCLINE_STEPS={} repeats this; the last step:\n{told}",
                self.seed, self.step
            );
        }
    }
}

struct Scene {
    story: Story,
    rng: Rng,
    profile: Profile,
    /// Ended before the directories go.
    running: Option<Running>,
    server: Option<Server>,
    upstream: Upstream,
    reference: Reference,
    pins: Vec<Pin>,
    /// The commit that the branch names.
    at: usize,
    options: Options,
    /// Under which options commits were last published.
    published: HashMap<String, (usize, Options)>,
    seen: Snapshot,
    env: Env,
}

enum Server {
    Http(Nginx),
    Git(GitDaemon),
}

/// What a restart may change, and patterns at any time.
#[derive(Clone, Copy)]
struct Options {
    depth: u32,
    submodules: &'static str,
    copies: bool,
    stale: &'static str,
    patterns: Option<&'static str>,
}

impl Options {
    fn levels(&self) -> usize {
        ["off", "shallow"].iter().position(|mode| *mode == self.submodules).unwrap_or(usize::MAX)
    }
}

impl Scene {
    fn new(profile: Profile) -> Scene {
        let env = Env::new();
        let mut rng = Rng::with_seed(profile.seed);
        let story = Story { seed: profile.seed, step: 0, told: Vec::new(), dir: env.path("") };
        let (modules, pins) = modules(&mut rng, &env, profile.format);
        let mut upstream = Upstream::init(&env.path("up"), profile.format);
        history::begin(&mut rng, &mut upstream, 40, &pins);
        upstream.publish(0);
        let server = match profile.served {
            Served::Local => None,
            Served::Http => Some(Server::Http(Nginx::start(&env.path("")))),
            Served::Git => Some(Server::Git(GitDaemon::start(&env.path("")))),
        };
        let options = Options {
            depth: 1,
            submodules: "recursive",
            copies: false,
            stale: "0s",
            patterns: profile.patterns.then(|| material::patterns(&mut rng)),
        };
        let reference = Reference::new(env.path("fresh"), &modules);
        let mut scene = Scene {
            story,
            rng,
            profile,
            running: None,
            server,
            upstream,
            reference,
            pins,
            at: 0,
            options,
            published: HashMap::new(),
            seen: Snapshot::default(),
            env,
        };
        scene.write_patterns();
        scene.start();
        scene.check();
        scene
    }

    fn step(&mut self, number: usize) {
        self.story.step = number;
        self.story.told.clear();
        if self.profile.restarts && self.rng.u8(..8) == 0 {
            self.stop();
        }
        if self.profile.patterns && self.rng.u8(..4) == 0 {
            self.options.patterns = Some(material::patterns(&mut self.rng));
            self.story.told.push(format!("patterns {:?}", self.options.patterns));
            self.write_patterns();
        }
        if self.profile.consumer {
            self.consume();
        }
        let (at, told) = history::advance(&mut self.rng, &mut self.upstream, self.at, &self.pins);
        self.at = at;
        self.story.told.extend(told);
        self.upstream.publish(at);
        match &self.running {
            Some(running) => running.signal(Signal::USR1),
            None => self.start(),
        }
        self.check();
        if number.is_multiple_of(25) {
            self.check_with_git();
        }
    }

    /// The trees that stay are as they were published; the store is sound.
    fn end(mut self) {
        self.check_with_git();
        drop(self.running.take());
        if self.profile.consumer {
            return;
        }
        for entry in fs::read_dir(self.env.root().join(".worktrees")).unwrap() {
            let tree = entry.unwrap();
            let id = tree.file_name().into_string().unwrap();
            let Some((number, options)) = self.published.get(&id) else { panic!("{id} is no commit") };
            let commit = &self.upstream.commits[*number];
            let expected = self.reference.of(&self.upstream, commit, options.levels(), options.patterns);
            let differences = Snapshot::of(&tree.path()).differences(&expected);
            assert!(differences.is_empty(), "{id} was altered:\n{}", differences.join("\n"));
        }
    }

    fn write_patterns(&self) {
        if let Some(patterns) = self.options.patterns {
            fs::write(self.env.path("patterns"), patterns).unwrap();
        }
    }

    fn url(&self) -> String {
        match &self.server {
            None => self.upstream.path.to_str().unwrap().to_owned(),
            Some(Server::Http(nginx)) => nginx.url("up"),
            Some(Server::Git(daemon)) => daemon.url("up"),
        }
    }

    fn start(&mut self) {
        let Options { depth, submodules, copies, stale, patterns } = self.options;
        let mut program =
            self.env.syncline(self.url()).arg("-v1").arg("--period=1h").arg("--sync-on-signal=USR1");
        program = program.arg("--ref=main").arg("--git-config=protocol.file.allow:always");
        if self.profile.restarts {
            program = program
                .arg(format!("--depth={depth}"))
                .arg(format!("--submodules={submodules}"))
                .arg(format!("--stale-worktree-timeout={stale}"))
                .arg(if copies { "--checkout=copy" } else { "--checkout=link" });
        }
        if patterns.is_some() {
            program = program.arg("--sparse-checkout-file").arg(self.env.path("patterns"));
        }
        for argument in self.profile.arguments {
            program = program.arg(argument);
        }
        self.running = Some(program.spawn());
    }

    /// End the program in one way or another; it comes back with other options, and perhaps to an empty root.
    fn stop(&mut self) {
        self.assert_no_complaints();
        let mut running = self.running.take().unwrap();
        let signal = if self.rng.bool() { Signal::TERM } else { Signal::KILL };
        running.signal(signal);
        running.wait();
        self.options = Options {
            depth: self.rng.u32(..4),
            submodules: ["recursive", "recursive", "shallow", "off"][self.rng.usize(..4)],
            copies: self.rng.u8(..4) == 0,
            stale: ["0s", "1h"][self.rng.usize(..2)],
            patterns: None,
        };
        let is_emptied = self.rng.u8(..4) == 0;
        if is_emptied {
            fs::remove_dir_all(self.env.root()).unwrap();
        }
        self.story.told.push(format!("{signal:?}, depth {}, emptied: {is_emptied}", self.options.depth));
    }

    fn consume(&mut self) {
        let tree = fs::canonicalize(self.env.link()).unwrap();
        let paths: Vec<Vec<u8>> = self.seen.paths().cloned().collect();
        for _ in 0..self.rng.usize(0..4) {
            self.story.told.push(consumer::alter(&mut self.rng, &tree, &paths));
        }
    }

    fn commit_id(&self) -> &str {
        &self.upstream.commits[self.at].id
    }

    /// What is to be published is, and as git checks it out.
    #[track_caller]
    fn check(&mut self) {
        self.await_publication();
        let commit = &self.upstream.commits[self.at];
        self.published.insert(commit.id.clone(), (self.at, self.options));
        let expected =
            self.reference.of(&self.upstream, commit, self.options.levels(), self.options.patterns);
        self.seen = Snapshot::of(&fs::canonicalize(self.env.link()).unwrap());
        let differences = self.seen.differences(&expected);
        assert!(differences.is_empty(), "{}:\n{}", commit.id, differences.join("\n"));
    }

    #[track_caller]
    fn await_publication(&self) {
        let started = Instant::now();
        while self.env.published().as_deref() != Some(self.commit_id()) {
            self.assert_no_complaints();
            assert!(
                started.elapsed() < PATIENCE,
                "{} is not published:\n{}",
                self.commit_id(),
                self.running.as_ref().unwrap().log()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn assert_no_complaints(&self) {
        let log = self.running.as_ref().unwrap().log();
        assert!(!log.contains("\"WARN\"") && !log.contains("\"ERROR\""), "{log}");
    }

    /// git finds nothing wrong with the tree and the store, once all is done that follows a publication.
    #[track_caller]
    fn check_with_git(&mut self) {
        let running = self.running.as_ref().unwrap();
        let passes = running.log().matches("nothing new").count();
        running.signal(Signal::USR1);
        running.wait_for_times("nothing new", passes + 1);
        self.assert_no_complaints();
        // Some of what is made here is not what one should make.
        let ours = ["gitattributesSymlink", "gitattributesBlob"].map(|fault| format!("fsck.{fault}=ignore"));
        let found = git(&self.env.root(), &["-c", &ours[0], "-c", &ours[1], "fsck", "--strict"]);
        assert_eq!(found, "");
        if !self.profile.consumer {
            // A file whose content git's own filters would change is altered to git, as soon as it looks inside.
            let found = git(&self.env.link(), &["status", "--porcelain", "--ignore-submodules=dirty"]);
            let by_content = if found.is_empty() { String::new() } else { self.status_of_fresh() };
            let amiss: Vec<&str> =
                found.lines().filter(|line| !by_content.lines().any(|known| known == *line)).collect();
            assert!(amiss.is_empty(), "{amiss:?}");
        }
    }

    fn status_of_fresh(&mut self) -> String {
        self.reference.status(&self.upstream, &self.upstream.commits[self.at], self.options.patterns)
    }
}

/// Repositories for submodules, one of them with submodules of its own, and all that they can be pinned to.
fn modules(rng: &mut Rng, env: &Env, format: &str) -> (Vec<Upstream>, Vec<Pin>) {
    let (mut modules, mut pins) = (Vec::new(), Vec::new());
    for name in ["inner", "one", "two"] {
        let mut module = Upstream::init(&env.path(name), format);
        let inner: Vec<Pin> = if name == "two" { pins.clone() } else { Vec::new() };
        history::begin(rng, &mut module, 12, &inner);
        for _ in 0..4 {
            let last = module.commits.len() - 1;
            history::advance(rng, &mut module, last, &inner);
        }
        module.publish(0);
        pins.extend(module.commits.iter().map(|commit| (commit.id.clone(), name)));
        modules.push(module);
    }
    (modules, pins)
}
