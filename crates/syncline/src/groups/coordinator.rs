//! The task of a group: it shows a new set when the members have one, and removes old ones.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sync_core::CommitId;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::generations::{Generation, Generations, Offers, Shelf};
use super::window::{Patience, Step, Window, one_time_pinned_step, one_time_step, pinned_step};
use super::{Group, State, pins};
use crate::board::{Board, GroupFacts};
use crate::clock::{at, unix_time};
use crate::config::many::GroupConfig;
use crate::hooks::{Event, Hooks, What};
use crate::schedule::Exit;
use crate::status::Status;
use crate::stop::Stop;

/// How long to wait after a set could not be shown.
const RETRY: Duration = Duration::from_secs(10);

/// Decides for a group.
pub struct Coordinator {
    group: Arc<Group>,
    config: GroupConfig,
    generations: Arc<Generations>,
    shelf: Shelf,
    /// How long a replaced generation stays.
    keep: Duration,
    is_one_time: bool,
    board: Board,
    hooks: Hooks,
    /// The commit of the lead whose pins are in force.
    pinned_by: Option<CommitId>,
    has_faulty_pins: bool,
    /// When to look at old generations.
    prune_at: Option<Instant>,
    /// When to try again to show a set.
    retry_at: Option<Instant>,
}

/// How a group is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// How long a replaced generation stays.
    pub keep: Duration,
    pub is_durable: bool,
    pub is_one_time: bool,
}

impl Coordinator {
    /// A coordinator for a group that may have been run before, by an earlier process or with another configuration.
    pub fn open(
        config: GroupConfig,
        known: Option<Arc<Group>>,
        required: impl Fn(&str) -> bool,
        manner: Manner,
        shelf: &Shelf,
        board: &Board,
    ) -> io::Result<Coordinator> {
        // What an earlier coordinator makes is no leftover.
        let _lock = shelf.lock();
        let generations = Generations::open(shelf.root(), &config.name, manner.is_durable)?;
        let shown = generations.shown()?;
        let group = match known {
            Some(group) => {
                group.configure(&config, required);
                group
            }
            None => Arc::new(Group::new(&config, required, generations.clone(), shown)),
        };
        let hooks = Hooks::of_group(config.exechook.clone(), manner.is_one_time, &Status::default());
        let coordinator = Coordinator {
            group,
            config,
            generations: Arc::new(generations),
            shelf: shelf.clone(),
            keep: manner.keep,
            is_one_time: manner.is_one_time,
            board: board.clone(),
            hooks,
            pinned_by: None,
            has_faulty_pins: false,
            prune_at: Some(Instant::now()),
            retry_at: None,
        };
        coordinator.report_shown();
        Ok(coordinator)
    }

    pub fn group(&self) -> Arc<Group> {
        self.group.clone()
    }

    /// Decide until told to stop; in a one-time run until it is over, with the answer whether its hook succeeded.
    pub async fn run(mut self, mut stop: Stop) -> bool {
        loop {
            if std::mem::take(&mut self.group.lock().is_news) {
                self.report_shown();
            }
            self.follow_pins().await;
            let (step, offers) = self.step();
            match step {
                Step::Flip => self.flip(offers).await,
                Step::Shown => self.end(Exit::Success),
                Step::Fail => self.end(Exit::Failure),
                Step::Wait(until) => {
                    let due = [until, self.prune_at, self.retry_at].into_iter().flatten().min();
                    tokio::select! {
                        () = self.group.news.notified() => {}
                        () = at(due) => {}
                        _ = stop.ordered() => return true,
                    }
                }
            }
            if self.group.lock().verdict.is_some() {
                return self.hooks.finish().await;
            }
            self.prune().await;
        }
    }

    /// What to do, and what is offered.
    fn step(&mut self) -> (Step, Offers) {
        let mut state = self.group.lock();
        let offers = state.offers();
        self.retry_at.take_if(|at| *at <= Instant::now());
        let step =
            if self.retry_at.is_some() { Step::Wait(None) } else { self.decide_on(&mut state, &offers) };
        if state.members.values().any(|member| member.look_now) {
            self.group.changes.send_replace(());
        }
        (step, offers)
    }

    fn decide_on(&self, state: &mut State, offers: &Offers) -> Step {
        let is_shown = state.shown.as_ref().is_some_and(|shown| shown.members == *offers);
        if !self.knows_pins(state) {
            return Step::Wait(None);
        }
        if self.is_one_time {
            let step = match &state.lead {
                Some(_) if self.has_faulty_pins => Step::Fail,
                Some(lead) => one_time_pinned_step(&state.members, lead),
                None => one_time_step(&state.members),
            };
            return if step == Step::Flip && is_shown { Step::Shown } else { step };
        }
        if is_shown || offers.is_empty() {
            state.window = None;
            return Step::Wait(None);
        }
        if let Some(lead) = &state.lead {
            return pinned_step(&state.members, lead);
        }
        let now = Instant::now();
        let window = *state.window.get_or_insert_with(|| Window::open(now));
        let GroupConfig { settle, max_wait, incomplete, .. } = self.config;
        window.step(&mut state.members, Patience { settle, max_wait, incomplete }, now)
    }

    /// Whether what the others are pinned to is what the newest tree of the lead says. In a one-time run the lead must
    /// have looked for it.
    fn knows_pins(&self, state: &State) -> bool {
        let Some(lead) = state.lead.as_ref().and_then(|lead| state.members.get(lead)) else { return true };
        let is_newest = !self.is_one_time || lead.looked.is_some() || lead.has_ended;
        is_newest && lead.offer.as_ref().map(|offer| offer.commit) == self.pinned_by
    }

    /// Show the set that was decided on. The members follow.
    async fn flip(&mut self, offers: Offers) {
        let (group, generations, shelf) = (self.group.clone(), self.generations.clone(), self.shelf.clone());
        let shown = spawn_blocking(move || {
            let _lock = shelf.lock();
            if group.offers() != offers {
                return Ok(None); // a member has something newer, and may remove what it had before
            }
            let shown = generations.show(&offers)?;
            let mut state = group.lock();
            (state.shown, state.window) = (Some(shown.clone()), None);
            Ok::<_, io::Error>(Some(shown))
        });
        match shown.await.unwrap_or_else(|err| Err(err.into())) {
            Ok(Some(shown)) => self.shown(shown),
            Ok(None) => {}
            Err(err) => {
                error!(group = self.config.name, error = %err, "cannot show the new set; the last one stays");
                self.report(|facts| facts.error = Some(err.to_string()));
                self.retry_at = Some(Instant::now() + RETRY);
                if self.is_one_time {
                    self.end(Exit::Failure);
                }
            }
        }
    }

    fn shown(&mut self, shown: Generation) {
        let members: Vec<String> =
            shown.commits().map(|(name, commit)| format!("{name}={:.12}", commit.to_string())).collect();
        info!(
            group = self.config.name,
            generation = shown.id,
            members = members.join(" "),
            "published together"
        );
        let what = What::Generation { group: self.config.name.clone(), id: shown.id.clone() };
        self.hooks.published(&Event::new(what, self.generations.path(&shown)));
        self.report(|facts| {
            show(facts, Some(&shown));
            facts.flipped_at = Some(unix_time());
            facts.flips += 1;
            facts.error = None;
        });
        self.prune_at = Some(Instant::now());
        self.group.changes.send_replace(());
    }

    /// The one-time run is over.
    fn end(&self, verdict: Exit) {
        self.group.lock().verdict = Some(verdict);
        self.group.changes.send_replace(());
    }

    fn report_shown(&self) {
        let shown = self.group.lock().shown.clone();
        self.report(|facts| show(facts, shown.as_ref()));
    }

    fn report(&self, change: impl FnOnce(&mut GroupFacts)) {
        self.board.group(&self.config.name, change);
    }

    /// Read what the newest tree of the lead pins.
    async fn follow_pins(&mut self) {
        let Some(config) = self.config.pins.clone() else { return };
        let offer = self.group.lock().members.get(&config.from).and_then(|lead| lead.offer.clone());
        let Some(offer) = offer.filter(|offer| self.pinned_by != Some(offer.commit)) else { return };
        self.pinned_by = Some(offer.commit);
        let others = self.config.members.iter().filter(|name| **name != config.from).cloned();
        let (others, lead): (Vec<String>, _) = (others.collect(), config.from.clone());
        let read = spawn_blocking(move || {
            let pins = pins::read(&offer.directory, &config.file)?;
            pins::check(&pins, others.into_iter(), &config.file).map(|()| pins)
        });
        let pins = read.await.unwrap_or_else(|err| Err(err.to_string()));
        let error = pins.as_ref().err().cloned();
        if let Some(error) = &error {
            let commit = offer.commit;
            error!(group = self.config.name, %commit, error, "cannot use the pins of the lead; the last set stays");
        }
        self.has_faulty_pins = error.is_some();
        self.report(|facts| facts.error = error);
        let mut state = self.group.lock();
        for (name, member) in state.members.iter_mut().filter(|(name, _)| **name != lead) {
            let pin = pins.as_ref().ok().and_then(|pins| pins.get(name).copied());
            member.look_now |= pin.is_some() && pin != member.pin;
            member.pin = pin;
        }
        drop(state);
        self.group.changes.send_replace(());
    }

    /// Remove the generations whose time is over.
    async fn prune(&mut self) {
        if self.prune_at.take_if(|at| *at <= Instant::now()).is_none() {
            return;
        }
        let (generations, keep) = (self.generations.clone(), self.keep);
        let pruned = spawn_blocking(move || generations.prune(keep)).await;
        self.prune_at = match pruned.unwrap_or_else(|err| Err(err.into())) {
            Ok(next) => next.map(|next| Instant::now() + next),
            Err(err) => {
                warn!(group = self.config.name, error = %err, "cannot remove old generations; trying again");
                Some(Instant::now() + self.keep.max(RETRY))
            }
        };
    }
}

fn show(facts: &mut GroupFacts, shown: Option<&Generation>) {
    facts.shown = shown.map(|shown| shown.id.clone());
    facts.members = shown
        .iter()
        .flat_map(|shown| shown.commits())
        .map(|(name, commit)| (name.to_owned(), commit))
        .collect();
}
