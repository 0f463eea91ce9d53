use super::*;

const TERMS: Terms = Terms { spread: Duration::ZERO, period: Duration::from_secs(600) };
const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: Effects = Effects { looks_again: false, is_stale: false, missed: None };

fn commit(letter: char) -> CommitId {
    letter.to_string().repeat(40).parse().unwrap()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Hooks, with a clock that moves when it is told to.
struct Scene {
    working: Working,
    now: Instant,
    published: CommitId,
}

impl Scene {
    fn new() -> Scene {
        let now = Instant::now();
        let mut scene = Scene { working: Working::new(TERMS, now), now, published: commit('0') };
        scene.look(Seen::New(commit('0')));
        scene
    }

    fn pass(&mut self, time: f64) {
        self.now += seconds(time);
    }

    fn announce(&mut self, letter: char) -> bool {
        self.working.announce(Some(commit(letter)), Some(self.published), self.now, 0.5)
    }

    /// How long until the next look, of an hour at most.
    fn due(&self) -> f64 {
        let due = self.working.due(Some(self.now + HOUR), self.now).unwrap();
        (due - self.now).as_secs_f64()
    }

    fn look(&mut self, seen: Seen) -> Effects {
        self.working.begin(self.now);
        if let Seen::New(commit) = seen {
            self.published = commit;
        }
        self.working.end(seen, self.now, 0.5)
    }

    fn same(&self) -> Seen {
        Seen::Same { published: self.published, is_held: false }
    }
}

#[test]
fn a_hook_is_looked_for_at_once_unless_its_commit_is_published() {
    let mut scene = Scene::new();
    assert!(!scene.announce('0'));
    assert_eq!(scene.due(), 3600.0);
    assert!(scene.announce('1'));
    assert_eq!(scene.due(), 0.0);
    assert_eq!(scene.look(Seen::New(commit('1'))), NOTHING);
    assert_eq!(scene.due(), 3600.0);
    scene.working.begin(scene.now);
    assert!(scene.announce('1'), "the look that is under way may see something else");
    scene.working.end(Seen::New(commit('2')), scene.now, 0.5);
    assert_eq!(scene.due(), 0.0);
}

#[test]
fn what_a_hook_is_ahead_of_is_looked_for_again_for_a_while() {
    let mut scene = Scene::new();
    scene.announce('1');
    let mut pauses = Vec::new();
    let last = loop {
        let same = scene.same();
        match scene.look(same) {
            Effects { looks_again: true, .. } => pauses.push(scene.due()),
            last => break last,
        }
        scene.pass(scene.due());
    };
    assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0]);
    assert!(last.is_stale);
    assert_eq!(scene.due(), 3600.0);

    for found in
        [Seen::New(commit('1')), Seen::New(commit('2')), Seen::Same { published: commit('0'), is_held: true }]
    {
        let mut scene = Scene::new();
        scene.announce('1');
        let same = scene.same();
        assert!(scene.look(same).looks_again);
        scene.pass(0.5);
        assert_eq!((scene.look(found), scene.due()), (NOTHING, 3600.0), "{found:?}");
    }
}

#[test]
fn the_pauses_between_looks_are_spread() {
    for (random, pause) in [(0.0, 0.4), (0.5, 0.5), (1.0, 0.6)] {
        let mut scene = Scene::new();
        scene.announce('1');
        scene.working.begin(scene.now);
        let same = scene.same();
        scene.working.end(same, scene.now, random);
        assert!((scene.due() - pause).abs() < 1e-6, "{}", scene.due());
    }
    let terms = Terms { spread: seconds(10.0), ..TERMS };
    let now = Instant::now();
    let mut working = Working::new(terms, now);
    working.announce(None, None, now, 0.3);
    working.announce(None, None, now + seconds(1.0), 0.9);
    assert_eq!(working.due(None, now), Some(now + seconds(3.0)), "more hooks put nothing off");
}

#[test]
fn a_burst_makes_a_few_looks_and_the_last_hook_is_looked_for() {
    let mut scene = Scene::new();
    let mut looks = Vec::new();
    for _ in 0..10_000 {
        scene.announce('1');
        if scene.due() <= 0.0 {
            looks.push(scene.now);
            let same = scene.same();
            scene.look(same);
        }
        scene.pass(0.001);
    }
    let start = looks[0];
    let within = |time: f64| looks.iter().filter(|look| **look - start <= seconds(time)).count();
    assert!(within(1.0) <= 4 && within(10.0) <= 13, "{} {}", within(1.0), within(10.0));
    assert!(scene.announce('1') && scene.due() <= 1.0);
}

#[test]
fn a_hook_shortens_the_pause_after_failures_once() {
    let mut scene = Scene::new();
    scene.look(Seen::Failed);
    scene.announce('1');
    assert_eq!(scene.due(), 1.0);
    scene.pass(5.0);
    assert_eq!(scene.due(), 0.0);
    scene.look(Seen::Failed);
    scene.announce('1');
    scene.pass(5.0);
    assert_eq!(scene.due(), 3600.0, "only once");
    assert_eq!(scene.look(Seen::New(commit('1'))), NOTHING);
    scene.look(Seen::Failed);
    scene.announce('2');
    assert_eq!(scene.due(), 1.0, "again after a success");
}

#[test]
fn what_was_announced_is_looked_for_again_after_a_failure() {
    let mut scene = Scene::new();
    scene.announce('1');
    scene.look(Seen::Failed);
    scene.pass(5.0);
    assert_eq!(scene.due(), 3600.0);
    let same = scene.same();
    assert!(scene.look(same).looks_again);
    assert_eq!(scene.due(), 0.5);
}

#[test]
fn polls_are_seldom_while_hooks_announce_what_is_found() {
    let mut scene = Scene::new();
    assert_eq!(scene.working.period(), None);
    scene.announce('1');
    scene.look(Seen::New(commit('1')));
    assert_eq!((scene.working.works(), scene.working.period()), (true, Some(TERMS.period)));
    // A poll finds something before its hook comes.
    scene.look(Seen::New(commit('2')));
    assert_eq!((scene.working.works(), scene.working.period()), (true, None));
    scene.pass(30.0);
    assert!(!scene.announce('2'));
    assert_eq!(scene.working.period(), Some(TERMS.period));
    // And something of which none comes.
    scene.look(Seen::New(commit('3')));
    scene.pass(59.0);
    let same = scene.same();
    assert_eq!(scene.look(same), NOTHING);
    scene.pass(2.0);
    assert_eq!(scene.look(same).missed, Some(commit('3')));
    assert_eq!((scene.working.works(), scene.working.period()), (false, None));
    scene.look(Seen::New(commit('4')));
    scene.pass(100.0);
    let same = scene.same();
    assert_eq!(scene.look(same), NOTHING, "one warning is enough");
    scene.announce('5');
    scene.look(Seen::New(commit('5')));
    assert!(scene.working.works());
}

#[test]
fn the_time_to_a_publication_counts_from_its_own_hook() {
    let mut scene = Scene::new();
    for letter in ['1', '2'] {
        scene.announce(letter);
        scene.pass(1.0);
    }
    assert_eq!(scene.working.published(commit('2'), scene.now), Some(seconds(1.0)));
    assert_eq!(scene.working.published(commit('1'), scene.now), None);
    scene.working.announce(None, None, scene.now, 0.5);
    scene.pass(2.0);
    assert_eq!(scene.working.published(commit('3'), scene.now), Some(seconds(2.0)));
    scene.working.announce(None, None, scene.now, 0.5);
    scene.pass(1.0);
    let same = scene.same();
    scene.look(same);
    assert_eq!(scene.working.published(commit('4'), scene.now), None, "that hook led to nothing");
    for _ in 0..1000 {
        scene.announce('4');
    }
    assert!(scene.working.recent.len() <= REMEMBERED);
}
