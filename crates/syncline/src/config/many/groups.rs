//! Groups: which repositories appear together, and when.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::entries::{GroupEntry, texts, values};
use super::faults::Faults;
use super::yaml::{Key, Node, Value, shown};
use crate::args::{Args, Given};
use crate::environment::Environment;
use crate::hooks::{self, ExecHook};
use crate::options::{
    EXECHOOK_ARG, EXECHOOK_BACKOFF, EXECHOOK_COMMAND, EXECHOOK_TIMEOUT, Incomplete, Row, hints,
    values as parse,
};
use crate::origin::{Origin, Place};
use crate::reader::OptionReader;

/// Repositories that appear together.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupConfig {
    /// A DNS label; no repository has it.
    pub name: String,
    /// The names of repositories, in the order of the file.
    pub members: Vec<String>,
    /// How long to wait for another member once one has something new.
    pub settle: Duration,
    /// The longest time to wait; not shorter than `settle`.
    pub max_wait: Duration,
    /// What to do about a member that is not ready by then.
    pub incomplete: Incomplete,
    /// The file that says which commits belong together, if there is one.
    pub pins: Option<Pins>,
    /// The program to run after each publication.
    pub exechook: Option<ExecHook>,
}

/// A file that says which commits belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The member whose tree has the file.
    pub from: String,
    /// Relative to its tree.
    pub file: PathBuf,
}

/// The options of the hook of a group.
const HOOK: [&Row; 4] =
    [EXECHOOK_COMMAND.row(), EXECHOOK_ARG.row(), EXECHOOK_TIMEOUT.row(), EXECHOOK_BACKOFF.row()];

const KEYS: [&str; 5] = ["members", "settle", "max-wait", "incomplete", "pins"];

/// A group that is judged, and where its members are named.
pub struct Judged {
    pub config: GroupConfig,
    pub place: Place,
    /// The options of the hook that the file gives.
    pub hook: Vec<Origin>,
    pub members: Vec<(Arc<str>, Place)>,
}

/// What a group means; `repos` are the names that there are.
pub fn judge(
    entry: &GroupEntry,
    repos: &[Arc<str>],
    environment: &Environment,
    faults: &mut Faults,
) -> Judged {
    let mut group = Group { entry, faults };
    group.refuse_unknown_keys();
    let members = group.members(repos);
    let settle = group.value("settle", parse::duration).unwrap_or(Duration::from_secs(2));
    let max_wait = group.value("max-wait", parse::duration).unwrap_or(Duration::from_secs(30));
    if max_wait < settle {
        let key = if group.get("max-wait").is_some() { "max-wait" } else { "settle" };
        group.fault(key, "max-wait must not be shorter than settle (if it is not given, it is 30s)");
    }
    let incomplete = group.value("incomplete", Incomplete::from_str).unwrap_or(Incomplete::Hold);
    let pins = group.pins(&members);
    let (exechook, hook) = group.hook(environment);
    let config = GroupConfig {
        name: entry.name.to_string(),
        members: members.iter().map(|(name, _)| name.to_string()).collect(),
        settle,
        max_wait,
        incomplete,
        pins,
        exechook,
    };
    Judged { config, place: entry.place.clone(), hook, members }
}

/// A group that is read.
struct Group<'a> {
    entry: &'a GroupEntry,
    faults: &'a mut Faults,
}

impl<'a> Group<'a> {
    fn get(&self, key: &str) -> Option<(&'a Key, &'a Node)> {
        let (key, node) = self.entry.keys.iter().find(|(known, _)| known.text == key)?;
        (!matches!(node.value, Value::Null)).then_some((key, node))
    }

    /// A fault of a key, where it is, or where it should be.
    fn fault(&mut self, key: &str, what: &str) {
        let place = match self.get(key) {
            Some((found, _)) => self.entry.place.at(found.line),
            None => self.entry.place.clone(),
        };
        self.faults.add_to(&place, key, what);
    }

    fn refuse_unknown_keys(&mut self) {
        let known = || KEYS.into_iter().chain(HOOK.iter().map(|option| option.name));
        for (key, _) in self.entry.keys.iter().filter(|(key, _)| known().all(|known| known != key.text)) {
            let place = self.entry.place.at(key.line);
            let hint = hints::closest(&key.text, known()).map(|meant| format!("; did you mean {meant}?"));
            let text = format!("groups have no such key{}", hint.unwrap_or_default());
            self.faults.add_to(&place, &shown(&key.text), text);
        }
    }

    /// The value of a key, if it has one that can be read.
    fn value<T, E: ToString>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let (_, node) = self.get(key)?;
        let value = match &node.value {
            Value::Text(text) => read(text).map_err(|error| error.to_string()),
            _ => Err("must be a text".into()),
        };
        value.map_err(|error| self.fault(key, &error)).ok()
    }

    fn members(&mut self, repos: &[Arc<str>]) -> Vec<(Arc<str>, Place)> {
        let Some((_, Node { value: Value::List(items), .. })) = self.get("members") else {
            self.fault("members", "must be a list of names of repositories");
            return Vec::new();
        };
        if let Err(error) = texts(items).map(drop) {
            self.fault("members", &error);
        }
        let mut members: Vec<(Arc<str>, Place)> = Vec::new();
        for item in items {
            let Value::Text(name) = &item.value else { continue };
            let place = self.entry.place.at(item.line);
            if members.iter().any(|(known, _)| **known == **name) {
                self.faults.add_to(&place, "members", format!("{} is there twice", shown(name)));
            } else if let Some(name) = repos.iter().find(|known| ***known == **name) {
                members.push((name.clone(), place));
            } else {
                let meant = hints::closest(name, repos.iter().map(|name| &**name));
                let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                let text = format!("there is no repository {}{hint}", shown(name));
                self.faults.add_to(&place, "members", text);
            }
        }
        if items.is_empty() {
            self.fault("members", "needs at least one repository");
        }
        members
    }

    fn pins(&mut self, members: &[(Arc<str>, Place)]) -> Option<Pins> {
        let (key, node) = self.get("pins")?;
        let Value::Map(keys) = &node.value else {
            self.fault("pins", "must be a mapping with the keys from and file");
            return None;
        };
        let mut given: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, node) in keys {
            let place = self.entry.place.at(key.line);
            match (key.text.as_str(), &node.value) {
                ("from" | "file", Value::Text(text)) => _ = given.insert(&key.text, text),
                ("from" | "file", _) => {
                    self.faults.add_to(&place, &format!("pins: {}", key.text), "must be a text")
                }
                _ => {
                    let text = "pins have no such key; there are from and file";
                    self.faults.add_to(&place, &format!("pins: {}", shown(&key.text)), text);
                }
            }
        }
        let place = self.entry.place.at(key.line);
        let (Some(from), Some(file)) = (given.get("from"), given.get("file")) else {
            self.faults.add_to(&place, "pins", "needs from (a member) and file (a path in its tree)");
            return None;
        };
        if !members.iter().any(|(name, _)| **name == **from) {
            self.faults.add_to(&place, "pins", format!("from: {} is no member of the group", shown(from)));
        }
        if !is_inside(Path::new(file)) {
            let text = "file: must be a path in the tree, relative and without ..";
            self.faults.add_to(&place, "pins", text);
        }
        Some(Pins { from: (*from).to_owned(), file: file.into() })
    }

    /// The hook, as the same options of a repository make one.
    fn hook(&mut self, environment: &Environment) -> (Option<ExecHook>, Vec<Origin>) {
        let mut args = Args::default().of_entry(self.entry.place.clone());
        let mut origins = Vec::new();
        for option in HOOK {
            let Some((key, node)) = self.get(option.name) else { continue };
            let origin = Origin::File(self.entry.place.at(key.line), key.text.clone());
            match values(option, node) {
                Ok(Some(values)) => args.give(option, Given { values, origin: origin.clone() }),
                Ok(None) => continue,
                Err(error) => self.fault(option.name, &error),
            }
            origins.push(origin);
        }
        let Ok(mut r) = OptionReader::new(&args, environment) else { return (None, origins) };
        let hook = hooks::exechook(&mut r);
        if !r.is_set(&EXECHOOK_COMMAND) {
            r.error_each(&HOOK[1..], "needs exechook-command");
        }
        let (errors, _) = r.into_notes();
        errors.iter().for_each(|note| self.faults.add_note(note));
        (hook, origins)
    }
}

/// Whether a path stays in the directory that it starts from, and names something in it.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.file_name().is_some()
}
