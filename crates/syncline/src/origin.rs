//! Where the value of an option came from, as errors name it.

use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line, by the name that was typed: `--period`.
    CommandLine(String),
    /// The environment, by the variable: `GITSYNC_PERIOD`.
    Environment(String),
    /// A file of many repositories, by the place and the key: `period`.
    File(Place, String),
}

/// A line of a file of many repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as errors show it.
    pub file: Arc<str>,
    /// The first one is 1.
    pub line: usize,
    /// What the line is about.
    pub entry: Entry,
}

/// A part of a file of many repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The file itself, and what it says of the process.
    Top,
    /// What holds for all repositories of the file.
    Defaults,
    /// A repository, by its name.
    Repo(Arc<str>),
    /// A group, by its name.
    Group(Arc<str>),
}

impl Origin {
    /// The option in the words of the place where it was given.
    pub fn name(&self) -> &str {
        match self {
            Origin::CommandLine(name) | Origin::Environment(name) | Origin::File(_, name) => name,
        }
    }

    /// How an error of another option speaks of it.
    pub fn mention(&self) -> String {
        match self {
            Origin::File(place, name) => format!("{name} in line {}", place.line),
            _ => self.name().to_owned(),
        }
    }

    /// The line of a file, if it came from one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Origin::File(place, _) => Some(place),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(place, name) => write!(f, "{place}: {name}"),
            _ => f.write_str(self.name()),
        }
    }
}

impl Place {
    /// The same part of the same file, in another line.
    #[must_use]
    pub fn at(&self, line: usize) -> Place {
        Place { line, ..self.clone() }
    }

    /// Another part of the same file.
    #[must_use]
    pub fn of(&self, entry: Entry) -> Place {
        Place { entry, ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match &self.entry {
            Entry::Top => Ok(()),
            Entry::Defaults => f.write_str(": defaults"),
            Entry::Repo(name) | Entry::Group(name) => write!(f, ": {name}"),
        }
    }
}
