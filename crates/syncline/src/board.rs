//! What is known of all repositories of the process. The loops write it; the HTTP server and the service manager's
//! reports read it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::{CommitId, Pool, Progress};
use tokio::sync::Notify;

use crate::status::{Facts, Status};

/// Clones are the same board.
#[derive(Clone, Debug)]
pub struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether repositories have names.
    is_many: bool,
    pool: Pool,
    /// What concerns no repository.
    process: Status,
    state: Mutex<State>,
    /// Notified when a group shows something else.
    flips: Notify,
}

#[derive(Debug, Default)]
struct State {
    repos: BTreeMap<String, Entry>,
    groups: BTreeMap<String, GroupFacts>,
    config: ConfigFacts,
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Entry {
    pub status: Status,
    pub progress: Progress,
    /// Whether the process is ready only if it is.
    pub is_required: bool,
    /// The age of the last success beyond which it is not ready; zero for never.
    pub readyz_max_age: Duration,
}

/// A group. Times are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct GroupFacts {
    /// The name of the generation.
    pub shown: Option<String>,
    /// The commits in it, by the names of members.
    pub members: BTreeMap<String, CommitId>,
    /// When this process showed it.
    pub flipped_at: Option<f64>,
    pub flips: u64,
    /// Why the newest set is not shown.
    pub error: Option<String>,
}

/// The file of the repositories.
#[derive(Clone, Debug, Default)]
pub struct ConfigFacts {
    pub path: PathBuf,
    pub sha256: String,
    pub loaded_at: f64,
    /// What is wrong with a newer one.
    pub error: Option<String>,
}

impl Entry {
    pub fn new(status: Status, is_required: bool, readyz_max_age: Duration) -> Entry {
        Entry { progress: status.progress(), status, is_required, readyz_max_age }
    }

    /// How old the last success may be.
    fn limit(&self, facts: &Facts) -> Duration {
        self.readyz_max_age.saturating_add(facts.seldom())
    }

    /// Why it is not ready, if it is not, and what the last attempt failed of.
    pub fn unready(&self) -> Option<String> {
        self.status.read(|facts| {
            let reason = self.reason(facts)?;
            let error = facts.last_error().map(|error| format!("; the last attempt: {error}"));
            Some(reason + &error.unwrap_or_default())
        })
    }

    fn reason(&self, facts: &Facts) -> Option<String> {
        if facts.has_given_up {
            return Some(format!("it gave up after {} failures", facts.consecutive_failures));
        }
        let seconds = |age: Duration| humantime::format_duration(Duration::from_secs(age.as_secs()));
        let is_old = |age: Duration| !self.readyz_max_age.is_zero() && age > self.limit(facts);
        let limit = seconds(self.limit(facts));
        let observed = facts.relay.as_ref().and_then(|relay| relay.shown().age());
        if let Some(age) = observed.filter(|age| is_old(*age)) {
            let age = seconds(age);
            return Some(format!(
                "a feeder saw the git server {age} ago, more than {limit}; do the feeders run?"
            ));
        }
        match facts.age() {
            None => Some("nothing was synced yet".into()),
            Some(age) if is_old(age) => {
                Some(format!("the last success was {} ago, more than {limit}", seconds(age)))
            }
            Some(_) => None,
        }
    }
}

impl Board {
    /// Of a process with one repository, which has no name.
    pub fn of_one(entry: Entry) -> Board {
        let repos = BTreeMap::from([(String::new(), entry)]);
        Board::new(false, Pool::default(), State { repos, ..State::default() })
    }

    /// Of a process with many repositories, whose names are added later.
    pub fn of_many(pool: &Pool) -> Board {
        Board::new(true, pool.clone(), State::default())
    }

    fn new(is_many: bool, pool: Pool, state: State) -> Board {
        let (process, flips) = (Status::default(), Notify::new());
        Board(Arc::new(Shared { is_many, pool, process, state: Mutex::new(state), flips }))
    }

    pub fn is_many(&self) -> bool {
        self.0.is_many
    }

    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// What concerns no repository of many; the only one has it in its own.
    pub fn process(&self) -> &Status {
        &self.0.process
    }

    pub fn repos(&self) -> Vec<(String, Entry)> {
        self.lock().repos.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    pub fn repo(&self, name: &str) -> Option<Entry> {
        self.lock().repos.get(name).cloned()
    }

    pub fn set_repo(&self, name: &str, entry: Entry) {
        self.lock().repos.insert(name.to_owned(), entry);
    }

    pub fn remove_repo(&self, name: &str) {
        self.lock().repos.remove(name);
    }

    pub fn groups(&self) -> BTreeMap<String, GroupFacts> {
        self.lock().groups.clone()
    }

    /// Change what is known of a group.
    pub fn group(&self, name: &str, change: impl FnOnce(&mut GroupFacts)) {
        change(self.lock().groups.entry(name.to_owned()).or_default());
        self.0.flips.notify_waiters();
    }

    pub fn remove_group(&self, name: &str) {
        self.lock().groups.remove(name);
    }

    pub fn config(&self) -> ConfigFacts {
        self.lock().config.clone()
    }

    pub fn set_config(&self, change: impl FnOnce(&mut ConfigFacts)) {
        change(&mut self.lock().config);
    }

    /// What a group shows, as soon as that is another generation than `seen`. `None` if there is no such group.
    pub async fn wait_for_flip(&self, name: &str, seen: Option<&str>) -> Option<GroupFacts> {
        loop {
            let told = self.0.flips.notified(); // from here on, no notification is missed
            let facts = self.lock().groups.get(name).cloned()?;
            if facts.shown.as_ref().is_some_and(|shown| Some(shown.as_str()) != seen) {
                return Some(facts);
            }
            told.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
