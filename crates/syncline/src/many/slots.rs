//! The repositories and groups that run, and how a new configuration changes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sync_core::CommitId;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tracing::{Instrument, info};

use super::Supervisor;
use crate::board::Entry;
use crate::config::many::{GroupConfig, ManyConfig, Pins, Process, RepoConfig};
use crate::groups::{Coordinator, Group, Manner};
use crate::hooks::Moment;
use crate::log;
use crate::repository::{Place, Repository, is_durable};
use crate::run::End;
use crate::status::Status;
use crate::stop::{Order, Stop};

/// Between the first looks of two repositories.
const STEP: Duration = Duration::from_millis(20);

/// The longest time over which first looks are spread, unless the period is shorter.
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// The shortest time for which a replaced generation stays, so that who has it open reads one set.
const SHORTEST_KEEP: Duration = Duration::from_secs(60);

/// A repository that runs, or did.
pub(super) struct Slot {
    pub(super) config: RepoConfig,
    /// The group that it appears with, and what pins it there.
    group: Option<(String, Option<Pins>)>,
    pub(super) entry: Entry,
    pub(super) orders: watch::Sender<Order>,
    pub(super) wake: Arc<Notify>,
    /// How its loop ended, if it did.
    pub(super) end: Option<End>,
    successor: Option<Successor>,
}

/// What follows the loop that is told to end.
enum Successor {
    Changed(Box<RepoConfig>),
    Removed,
}

/// A group that runs.
pub(super) struct Team {
    pub(super) config: GroupConfig,
    required: BTreeMap<String, bool>,
    manner: Manner,
    pub(super) group: Arc<Group>,
    orders: watch::Sender<Order>,
}

impl Supervisor {
    /// Start everything; those that are required first.
    pub(super) async fn start(&mut self, config: ManyConfig) -> Result<(), String> {
        for group in &config.groups {
            self.start_group(group.clone(), &config.repos).await?;
        }
        let (required, others): (Vec<_>, Vec<_>) = config.repos.into_iter().partition(|repo| repo.required);
        let count = required.len() + others.len();
        for (at, repo) in required.into_iter().chain(others).enumerate() {
            let longest = repo.config.timing.policy.period.min(LONGEST_SPREAD);
            let step = STEP.min(longest / count.max(1) as u32);
            let delay = if self.process.one_time { Duration::ZERO } else { step * at as u32 };
            self.start_repo(repo, delay);
        }
        Ok(())
    }

    /// Start a repository, or start it again with another configuration: what is known of it stays.
    pub(super) fn start_repo(&mut self, config: RepoConfig, delay: Duration) {
        let name = config.name.clone();
        self.removals.cancel(&name);
        let before = self.slots.remove(&name);
        let told = before.as_ref().and_then(|before| before.told(&config));
        let status = before.map_or_else(Status::default, |before| before.entry.status);
        let source = &config.config.source;
        status.restarted(source.url.to_string(), source.reference.to_string());
        let entry = Entry::new(status, config.required, config.readyz_max_age);
        let team = self.teams.values().find(|team| team.config.members.contains(&name));
        let place = Place {
            name: name.clone(),
            group: team.map(|team| team.group.clone()),
            shelf: self.shelf.clone(),
            delay,
            told,
        };
        let group = team.map(Team::key);
        let (orders, stop) = Stop::channel();
        let wake = Arc::new(Notify::new());
        let pushes = self.targets.set(&name, &config.config.pushes, &entry.status);
        let repository = Repository {
            config: config.config.clone(),
            entry: entry.clone(),
            shared: self.shared.clone(),
            ready: self.readiness.of(&name),
            wake: wake.clone(),
            pushes,
            place: Some(place),
        };
        let span = log::repository(&name);
        let of = name.clone();
        self.tasks.spawn(async move { (of, repository.run(stop).await) }.instrument(span));
        self.board.set_repo(&name, entry.clone());
        self.slots.insert(name, Slot { config, group, entry, orders, wake, end: None, successor: None });
    }

    async fn start_group(&mut self, config: GroupConfig, repos: &[RepoConfig]) -> Result<(), String> {
        let (required, manner) = self.terms(&config, repos);
        self.removals.cancel(&config.name);
        let before = self.teams.get(&config.name);
        let (known, before) = (before.map(|team| team.group.clone()), before.map(|team| team.orders.clone()));
        let (shelf, board) = (self.shelf.clone(), self.board.clone());
        let (opened, is_required) = (config.clone(), required.clone());
        let open = move || {
            let is_required = |name: &str| is_required.get(name).copied().unwrap_or(true);
            Coordinator::open(opened, known, is_required, manner, &shelf, &board)
        };
        let opened = spawn_blocking(open).await.unwrap_or_else(|err| Err(err.into()));
        let coordinator = opened.map_err(|err| format!("group {}: {err}", config.name))?;
        let (orders, stop) = Stop::channel();
        let (name, group) = (config.name.clone(), coordinator.group());
        if let Some(before) = before {
            before.send_replace(Order::Finish);
            before.closed().await; // two at once would undo each other's work
        }
        group.forget_pins();
        self.group_tasks.spawn(coordinator.run(stop));
        self.teams.insert(name, Team { config, required, manner, group, orders });
        Ok(())
    }

    /// What a group takes from the configuration of its members: which are required, and how it is run.
    fn terms(&self, config: &GroupConfig, repos: &[RepoConfig]) -> (BTreeMap<String, bool>, Manner) {
        let members = || repos.iter().filter(|repo| config.members.contains(&repo.name));
        let required = members().map(|repo| (repo.name.clone(), repo.required)).collect();
        let kept = members().map(|repo| repo.config.publishing.stale_worktree_timeout).max();
        let manner = Manner {
            keep: kept.unwrap_or_default().max(SHORTEST_KEEP),
            is_durable: members().any(|repo| is_durable(&repo.config)),
            is_one_time: self.process.one_time,
        };
        (required, manner)
    }

    /// Change to another configuration; what did not change is not disturbed. The answer is its digest.
    pub(super) async fn change(&mut self, new: ManyConfig) -> Result<String, Vec<String>> {
        let faults = needs_restart(&self.process, &new.process);
        if !faults.is_empty() {
            let path = new.path.display().to_string();
            return Err(faults.into_iter().map(|fault| format!("{path}: {fault}")).collect());
        }
        self.process = new.process.clone();
        self.change_groups(&new).await.map_err(|error| vec![error])?;
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            if !new.repos.iter().any(|repo| repo.name == name) {
                self.retire(&name, Successor::Removed);
            }
        }
        for repo in new.repos {
            let team = self.teams.values().find(|team| team.config.members.contains(&repo.name));
            let group = team.map(Team::key);
            match self.slots.get(&repo.name) {
                None => {
                    info!(repo = repo.name, root = %repo.config.publishing.root.display(), "added");
                    self.start_repo(repo, Duration::ZERO);
                }
                Some(slot) if slot.is_same(&repo, group.as_ref()) => {}
                Some(_) => {
                    let name = repo.name.clone();
                    self.retire(&name, Successor::Changed(Box::new(repo)));
                }
            }
        }
        Ok(new.sha256)
    }

    /// How many repositories the configuration has.
    pub(super) fn repos(&self) -> usize {
        let is_removed = |slot: &&Slot| matches!(slot.successor, Some(Successor::Removed));
        self.slots.len() - self.slots.values().filter(is_removed).count()
    }

    /// Groups come first: members that start need them.
    async fn change_groups(&mut self, new: &ManyConfig) -> Result<(), String> {
        for config in &new.groups {
            let (required, manner) = self.terms(config, &new.repos);
            let is_same = self.teams.get(&config.name).is_some_and(|team| {
                team.config == *config && team.required == required && team.manner == manner
            });
            if !is_same {
                self.start_group(config.clone(), &new.repos).await?;
            }
        }
        let gone = |name: &String| !new.groups.iter().any(|group| group.name == *name);
        for name in self.teams.keys().filter(|name| gone(name)).cloned().collect::<Vec<_>>() {
            if let Some(team) = self.teams.remove(&name) {
                team.orders.send_replace(Order::Finish);
                self.board.remove_group(&name);
                self.removals.group(&name, SHORTEST_KEEP, &self.shelf, self.process.removed);
            }
        }
        Ok(())
    }

    /// Tell a loop to end after its sync.
    fn retire(&mut self, name: &str, successor: Successor) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.successor = Some(successor);
        slot.entry.status.stopping();
        slot.orders.send_replace(Order::Finish);
        if slot.end.is_some() {
            self.succeed(name); // it had given up
        }
    }

    /// Do what follows a loop that was told to end. False if it was not.
    pub(super) fn succeed(&mut self, name: &str) -> bool {
        let Some(successor) = self.slots.get_mut(name).and_then(|slot| slot.successor.take()) else {
            return false;
        };
        match successor {
            Successor::Changed(config) => {
                info!(repo = name, "changed");
                if self.slots[name].config.config.publishing.root != config.config.publishing.root {
                    let root = config.config.publishing.root.display();
                    info!(repo = name, %root, "it has another root now, in which everything is fetched anew");
                }
                self.start_repo(*config, Duration::ZERO);
            }
            Successor::Removed => {
                if let Some(slot) = self.slots.remove(name) {
                    self.board.remove_repo(name);
                    self.targets.remove(name);
                    self.readiness.forget(name);
                    let is_member = slot.group.is_some();
                    let keep = if is_member { SHORTEST_KEEP } else { Duration::ZERO };
                    self.removals.repository(slot.config, keep, &self.shelf, self.process.removed);
                }
            }
        }
        true
    }
}

impl Team {
    /// What makes a difference to members.
    fn key(&self) -> (String, Option<Pins>) {
        (self.config.name.clone(), self.config.pins.clone())
    }
}

impl Slot {
    fn is_same(&self, new: &RepoConfig, group: Option<&(String, Option<Pins>)>) -> bool {
        self.successor.is_none()
            && self.config.given == new.given
            && self.config.required == new.required
            && self.group.as_ref() == group
    }

    /// The commit that hooks need not be told of again under another configuration.
    fn told(&self, new: &RepoConfig) -> Option<CommitId> {
        let facts = self.entry.status.facts();
        let commit = facts.published?.info.id;
        let hooks = new.config.hooks.list.iter().filter(|hook| hook.moment() == Moment::Published);
        let mut names = hooks.map(|hook| hook.name());
        let know = names.all(|name| facts.delivered.get(name) == Some(&commit));
        (know && self.config.given.has_same_hooks(&new.given)).then_some(commit)
    }
}

/// What a running process cannot change.
fn needs_restart(old: &Process, new: &Process) -> Vec<String> {
    let Process { root, http, receive, log, group_write, sync_on_signal, one_time, max_parallel, removed: _ } =
        old;
    [
        ("root", *root != new.root),
        ("http-bind", *http != new.http),
        ("receive-bind", *receive != new.receive),
        ("log-format", *log != new.log),
        ("group-write", *group_write != new.group_write),
        ("sync-on-signal", *sync_on_signal != new.sync_on_signal),
        ("one-time", *one_time != new.one_time),
        ("max-parallel", *max_parallel != new.max_parallel),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| format!("{name}: cannot change while syncline runs; restart it"))
    .collect()
}
