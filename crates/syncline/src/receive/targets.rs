//! The repositories that hooks may be for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::PushConfig;
use super::matching::Rules;
use super::pushes::Pushes;
use crate::status::Status;

/// Those of the process, by their names; one without others has an empty name. Clones are the same.
#[derive(Clone, Debug)]
pub struct Targets {
    is_on: bool,
    all: Arc<Mutex<BTreeMap<String, Target>>>,
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Target {
    pub rules: Arc<Rules>,
    pub pushes: Pushes,
    pub status: Status,
}

impl Targets {
    /// None yet. If hooks are not taken, none ever.
    pub fn new(is_on: bool) -> Targets {
        Targets { is_on, all: Arc::default() }
    }

    /// Add a repository, or change what is known of it.
    pub fn set(&self, name: &str, config: &PushConfig, status: &Status) -> Option<Pushes> {
        if !self.is_on {
            return None;
        }
        status.expects_pushes();
        let pushes = Pushes::new(config.terms, status);
        let rules = Arc::new(config.rules.clone());
        self.lock().insert(name.to_owned(), Target { rules, pushes: pushes.clone(), status: status.clone() });
        Some(pushes)
    }

    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The repository of this name, or all of them.
    pub fn named(&self, name: Option<&str>) -> Vec<(String, Target)> {
        let all = self.lock();
        let wanted = all.iter().filter(|(known, _)| name.is_none_or(|name| name == known.as_str()));
        wanted.map(|(name, target)| (name.clone(), target.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Target>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
