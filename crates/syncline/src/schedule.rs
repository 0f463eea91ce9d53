//! When to sync next and when to give up: pure decisions from the results of the syncs.

use std::time::Duration;

/// The longest pause between two attempts, unless the period itself is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that a server may ask for.
pub const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// How much the pauses after successes vary, as a part of the period: many processes must not poll in step.
/// After the first success, and the first after a failure, by a whole period, since all may have started
/// together or waited for one server.
const FIRST_SPREAD: f64 = 1.0;

/// After that by little, so that processes that poll at the same time drift apart.
const SPREAD: f64 = 0.2;

/// How often to sync, and how many failures to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The pause after a success on average, and the longest first one after a failure.
    pub period: Duration,
    /// The pause after a success, if it differs.
    pub idle_period: Option<Duration>,
    /// The pause until the first success, if it differs.
    pub init_period: Option<Duration>,
    /// Stop after the first success.
    pub one_time: bool,
    /// How many failures in a row end the program: 0 and 1 the first, negative none. `None`: see
    /// [`Schedule::next`].
    pub max_failures: Option<i64>,
    /// The same until the first success, if it differs.
    pub init_max_failures: Option<i64>,
}

impl Policy {
    /// The pause between syncs; `None` if there is only one.
    pub fn usual_period(&self) -> Option<Duration> {
        (!self.one_time).then(|| self.idle_period.unwrap_or(self.period))
    }
}

/// What to do after a sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Sync again after this time.
    Wait(Duration),
    /// End the program.
    Exit(Exit),
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Success,
    /// Exit code 1.
    Failure,
}

/// The history that the next decision depends on.
#[derive(Debug)]
pub struct Schedule {
    policy: Policy,
    /// The pause after a success, if it is longer than usual.
    stretched: Option<Duration>,
    serving: bool,
    succeeded: bool,
    failures: u32,
}

impl Schedule {
    /// `serving`: an earlier process left a published tree.
    pub fn new(policy: Policy, serving: bool) -> Self {
        let serving = serving && !policy.one_time;
        Schedule { policy, stretched: None, serving, succeeded: false, failures: 0 }
    }

    /// How many syncs have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// From now on, wait so long after a success, if that is longer than the period: something else says when to sync.
    pub fn stretch(&mut self, period: Option<Duration>) {
        self.stretched = period;
    }

    /// Decide after a sync. `random`, between 0 and 1, spreads the polls of many processes; after a failure
    /// the pause is at least what the server asks for (`not_before`), up to a bound.
    ///
    /// Without a limit of failures, a program that serves nothing yet ends at once, so that its failure is
    /// noticed; one that serves a tree never ends.
    pub fn next(&mut self, succeeded: bool, not_before: Option<Duration>, random: f64) -> Next {
        if succeeded {
            let spread = if self.succeeded && self.failures == 0 { SPREAD } else { FIRST_SPREAD };
            // A member of a group may sync again in a one-time run, and its failure must be noticed, too.
            self.serving = !self.policy.one_time;
            self.succeeded = true;
            self.failures = 0;
            return match self.policy.usual_period() {
                None => Next::Exit(Exit::Success),
                Some(usual) => {
                    let period = self.stretched.unwrap_or_default().max(usual);
                    Next::Wait(times(period, 1.0 + spread * (random - 0.5)))
                }
            };
        }
        self.failures = self.failures.saturating_add(1);
        let initial = self.policy.init_max_failures.filter(|_| !self.succeeded);
        let give_up = match initial.or(self.policy.max_failures) {
            Some(limit) => limit >= 0 && i64::from(self.failures) >= limit,
            None => !self.serving,
        };
        if give_up {
            Next::Exit(Exit::Failure)
        } else {
            // The server may have asked all clients to wait for the same moment.
            let wish = not_before
                .map(|wish| wish.min(LONGEST_WISH).saturating_add(times(self.policy.period, random)));
            Next::Wait(self.pause(random).max(wish.unwrap_or_default()))
        }
    }

    /// Twice as long after every failure, up to a bound, minus a random part of up to a half.
    fn pause(&self, random: f64) -> Duration {
        let doublings = (self.failures - 1).min(16);
        let period = self.policy.init_period.filter(|_| !self.succeeded).unwrap_or(self.policy.period);
        let pause = period.saturating_mul(1 << doublings).min(period.max(LONGEST_PAUSE));
        times(pause, 1.0 - random / 2.0)
    }
}

/// A duration that is too long to multiply stays as it is.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        period: Duration::from_secs(10),
        idle_period: None,
        init_period: None,
        one_time: false,
        max_failures: None,
        init_max_failures: None,
    };
    const NOW: Option<Duration> = None;
    const EXIT: Next = Next::Exit(Exit::Failure);

    fn schedule(one_time: bool, max_failures: Option<i64>, serving: bool) -> Schedule {
        Schedule::new(Policy { one_time, max_failures, ..POLICY }, serving)
    }

    fn seconds(next: Next) -> u64 {
        match next {
            Next::Wait(pause) => pause.as_secs(),
            Next::Exit(exit) => panic!("{exit:?}"),
        }
    }

    #[test]
    fn success_waits_for_the_period_or_ends_a_one_time_run() {
        assert_eq!(seconds(schedule(false, None, false).next(true, NOW, 0.5)), 10);
        assert_eq!(schedule(true, None, false).next(true, NOW, 0.7), Next::Exit(Exit::Success));
    }

    #[test]
    fn a_failure_after_a_success_of_a_one_time_run_ends_it_too() {
        let mut schedule = schedule(true, None, false);
        schedule.next(true, NOW, 0.5);
        assert_eq!(schedule.next(false, NOW, 0.5), EXIT);
    }

    #[test]
    fn polls_are_spread_over_a_whole_period_after_a_start_or_a_failure_and_stay_so() {
        let mut schedules = [0.0, 0.5, 1.0].map(|random| (schedule(false, None, true), random));
        let mut after = |succeeded: bool| {
            schedules.each_mut().map(|(schedule, random)| seconds(schedule.next(succeeded, NOW, *random)))
        };
        assert_eq!(after(true), [5, 10, 15]);
        assert_eq!(after(true), [9, 10, 11]);
        assert_eq!(after(true), [9, 10, 11]);
        after(false);
        assert_eq!(after(true), [5, 10, 15]);
        assert_eq!(after(true), [9, 10, 11]);
    }

    #[test]
    fn a_success_may_be_followed_by_a_longer_pause_and_a_failure_is_not() {
        let mut schedule = schedule(false, Some(-1), true);
        schedule.next(true, NOW, 0.5);
        for (stretched, pause) in [(Some(600), 600), (Some(1), 10), (None, 10)] {
            schedule.stretch(stretched.map(Duration::from_secs));
            assert_eq!(seconds(schedule.next(true, NOW, 0.5)), pause);
        }
        schedule.stretch(Some(Duration::from_secs(600)));
        assert_eq!(seconds(schedule.next(false, NOW, 0.0)), 10);
    }

    #[test]
    fn the_first_failure_ends_a_program_that_serves_nothing() {
        assert_eq!(schedule(false, None, false).next(false, NOW, 0.0), EXIT);
        assert_eq!(schedule(true, None, true).next(false, NOW, 0.0), EXIT);
    }

    #[test]
    fn a_program_that_serves_never_ends_by_itself() {
        let mut fresh = schedule(false, None, false);
        fresh.next(true, NOW, 0.0);
        for mut schedule in [fresh, schedule(false, None, true)] {
            for _ in 0..1000 {
                assert!(matches!(schedule.next(false, NOW, 0.0), Next::Wait(_)));
            }
        }
    }

    #[test]
    fn a_given_limit_counts_failures_in_a_row() {
        for (limit, fatal) in [(0, 1), (1, 1), (3, 3)] {
            let mut schedule = schedule(false, Some(limit), true);
            schedule.next(false, NOW, 0.0);
            schedule.next(true, NOW, 0.0);
            let survived = (1..10).take_while(|_| schedule.next(false, NOW, 0.0) != EXIT).count();
            assert_eq!(survived, if limit == 0 || limit == 1 { 0 } else { fatal - 1 }, "limit {limit}");
        }
        let mut endless = schedule(true, Some(-1), false);
        assert!((0..1000).all(|_| endless.next(false, NOW, 0.0) != EXIT));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_spread() {
        let mut schedule = schedule(false, Some(-1), false);
        let pauses: Vec<u64> = (0..6).map(|_| seconds(schedule.next(false, NOW, 0.0))).collect();
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
        assert_eq!(seconds(schedule.next(false, NOW, 1.0)), 30);
        schedule.next(true, NOW, 0.0);
        assert_eq!(seconds(schedule.next(false, NOW, 0.5)), 7);
    }

    #[test]
    fn other_rules_hold_until_the_first_success() {
        let init_period = Some(Duration::from_secs(1));
        let policy = Policy { init_period, init_max_failures: Some(3), max_failures: Some(1), ..POLICY };
        let mut schedule = Schedule::new(policy, true);
        assert_eq!(seconds(schedule.next(false, NOW, 0.0)), 1);
        assert_eq!(seconds(schedule.next(false, NOW, 0.0)), 2);
        assert_eq!(
            Schedule::new(Policy { init_max_failures: Some(0), ..policy }, true).next(false, NOW, 0.0),
            EXIT
        );
        schedule.next(true, NOW, 0.0);
        assert_eq!(schedule.next(false, NOW, 0.0), EXIT);
    }

    #[test]
    fn a_long_period_is_not_shortened() {
        let policy = |period| Policy { period, max_failures: Some(-1), ..POLICY };
        let mut long = Schedule::new(policy(Duration::from_secs(600)), false);
        assert_eq!(seconds(long.next(false, NOW, 0.0)), 600);
        let mut endless = Schedule::new(policy(Duration::MAX), false);
        for succeeded in [false, true] {
            assert_eq!(endless.next(succeeded, Some(Duration::MAX), 1.0), Next::Wait(Duration::MAX));
        }
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_but_not_for_ever() {
        let mut schedule = schedule(false, Some(-1), false);
        let wish = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(seconds(schedule.next(false, wish(90), 0.0)), 90);
        assert_eq!(seconds(schedule.next(false, wish(1), 0.0)), 20);
        assert_eq!(seconds(schedule.next(false, Some(Duration::MAX), 0.0)), 3600);
        assert_eq!(seconds(schedule.next(false, wish(90), 0.5)), 95, "not all at the moment that was named");
    }
}
