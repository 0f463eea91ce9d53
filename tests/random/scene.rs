//! One upstream, one running program, and what happens to them.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use super::change::Sources;
use super::reference::{Reference, Snapshot, View};
use super::upstream::Upstream;
use super::{Profile, Served, consumer, history, material};
use crate::support::lfs::pointer;
use crate::support::*;

const FILTER: &str = "--filter=blob:none";

/// Where a test is, told when it fails.
struct Story {
    seed: u64,
    step: usize,
    told: Vec<String>,
}

impl Drop for Story {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told: String = self.told.iter().map(|line| format!("  {line}\n")).collect();
            eprintln!(
                "SYNCLINE_SEED={} SYNCLINE_STEPS={} repeats this; the last step:\n{told}",
                self.seed, self.step
            );
        }
    }
}

pub struct Scene {
    story: Story,
    rng: Rng,
    profile: Profile,
    /// Ended before the directories go.
    running: Option<Running>,
    server: Option<Server>,
    upstream: Upstream,
    reference: Reference,
    sources: Sources,
    /// The commit that the branch names.
    at: usize,
    arguments: Vec<String>,
    view: View,
    /// How commits were last published.
    published: HashMap<String, (usize, View)>,
    seen: Snapshot,
    env: Env,
}

enum Server {
    Http(Nginx),
    Git(GitDaemon),
}

impl Scene {
    /// A first commit, published.
    pub fn new(profile: Profile) -> Scene {
        let env = Env::new();
        let mut rng = Rng::with_seed(profile.seed);
        let story = Story { seed: profile.seed, step: 0, told: Vec::new() };
        let (modules, sources) = modules(&mut rng, &env, profile);
        let mut upstream = repository(&env, "up", profile);
        history::begin(&mut rng, &mut upstream, 40, &sources);
        upstream.publish(0);
        let server = match profile.served {
            Served::Local => None,
            Served::Http => Some(Server::Http(Nginx::start(&env.path("")))),
            Served::Git => Some(Server::Git(GitDaemon::start(&env.path("")))),
        };
        let patterns = profile.patterns.then(|| material::patterns(&mut rng));
        let reference = Reference::new(env.path("fresh"), &modules);
        let mut scene = Scene {
            story,
            rng,
            profile,
            running: None,
            server,
            upstream,
            reference,
            sources,
            at: 0,
            arguments: profile.arguments.iter().map(ToString::to_string).collect(),
            view: View { levels: usize::MAX, patterns, lfs: profile.lfs },
            published: HashMap::new(),
            seen: Snapshot::default(),
            env,
        };
        scene.write_patterns();
        scene.start();
        scene.check();
        scene
    }

    /// Change something upstream, and perhaps more, and see that it is published as it should be.
    pub fn step(&mut self, number: usize) {
        self.story.step = number;
        self.story.told.clear();
        if self.profile.restarts && self.rng.u8(..8) == 0 {
            self.stop();
        }
        if self.profile.patterns && self.rng.u8(..4) == 0 {
            self.view.patterns = Some(material::patterns(&mut self.rng));
            self.story.told.push(format!("patterns {:?}", self.view.patterns));
            self.write_patterns();
        }
        if self.profile.consumer && self.running.is_some() {
            self.consume();
        }
        let (at, told) = history::advance(&mut self.rng, &mut self.upstream, self.at, &self.sources);
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
    pub fn end(mut self) {
        self.check_with_git();
        drop(self.running.take());
        if self.profile.consumer {
            return;
        }
        for entry in fs::read_dir(self.env.root().join(".worktrees")).unwrap() {
            let tree = entry.unwrap();
            let id = tree.file_name().into_string().unwrap();
            if id.starts_with(".tmp-old-") {
                continue; // retired: nobody is shown it any more
            }
            let Some((number, view)) = self.published.get(&id) else { panic!("{id} is no commit") };
            let commit = &self.upstream.commits[*number];
            let expected = self.reference.of(&self.upstream, commit, *view);
            let differences = Snapshot::of(&tree.path()).differences(&expected);
            assert!(differences.is_empty(), "{id} was altered:\n{}", differences.join("\n"));
        }
    }

    fn write_patterns(&self) {
        if let Some(patterns) = self.view.patterns {
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
        let mut program = self.env.syncline(self.url()).arg("-v1").arg("--ref=main").arg("--period=1h");
        program = program.arg("--sync-on-signal=USR1").arg("--git-config=protocol.file.allow:always");
        program = program.arg("--worktree-reuse-delay=0s");
        if self.view.lfs {
            program = program.arg("--lfs=on");
        }
        if self.view.patterns.is_some() {
            program = program.arg("--sparse-checkout-file").arg(self.env.path("patterns"));
        }
        self.running = Some(self.arguments.iter().fold(program, Syncline::arg).spawn());
    }

    /// End the program in one way or another; it comes back with other options, and perhaps to an empty root.
    fn stop(&mut self) {
        self.assert_no_complaints();
        let mut running = self.running.take().unwrap();
        let signal = if self.rng.bool() { Signal::TERM } else { Signal::KILL };
        running.signal(signal);
        running.wait();
        let (levels, submodules) =
            [(usize::MAX, "recursive"), (1, "shallow"), (0, "off")][self.rng.usize(..3)];
        self.view.levels = levels;
        self.view.lfs = self.profile.lfs && self.rng.bool();
        let was_filtered = self.is_filtered();
        self.arguments = vec![format!("--submodules={submodules}"), format!("--depth={}", self.rng.u32(..4))];
        for argument in [FILTER, "--checkout=copy", "--git-gc=aggressive"] {
            self.arguments.extend(self.rng.bool().then(|| argument.to_owned()));
        }
        // Without a filter the store is made anew, and old trees that stay name commits that it does not have.
        if self.rng.bool() && (!was_filtered || self.is_filtered()) {
            self.arguments.push("--stale-worktree-timeout=1h".into());
        }
        let is_emptied = self.rng.u8(..4) == 0;
        if is_emptied {
            fs::remove_dir_all(self.env.root()).unwrap();
        }
        self.story.told.push(format!("{signal:?}, emptied: {is_emptied}, {:?}", self.arguments));
    }

    fn is_filtered(&self) -> bool {
        self.arguments.iter().any(|argument| argument == FILTER)
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
        self.published.insert(commit.id.clone(), (self.at, self.view));
        let expected = self.reference.of(&self.upstream, commit, self.view);
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
            let by_content = if found.is_empty() {
                String::new()
            } else {
                self.reference.status(&self.upstream, &self.upstream.commits[self.at], self.view)
            };
            let amiss: Vec<&str> =
                found.lines().filter(|line| !by_content.lines().any(|known| known == *line)).collect();
            assert!(amiss.is_empty(), "{amiss:?}");
        }
    }
}

/// A repository without commits that has all objects of Git LFS.
fn repository(env: &Env, name: &str, profile: Profile) -> Upstream {
    let upstream = Upstream::init(&env.path(name), profile.format);
    let contents = if profile.lfs { material::lfs_contents() } else { Vec::new() };
    for content in contents {
        Repo { path: upstream.path.clone() }.add_lfs_object(content);
    }
    upstream
}

/// Repositories for submodules, one of them with submodules of its own, and all that trees can refer to.
fn modules(rng: &mut Rng, env: &Env, profile: Profile) -> (Vec<Upstream>, Sources) {
    let pointers = if profile.lfs { material::lfs_contents() } else { Vec::new() };
    let pointers = pointers.into_iter().map(|content| pointer(content).into_bytes().into()).collect();
    let (mut modules, mut sources) = (Vec::new(), Sources { pointers, ..Sources::default() });
    for name in ["inner", "one", "two"] {
        let mut module = repository(env, name, profile);
        let mut inner = sources.clone();
        if name != "two" {
            inner.pins.clear();
        }
        history::begin(rng, &mut module, 12, &inner);
        for _ in 0..4 {
            let last = module.commits.len() - 1;
            history::advance(rng, &mut module, last, &inner);
        }
        module.publish(0);
        sources.pins.extend(module.commits.iter().map(|commit| (commit.id.clone(), name)));
        modules.push(module);
    }
    (modules, sources)
}
