//! The tree of a file as options: which keys there are, and that each is where it belongs. What the values mean is
//! judged later, as if they had been typed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use super::faults::Faults;
use super::secrets;
use super::yaml::{Key, Node, Value, shown};
use crate::args::{Args, Given};
use crate::options::{Kind, LINK, REPO, ROOT, Row, Scope, hints, options};
use crate::origin::{Entry, Origin, Place};

/// What a file says, as far as its keys are where they belong.
#[derive(Default)]
pub struct FileEntries {
    /// Options of the process.
    pub process: Vec<Set>,
    pub repos: Vec<RepoEntry>,
    pub groups: Vec<GroupEntry>,
    /// Options at the top of which a fault is known.
    pub faulty: Vec<&'static str>,
}

/// An option that an entry sets, or unsets.
pub struct Set {
    pub option: &'static Row,
    pub place: Place,
    /// `None`: what others say of it does not count.
    pub given: Option<Given>,
}

/// A repository.
pub struct RepoEntry {
    pub name: Arc<str>,
    pub place: Place,
    pub settings: Vec<Set>,
    /// Of the same file.
    pub defaults: Arc<Vec<Set>>,
    /// Options of which a fault is known already.
    pub faulty: Vec<&'static str>,
}

/// A group, not yet judged.
pub struct GroupEntry {
    pub name: Arc<str>,
    pub place: Place,
    pub keys: Vec<(Key, Node)>,
}

/// The options of a mapping, and those of which a fault is known.
#[derive(Default)]
struct Options {
    settings: Vec<Set>,
    faulty: Vec<&'static str>,
}

/// The entries of a file; `top` is its first line.
pub fn read(root: Node, top: &Place, faults: &mut Faults) -> FileEntries {
    let mut entries = FileEntries::default();
    let Value::Map(keys) = root.value else {
        let text = "must be a mapping with the key repos; see docs/many-repositories.md";
        faults.add(&top.at(root.line), text);
        return entries;
    };
    let (mut process, mut defaults) = (Options::default(), Options::default());
    let (mut repos, mut groups) = (None, None);
    for (key, node) in keys {
        match key.text.as_str() {
            "repos" => repos = Some((key.line, node)),
            "groups" => groups = Some(node),
            "defaults" => defaults = read_options(node, &top.of(Entry::Defaults), faults),
            _ => read_option(&mut process, &key, node, &top.at(key.line), faults),
        }
    }
    let faulty = [&process.faulty[..], &defaults.faulty].concat();
    entries.faulty = process.faulty;
    let defaults = Arc::new(defaults.settings);
    entries.process = process.settings;
    match repos {
        None => faults.add(top, "has no repos; without repositories, write \"repos: {}\""),
        Some((line, Node { value: Value::Null, .. })) => {
            faults.add_to(&top.at(line), "repos", "is empty; without repositories, write \"repos: {}\"");
        }
        Some((_, node)) => {
            for (name, place, node) in named(node, top, "repos", Entry::Repo, faults) {
                let Options { settings, faulty: own } = read_options(node, &place, faults);
                let faulty = [&faulty[..], &own].concat();
                entries.repos.push(RepoEntry { name, place, settings, defaults: defaults.clone(), faulty });
            }
        }
    }
    if let Some(node) = groups {
        for (name, place, node) in named(node, top, "groups", Entry::Group, faults) {
            match node.value {
                Value::Map(keys) => entries.groups.push(GroupEntry { name, place, keys }),
                _ => faults.add(&place, "must be a mapping with the key members"),
            }
        }
    }
    entries
}

/// The entries of a mapping whose keys are names.
fn named(
    node: Node,
    top: &Place,
    what: &str,
    entry: fn(Arc<str>) -> Entry,
    faults: &mut Faults,
) -> Vec<(Arc<str>, Place, Node)> {
    let keys = match node.value {
        Value::Map(keys) => keys,
        Value::Null => Vec::new(),
        _ => {
            faults.add_to(&top.at(node.line), what, "must be a mapping from names to options");
            Vec::new()
        }
    };
    let mut entries = Vec::new();
    for (key, node) in keys {
        if !is_name(&key.text) {
            let text = "is no name: up to 63 letters from a to z, digits and hyphens, with a letter or digit at both ends";
            faults.add(&top.at(key.line), format!("{what}: {} {text}", shown(&key.text)));
            continue;
        }
        let name: Arc<str> = key.text.into();
        entries.push((name.clone(), top.of(entry(name)).at(key.line), node));
    }
    entries
}

/// Whether it is a DNS label: the name becomes a directory, a label of metrics and a part of a path.
pub fn is_name(text: &str) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes.iter().all(|byte| is_end(byte) || *byte == b'-')
}

fn read_options(node: Node, place: &Place, faults: &mut Faults) -> Options {
    let mut options = Options::default();
    match node.value {
        Value::Map(keys) => {
            for (key, node) in keys {
                read_option(&mut options, &key, node, &place.at(key.line), faults);
            }
        }
        Value::Null => {}
        _ => {
            options.faulty.push(REPO.name);
            faults.add(&place.at(node.line), "must be a mapping from options to values");
        }
    }
    options
}

fn read_option(all: &mut Options, key: &Key, node: Node, place: &Place, faults: &mut Faults) {
    let name = shown(&key.text);
    let Some(option) = options().find(|option| option.names().any(|name| name == key.text)) else {
        let meant = meant(&key.text, &place.entry);
        all.faulty.extend(meant.map(|option| option.name));
        let meant = section(&key.text, &place.entry).or(meant.map(|option| option.name));
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        return faults.add_to(place, &name, format!("unknown option{hint}"));
    };
    let is_null = matches!(node.value, Value::Null);
    let fault = misplaced(option, &place.entry, is_null).or_else(|| {
        let first = all.settings.iter().find(|set| set.option.name == option.name)?;
        Some(format!("is the same option as {} in line {}", first.name(), first.place.line))
    });
    match fault.map_or_else(|| values(option, &node), Err) {
        Ok(values) => {
            let values =
                values.filter(|values| values.iter().any(|value| !value.is_empty()) || is_list(&node));
            if let Some(leak) = values.iter().flatten().find_map(|value| secrets::leak(option, value)) {
                faults.add_to(place, &name, leak);
            }
            let origin = Origin::File(place.clone(), key.text.clone());
            let given = values.map(|values| Given { values, origin });
            all.settings.push(Set { option, place: place.clone(), given });
        }
        Err(fault) => {
            all.faulty.push(option.name);
            faults.add_to(place, &name, fault);
        }
    }
}

/// The part of a file that may be meant by an unknown key at its top.
fn section(key: &str, entry: &Entry) -> Option<&'static str> {
    match key {
        _ if *entry != Entry::Top => None,
        "repositories" | "repository" => Some("repos"),
        _ => hints::closest(key, ["repos", "groups", "defaults"].into_iter()),
    }
}

/// The option that may be meant by an unknown key.
fn meant(key: &str, entry: &Entry) -> Option<&'static Row> {
    let plain = key.trim_start_matches('-').replace('_', "-");
    let option = hints::meant(&plain)?;
    let option = match option.kind {
        Kind::Secret => options().find(|other| secrets::is_file_of(other, option))?,
        _ => option,
    };
    misplaced(option, entry, false).is_none().then_some(option)
}

/// Why an option cannot be in this part of a file.
fn misplaced(option: &Row, entry: &Entry, is_null: bool) -> Option<String> {
    let is_top = *entry == Entry::Top;
    match (option.kind, option.scope) {
        (Kind::Deprecated(Some(today), _), _) => Some(format!("is an older name; use {}", today.name)),
        (Kind::Deprecated(None, why), _) => Some(format!("is an older name: {why}")),
        (Kind::Ignored(why), _) => Some(format!("does nothing: {why}; remove it")),
        (_, Scope::Start) => Some("can only be given on the command line or in the environment".into()),
        (_, Scope::Repository) if is_top => {
            Some("is an option of a repository: write it there, or under defaults".into())
        }
        (_, Scope::Process) if !is_top => {
            Some("is an option of the process: write it at the top of the file".into())
        }
        _ if *entry == Entry::Defaults && [REPO.name, LINK.name, ROOT.name].contains(&option.name) => {
            Some("cannot be the same for all: write it in each repository".into())
        }
        (Kind::Secret, _) if !is_null => Some(secrets::misplaced(option)),
        _ => None,
    }
}

fn is_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if !items.is_empty())
}

/// The values of an option, as they would be typed; `None` for nothing.
pub fn values(option: &Row, node: &Node) -> Result<Option<Vec<OsString>>, String> {
    match (&node.value, option.kind) {
        (Value::Null, _) => Ok(None),
        // A block of text ends in a line break, which is no part of it.
        (Value::Text(text), _) => Ok(Some(vec![text.trim_end_matches(['\r', '\n']).into()])),
        (Value::List(items), _) if items.is_empty() => Ok(None),
        (Value::List(items), Kind::List(_)) => {
            texts(items).map(|texts| Some(texts.map(Into::into).collect()))
        }
        (Value::List(items), Kind::Value(form)) if form.contains(',') => {
            let texts: Vec<&str> = texts(items)?.collect();
            Ok(Some(vec![texts.join(",").into()]))
        }
        (Value::List(_), _) => Err("takes one value, not a list".into()),
        (Value::Map(_), _) => Err("must be a text, not a mapping; write it in quotation marks".into()),
    }
}

/// The texts of a list.
pub fn texts(items: &[Node]) -> Result<impl Iterator<Item = &str>, String> {
    let text = |item: &'_ Node| matches!(item.value, Value::Text(_));
    if let Some(at) = items.iter().position(|item| !text(item)) {
        return Err(format!("item {} of the list is not a text", at + 1));
    }
    Ok(items.iter().filter_map(|item| match &item.value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    }))
}

impl Set {
    fn name(&self) -> &str {
        self.given.as_ref().map_or(self.option.name, |given| given.origin.name())
    }
}

impl RepoEntry {
    /// The options of the repository: its own over the defaults of its file over `base`.
    pub fn options(&self, base: &Args) -> Args {
        let mut args = base.of_entry(self.place.clone());
        for set in self.defaults.iter().chain(&self.settings) {
            match &set.given {
                Some(given) => args.give(set.option, given.clone()),
                None => args.forget(set.option),
            }
        }
        args
    }

    /// What the file says of an option.
    pub fn given(&self) -> impl Iterator<Item = &Set> {
        self.defaults.iter().chain(&self.settings).filter(|set| set.given.is_some())
    }
}

/// Say which names are there twice, in several files or in one.
pub fn repeated<'a>(names: impl Iterator<Item = (&'a str, &'a Place)>, faults: &mut Faults) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for (name, place) in names {
        match first.get(name) {
            None => _ = first.insert(name, place),
            Some(known) => {
                let known = format!("is there already, in {}:{}", known.file, known.line);
                match place.entry {
                    Entry::Top | Entry::Defaults => faults.add_to(place, name, known),
                    Entry::Repo(_) | Entry::Group(_) => faults.add(place, known),
                }
            }
        }
    }
}
