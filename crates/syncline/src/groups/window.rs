//! When a group shows a new set: pure decisions about what its members offer.
//!
//! The first new tree opens a window. It closes once nothing new was offered for a while (`settle`) and every member has
//! looked after that and found nothing more; or, if a member fails or is slow, after `max_wait`.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_core::CommitId;
use tokio::time::Instant;

use super::generations::Offer;
use crate::config::many::Incomplete;

/// How long the window stays open.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub settle: Duration,
    pub max_wait: Duration,
    pub incomplete: Incomplete,
}

/// What is known of a member.
#[derive(Clone, Debug, Default)]
pub struct MemberState {
    pub is_required: bool,
    /// Its newest finished tree.
    pub offer: Option<Offer>,
    /// When its last look began.
    pub began: Option<Instant>,
    /// When the last look began that was followed through.
    pub looked: Option<Instant>,
    /// Whether it will never look again.
    pub has_ended: bool,
    /// Whether it should look now.
    pub look_now: bool,
    /// The commit of it that the published link shows, as far as we know.
    pub followed: Option<CommitId>,
    /// The commit that the lead pins it to.
    pub pin: Option<CommitId>,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing until something happens, or until this time.
    Wait(Option<Instant>),
    /// Show all that is offered.
    Flip,
    /// The set that is offered is shown already.
    Shown,
    /// This one-time run cannot show a complete set.
    Fail,
}

/// The time in which members add to a new set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    opened: Instant,
    /// When something was offered last.
    last: Instant,
}

pub type Members = BTreeMap<String, MemberState>;

impl Window {
    pub fn open(now: Instant) -> Window {
        Window { opened: now, last: now }
    }

    /// Something else was offered.
    pub fn prolong(&mut self, now: Instant) {
        self.last = now;
    }

    /// What to do at this time. Members that should look are told.
    pub fn step(self, members: &mut Members, patience: Patience, now: Instant) -> Step {
        let end = match patience.incomplete {
            Incomplete::Hold => self.opened.checked_add(patience.max_wait),
            Incomplete::HoldForever => None,
        };
        if members.values().any(|member| member.offer.is_none() && member.is_required) {
            return Step::Wait(None); // the first set has all of them
        }
        if end.is_some_and(|end| now >= end) {
            return Step::Flip;
        }
        let settled = self.last + patience.settle;
        let since = if now < settled { self.opened } else { settled };
        for member in members.values_mut().filter(|member| member.began < Some(since)) {
            member.look_now = true;
        }
        if now < settled {
            return Step::Wait(Some(end.map_or(settled, |end| end.min(settled))));
        }
        match members.values().all(|member| member.looked >= Some(settled)) {
            true => Step::Flip,
            false => Step::Wait(end),
        }
    }
}

/// What to do in a one-time run: each member syncs once, and then the set is shown.
pub fn one_time_step(members: &Members) -> Step {
    let is_over = |member: &MemberState| member.has_ended || member.looked.is_some();
    if !members.values().all(is_over) {
        return Step::Wait(None);
    }
    let is_missing = |member: &MemberState| member.is_required && member.looked.is_none();
    if members.values().any(is_missing) || members.values().all(|member| member.offer.is_none()) {
        Step::Fail
    } else {
        Step::Flip
    }
}

/// What to do if the lead pins the others: show exactly what it says.
pub fn pinned_step(members: &Members, lead: &str) -> Step {
    let fits = |(name, member): (&String, &MemberState)| {
        let offered = member.offer.as_ref().map(|offer| offer.commit);
        offered.is_some() && (name == lead || offered == member.pin)
    };
    if members.iter().all(fits) { Step::Flip } else { Step::Wait(None) }
}

/// The same in a one-time run: what a member that has ended did not offer will not come.
pub fn one_time_pinned_step(members: &Members, lead: &str) -> Step {
    let is_lost = |(name, member): (&String, &MemberState)| {
        let offered = member.offer.as_ref().map(|offer| offer.commit);
        member.has_ended && (offered.is_none() || (name != lead && offered != member.pin))
    };
    if members.iter().any(is_lost) { Step::Fail } else { pinned_step(members, lead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        settle: Duration::from_secs(2),
        max_wait: Duration::from_secs(30),
        incomplete: Incomplete::Hold,
    };

    fn offer(letter: char) -> Option<Offer> {
        let commit = letter.to_string().repeat(40).parse().unwrap();
        Some(Offer { commit, directory: "/tree".into() })
    }

    fn members(count: usize) -> Members {
        let member = |number: usize| {
            let name = ["a", "b", "c"][number].to_owned();
            (name, MemberState { is_required: true, offer: offer('a'), ..MemberState::default() })
        };
        (0..count).map(member).collect()
    }

    /// A member begins to look, and finds nothing new.
    fn looks(members: &mut Members, name: &str, at: Instant) {
        let member = members.get_mut(name).unwrap();
        assert!(std::mem::take(&mut member.look_now), "{name} is asked to look");
        (member.began, member.looked) = (Some(at), Some(at));
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_shown_once_all_have_looked_after_the_last_news() {
        let (now, mut members) = (Instant::now(), members(2));
        let mut window = Window::open(now);
        assert_eq!(window.step(&mut members, PATIENCE, now), Step::Wait(Some(now + seconds(2))));
        for name in ["a", "b"] {
            looks(&mut members, name, now);
        }
        window.prolong(now + seconds(1));
        let settled = now + seconds(3);
        assert_eq!(window.step(&mut members, PATIENCE, now + seconds(2)), Step::Wait(Some(settled)));
        assert!(members.values().all(|member| !member.look_now), "they have looked since it opened");
        assert_eq!(window.step(&mut members, PATIENCE, settled), Step::Wait(Some(now + seconds(30))));
        looks(&mut members, "a", settled);
        assert_eq!(window.step(&mut members, PATIENCE, settled), Step::Wait(Some(now + seconds(30))));
        looks(&mut members, "b", settled);
        assert_eq!(window.step(&mut members, PATIENCE, settled), Step::Flip);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_fails_or_is_slow_is_waited_for_only_so_long_and_asked_once() {
        let (now, mut members) = (Instant::now(), members(2));
        let window = Window::open(now);
        let settled = now + seconds(2);
        window.step(&mut members, PATIENCE, settled);
        looks(&mut members, "a", settled);
        let slow = members.get_mut("b").unwrap();
        (slow.began, slow.look_now) = (Some(settled), false);
        for at in [3, 29] {
            let step = window.step(&mut members, PATIENCE, now + seconds(at));
            assert_eq!(step, Step::Wait(Some(now + seconds(30))));
            assert!(members.values().all(|member| !member.look_now));
        }
        assert_eq!(window.step(&mut members, PATIENCE, now + seconds(30)), Step::Flip);
        let forever = Patience { incomplete: Incomplete::HoldForever, ..PATIENCE };
        assert_eq!(window.step(&mut members, forever, now + seconds(3000)), Step::Wait(None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_set_has_all_that_are_required() {
        let (now, mut members) = (Instant::now(), members(2));
        members.get_mut("b").unwrap().offer = None;
        let late = now + seconds(3000);
        assert_eq!(Window::open(now).step(&mut members, PATIENCE, late), Step::Wait(None));
        members.get_mut("b").unwrap().is_required = false;
        assert_eq!(Window::open(now).step(&mut members, PATIENCE, late), Step::Flip);
    }

    #[test]
    fn a_one_time_run_shows_what_there_is_when_all_have_ended() {
        let mut members = members(2);
        let now = Some(Instant::now());
        members.get_mut("a").unwrap().looked = now;
        assert_eq!(one_time_step(&members), Step::Wait(None));
        members.get_mut("b").unwrap().has_ended = true;
        assert_eq!(one_time_step(&members), Step::Fail);
        members.get_mut("b").unwrap().is_required = false;
        assert_eq!(one_time_step(&members), Step::Flip);
        members.get_mut("b").unwrap().looked = now;
        assert_eq!(one_time_step(&members), Step::Flip);
    }

    #[test]
    fn pins_are_followed_exactly() {
        let mut members = members(3);
        let pin = offer('b').map(|offer| offer.commit);
        for name in ["b", "c"] {
            members.get_mut(name).unwrap().pin = pin;
            assert_eq!(pinned_step(&members, "a"), Step::Wait(None));
            members.get_mut(name).unwrap().offer = offer('b');
        }
        assert_eq!(pinned_step(&members, "a"), Step::Flip);
        let lost = members.get_mut("c").unwrap();
        (lost.pin, lost.has_ended) = (None, true);
        assert_eq!(pinned_step(&members, "a"), Step::Wait(None));
        assert_eq!(one_time_pinned_step(&members, "a"), Step::Fail);
        members.get_mut("c").unwrap().pin = pin;
        assert_eq!(one_time_pinned_step(&members, "a"), Step::Flip);
    }
}
