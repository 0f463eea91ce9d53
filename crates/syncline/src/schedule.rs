//! When to sync next and when to give up: pure decisions over what the passes came to.

use std::time::Duration;

/// The longest pause between two attempts, unless the period itself is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that a server may ask for.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// The user's wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The pause after a success, and the first after a failure.
    pub period: Duration,
    /// The same until the first success, where another is wanted.
    pub init_period: Option<Duration>,
    /// Stop after the first success.
    pub one_time: bool,
    /// How many failures in a row end the program: 0 and 1 alike the first, negative none. `None`: see
    /// [`Schedule::next`].
    pub max_failures: Option<i64>,
    /// The same until the first success, where another is wanted.
    pub init_max_failures: Option<i64>,
}

/// What to do after a pass.
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
    serving: bool,
    succeeded: bool,
    failures: u32,
}

impl Schedule {
    /// `serving` says that an earlier process left a published tree.
    pub fn new(policy: Policy, serving: bool) -> Self {
        Schedule { policy, serving: serving && !policy.one_time, succeeded: false, failures: 0 }
    }

    /// How many passes have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Decide after a pass. `random`, between 0 and 1, spreads the retries of many processes; after a failure
    /// the pause is not shorter than the server wants (`not_before`), within reason.
    ///
    /// Without a limit of failures, a program that serves nothing yet ends at once, so that whoever started it
    /// notices; one that serves a tree never ends.
    pub fn next(&mut self, succeeded: bool, not_before: Duration, random: f64) -> Next {
        if succeeded {
            self.serving = true;
            self.succeeded = true;
            self.failures = 0;
            return if self.policy.one_time {
                Next::Exit(Exit::Success)
            } else {
                Next::Wait(self.policy.period)
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
            Next::Wait(self.pause(random).max(not_before.min(LONGEST_WISH)))
        }
    }

    /// Twice as long after every failure, up to a bound; a random half of it is taken off.
    fn pause(&self, random: f64) -> Duration {
        let doublings = (self.failures - 1).min(16);
        let period = self.policy.init_period.filter(|_| !self.succeeded).unwrap_or(self.policy.period);
        let pause = period.saturating_mul(1 << doublings).min(period.max(LONGEST_PAUSE));
        pause - pause.mul_f64(random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        period: Duration::from_secs(10),
        init_period: None,
        one_time: false,
        max_failures: None,
        init_max_failures: None,
    };
    const NOW: Duration = Duration::ZERO;
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
        assert_eq!(seconds(schedule(false, None, false).next(true, NOW, 0.7)), 10);
        assert_eq!(schedule(true, None, false).next(true, NOW, 0.7), Next::Exit(Exit::Success));
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
        let policy = Policy { period: Duration::from_secs(600), max_failures: Some(-1), ..POLICY };
        assert_eq!(seconds(Schedule::new(policy, false).next(false, NOW, 0.0)), 600);
        let longest = Policy { period: Duration::MAX, ..policy };
        assert_eq!(Schedule::new(longest, false).next(false, NOW, 0.0), Next::Wait(Duration::MAX));
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_but_not_for_ever() {
        let mut schedule = schedule(false, Some(-1), false);
        assert_eq!(seconds(schedule.next(false, Duration::from_secs(90), 0.5)), 90);
        assert_eq!(seconds(schedule.next(false, Duration::from_secs(1), 0.0)), 20);
        assert_eq!(seconds(schedule.next(false, Duration::MAX, 0.0)), 3600);
    }
}
