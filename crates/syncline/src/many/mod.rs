//! Many repositories in one process: each has a loop of its own, and the file that lists them may change.

mod reload;
mod removal;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use sync_core::Pool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::board::Board;
use crate::clock::unix_time;
use crate::config::many::{GiveUp, ManyConfig, Process};
use crate::groups::Shelf;
use crate::receive::Targets;
use crate::run::{End, GRACE};
use crate::schedule::Exit;
use crate::shared::Shared;
use crate::signals::{Event, Signals};
use crate::stop::Order;
use crate::systemd::{Manager, Readiness};

pub use reload::Loader;

use reload::Watch;
use removal::Removals;
use slots::{Slot, Team};

/// How long to wait before a repository whose sync panicked is started anew.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// The largest share of a second by which syncs on a signal are spread.
const SPREAD: Duration = Duration::from_secs(1);

/// How the tasks of groups end: whether the hook of a one-time run succeeded.
type GroupTasks = JoinSet<bool>;

/// All repositories and groups of the process.
pub struct Supervisor {
    process: Process,
    board: Board,
    targets: Targets,
    shared: Shared,
    readiness: Readiness,
    shelf: Shelf,
    slots: BTreeMap<String, Slot>,
    teams: BTreeMap<String, Team>,
    tasks: JoinSet<(String, End)>,
    group_tasks: GroupTasks,
    removals: Removals,
}

/// Sync all repositories of a file until the work is done or a signal comes.
pub async fn run(
    config: ManyConfig,
    loader: Arc<Loader>,
    board: &Board,
    targets: Targets,
    manager: &Manager,
) -> Exit {
    let listening = Signals::listen(config.process.sync_on_signal)
        .and_then(|signals| Ok((signals, signal(SignalKind::hangup())?)));
    let (mut signals, hangups) = match listening {
        Ok(listening) => listening,
        Err(err) => {
            error!(error = %err, "cannot listen for signals");
            return Exit::Failure;
        }
    };
    let watch = Watch::new(loader, &config, hangups);
    let mut supervisor = Supervisor::new(&config, board, targets, manager);
    if let Err(error) = supervisor.start(config).await {
        error!(error, "cannot start");
        return Exit::Failure;
    }
    supervisor.work(watch, &mut signals).await
}

impl Supervisor {
    fn new(config: &ManyConfig, board: &Board, targets: Targets, manager: &Manager) -> Supervisor {
        let required = config.repos.iter().filter(|repo| repo.required);
        let required: BTreeSet<String> = required.map(|repo| repo.name.clone()).collect();
        Supervisor {
            process: config.process.clone(),
            board: board.clone(),
            targets,
            shared: Shared::new(board.pool().clone()),
            readiness: Readiness::new(manager, required),
            shelf: Shelf::new(&config.process.root),
            slots: BTreeMap::new(),
            teams: BTreeMap::new(),
            tasks: JoinSet::new(),
            group_tasks: JoinSet::new(),
            removals: Removals::default(),
        }
    }

    async fn work(mut self, mut watch: Watch, signals: &mut Signals) -> Exit {
        loop {
            if let Some(exit) = self.verdict() {
                return self.finish(exit).await;
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((name, end)) = ended
                        && self.ended(&name, end)
                    {
                        return self.stop("on-give-up", Exit::Failure).await;
                    }
                }
                loaded = watch.changed() => self.reload(watch.path(), loaded).await,
                event = signals.next() => match event {
                    Event::Shutdown(signal) => return self.stop(signal, Exit::Success).await,
                    Event::Wake => self.wake_all(),
                },
            }
        }
    }

    /// Take over another configuration, if nothing is wrong with it.
    async fn reload(&mut self, path: &Path, loaded: Result<ManyConfig, Vec<String>>) {
        let applied = match loaded {
            Ok(config) => self.change(config).await,
            Err(errors) => Err(errors),
        };
        let path = path.display();
        match applied {
            Ok(sha256) => {
                let (repos, groups) = (self.repos(), self.teams.len());
                info!(%path, repos, groups, "loaded the configuration again");
                self.board.set_config(|facts| {
                    (facts.sha256, facts.loaded_at, facts.error) = (sha256, unix_time(), None);
                });
            }
            Err(errors) => {
                let error = errors.join("; ");
                error!(%path, error, "the configuration is wrong; the last one stays in force");
                self.board.set_config(|facts| facts.error = Some(error));
            }
        }
    }

    /// A loop ended. The answer is whether the process must end, too.
    fn ended(&mut self, name: &str, end: End) -> bool {
        let Some(slot) = self.slots.get_mut(name) else { return false };
        slot.end = Some(end);
        if let Some(team) =
            self.teams.values().find(|team| team.config.members.iter().any(|member| member == name))
        {
            team.group.ended(name);
        }
        if self.succeed(name) {
            return false;
        }
        let slot = &self.slots[name];
        match end {
            End::Panicked => {
                warn!(repo = name, "starting it anew in {} s", AFTER_PANIC.as_secs());
                let config = slot.config.clone();
                self.start_repo(config, AFTER_PANIC);
                false
            }
            End::Over(Exit::Failure) if !self.process.one_time => {
                error!(repo = name, "gave up; it is not synced any more");
                slot.entry.status.gave_up();
                slot.config.on_give_up == GiveUp::Exit
            }
            _ => false,
        }
    }

    /// The exit code, once there is nothing left to do.
    fn verdict(&self) -> Option<Exit> {
        let ends = || self.slots.values().map(|slot| slot.end);
        if ends().any(|end| end.is_none()) || (self.slots.is_empty() && !self.process.one_time) {
            return None;
        }
        if !self.process.one_time {
            error!("all repositories gave up");
            return Some(Exit::Failure);
        }
        let failed = self.slots.values().filter(|slot| slot.end != Some(End::Over(Exit::Success)));
        let (required, others): (Vec<&Slot>, Vec<&Slot>) = failed.partition(|slot| slot.config.required);
        let names =
            |slots: &[&Slot]| slots.iter().map(|slot| slot.config.name.clone()).collect::<Vec<_>>().join(" ");
        if !others.is_empty() {
            warn!(repos = names(&others), "failed, but not required");
        }
        if required.is_empty() {
            return Some(Exit::Success);
        }
        error!(repos = names(&required), "failed");
        Some(Exit::Failure)
    }

    /// Wait for the hooks of groups.
    async fn finish(mut self, exit: Exit) -> Exit {
        let mut exit = exit;
        if self.process.one_time {
            while let Some(succeeded) = self.group_tasks.join_next().await {
                if !succeeded.unwrap_or(false) {
                    exit = Exit::Failure;
                }
            }
        }
        exit
    }

    /// Stop all at once. They have a moment for it, all together.
    async fn stop(mut self, signal: &'static str, exit: Exit) -> Exit {
        for slot in self.slots.values() {
            slot.orders.send_replace(Order::Shutdown(signal));
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(GRACE, all).await;
        exit
    }

    /// Start a sync of all, but not all at the same moment.
    fn wake_all(&self) {
        for slot in self.slots.values() {
            let (wake, pause) = (slot.wake.clone(), SPREAD.mul_f64(fastrand::f64()));
            tokio::spawn(async move {
                sleep(pause).await;
                wake.notify_one();
            });
        }
    }
}

/// A pool for the updates of many repositories.
pub fn pool(config: &ManyConfig, resources: sync_core::Resources) -> Pool {
    let usual = std::num::NonZeroUsize::new(resources.threads()).unwrap_or(std::num::NonZeroUsize::MIN);
    Pool::new(resources, config.process.max_parallel.unwrap_or(usual))
}

/// Each repository holds a lock, and each connection is a file: allow as many as the system does.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
