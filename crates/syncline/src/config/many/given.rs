//! The options that a repository was made from, to be compared with those of a file that is read again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use crate::args::Args;
use crate::options::{Kind, Row, Scope, WEBHOOK_URL, options};
use crate::origin::Origin;

/// The options of a repository, as they were given. Two that are equal mean the same to one process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GivenOptions(BTreeMap<&'static str, Values>);

#[derive(Clone, PartialEq, Eq)]
struct Values {
    list: Box<[OsString]>,
    /// A variable has a list of paths as one value.
    is_joined: bool,
}

impl GivenOptions {
    /// Those that are not of the process.
    pub(super) fn new(args: &Args) -> GivenOptions {
        let own = args.all().filter_map(|(name, given)| Some((row(name)?, given)));
        let own = own.filter(|(option, _)| is_of_repository(option));
        let values = own.map(|(option, given)| {
            let is_joined = option.is_list() && matches!(given.origin, Origin::Environment(_));
            (option.name, Values { list: given.values.as_slice().into(), is_joined })
        });
        GivenOptions(values.collect())
    }

    /// Whether the hooks are the same. A webhook is told the source, and uses the settings of connections.
    pub fn has_same_hooks(&self, other: &Self) -> bool {
        let topics: &[&str] = match self.0.contains_key(WEBHOOK_URL.name) {
            true => &["Hooks", "Connection", "Source"],
            false => &["Hooks"],
        };
        let names = self.0.keys().chain(other.0.keys());
        let mut counted = names.filter(|name| row(name).is_some_and(|row| topics.contains(&topic(row))));
        counted.all(|name| self.0.get(name) == other.0.get(name))
    }
}

/// Only names: values may be secret.
impl fmt::Debug for GivenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn row(name: &str) -> Option<&'static Row> {
    options().find(|option| option.name == name)
}

fn is_of_repository(option: &Row) -> bool {
    let today = match option.kind {
        Kind::Deprecated(Some(today), _) => today,
        _ => option,
    };
    matches!(today.scope, Scope::Repository | Scope::Both)
}

/// The topic of an option, or of what it is an older name of.
fn topic(option: &Row) -> &'static str {
    match option.kind {
        Kind::Deprecated(Some(today), _) => today.topic,
        _ => option.topic,
    }
}
