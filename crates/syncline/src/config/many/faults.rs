//! Everything that is wrong with a file, in the order of its lines and each fault once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use crate::origin::{Entry, Origin, Place};
use crate::reader::Note;

/// How many names an error has at most.
const MOST_NAMES: usize = 3;

/// What is wrong, and what should be changed.
#[derive(Default)]
pub struct Notes {
    pub faults: Faults,
    pub warnings: Faults,
}

/// How many faults are told at once.
const MOST_TEXTS: usize = 200;

/// Faults, or warnings.
#[derive(Default)]
pub struct Faults {
    /// A fault without a place is about the command line or the environment.
    list: Vec<(Option<Place>, String)>,
}

impl Faults {
    /// A fault of a line; `what` follows the place.
    pub fn add(&mut self, place: &Place, what: impl Display) {
        self.list.push((Some(place.clone()), format!("{place}: {what}")));
    }

    /// A fault of a key.
    pub fn add_to(&mut self, place: &Place, key: &str, what: impl Display) {
        self.add(place, format!("{key}: {what}"));
    }

    /// A fault of a value.
    pub fn add_origin(&mut self, origin: &Origin, what: impl Display) {
        self.list.push((origin.place().cloned(), format!("{origin}: {what}")));
    }

    /// A fault of what is not in a file.
    pub fn add_elsewhere(&mut self, text: impl Into<String>) {
        self.list.push((None, text.into()));
    }

    /// What the reader of options noted.
    pub fn add_note(&mut self, note: &Note) {
        let place = note.origin.as_ref().and_then(|origin| origin.place()).cloned();
        self.list.push((place, note.to_string()));
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// First what is about no line; then by files and lines.
    pub fn into_texts(mut self) -> Vec<String> {
        // The sort is stable: what was found first comes first.
        self.list.sort_by(|(a, _), (b, _)| {
            let key = |place: &Option<Place>| place.as_ref().map(|place| (place.file.clone(), place.line));
            key(a).cmp(&key(b))
        });
        let mut seen = BTreeSet::new();
        let texts = self.list.into_iter().map(|(_, text)| text);
        let mut texts: Vec<String> = texts.filter(|text| seen.insert(text.clone())).collect();
        let others = texts.len().saturating_sub(MOST_TEXTS);
        if others > 0 {
            texts.truncate(MOST_TEXTS);
            texts.push(format!("and {others} more"));
        }
        texts
    }
}

/// Notes about single repositories. What several have in common comes from the command line, the environment or the
/// defaults, and is reported once.
#[derive(Default)]
pub struct Shared {
    found: BTreeMap<String, (Note, Vec<Arc<str>>)>,
}

impl Shared {
    /// Note something about a repository.
    pub fn add(&mut self, name: &Arc<str>, note: Note) {
        let (_, names) = self.found.entry(note.to_string()).or_insert_with(|| (note, Vec::new()));
        if names.last() != Some(name) {
            names.push(name.clone());
        }
    }

    /// Report everything; `is_all` says whether these are all repositories that a note can be about.
    pub fn report(self, faults: &mut Faults, is_all: impl Fn(Option<&Place>, &[Arc<str>]) -> bool) {
        for (text, (note, names)) in self.found {
            let place = note.origin.as_ref().and_then(|origin| origin.place());
            match place {
                Some(Place { entry: Entry::Repo(_) | Entry::Group(_) | Entry::Top, .. }) => {
                    faults.add_note(&note)
                }
                _ if is_all(place, &names) => faults.add_note(&note),
                Some(place) => {
                    faults.list.push((Some(place.clone()), format!("{text} (for {})", listed(&names))))
                }
                None => faults.add_elsewhere(format!("{}: {text}", listed(&names))),
            }
        }
    }
}

/// The first names of a list, and how many others there are.
fn listed(names: &[Arc<str>]) -> String {
    match names.split_at_checked(MOST_NAMES) {
        Some((first, others)) if !others.is_empty() => {
            format!("{} and {} more", first.join(", "), others.len())
        }
        _ => names.join(", "),
    }
}
