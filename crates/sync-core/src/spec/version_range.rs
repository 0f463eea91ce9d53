//! Ranges of versions, with the meaning that Masterminds/semver v3 gives them, and so Flux, Argo CD and Helm.

mod parse;

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use parse::{Scanner, lowest_prerelease};

use super::version::Version;
use crate::error::ParseError;

/// A range of versions, such as `>=1.0.0 <2.0.0`, `~3.1`, `^1 || 2.5.x` or `*`.
///
/// A range means what it means to Flux, Argo CD and Helm, which use Masterminds/semver v3:
///
/// - Comparators side by side, or with a comma between them, must all take a version; of alternatives with `||`
///   between them one is enough.
/// - Operators are `=`, `!=`, `>`, `<`, `>=`, `<=`, `~` (the same minor version) and `^` (the same major version; below
///   1.0.0 the same minor version). `1.2 - 1.4` stands for `>=1.2 <=1.4`.
/// - A number that is left out, or `x` or `*`, stands for all: `1.2` takes every `1.2.x`, and `>1.2` begins at 1.3.0.
/// - Prereleases are taken only if a comparator of the same alternative has one: `*-0` takes all versions.
///
/// ```
/// use sync_core::VersionRange;
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// let range: VersionRange = ">=1.2 <3 || 4.0.x".parse()?;
/// assert!(range.contains(&"v2.9.0".parse()?) && range.contains(&"4.0.1".parse()?));
/// assert!(!range.contains(&"3.0.0".parse()?) && !range.contains(&"2.0.0-rc.1".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VersionRange {
    /// As it was written.
    text: String,
    alternatives: Vec<Alternative>,
}

/// Comparators that must all take a version.
#[derive(Clone, Debug)]
struct Alternative {
    comparators: Vec<Comparator>,
    takes_prereleases: bool,
}

/// An interval of versions, or all versions but these.
#[derive(Clone, Debug)]
struct Comparator {
    from: Bound<semver::Version>,
    to: Bound<semver::Version>,
    is_negated: bool,
}

/// The versions of one major version, or of one minor version of it.
pub(super) type Line = (u64, Option<u64>);

impl VersionRange {
    /// The longest text that is read, in bytes.
    pub const MAX_SIZE: usize = 1024;

    /// Whether it takes a version.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|alternative| alternative.contains(version))
    }

    /// Whether it takes all versions of a kind from some version on, and this one is below.
    pub(super) fn is_above(&self, version: &Version) -> bool {
        self.alternatives.iter().all(|alternative| {
            alternative
                .comparators
                .iter()
                .any(|comparator| !comparator.is_negated && comparator.is_above(version))
        })
    }

    /// The lines that hold all versions of the range; `None` if they are too many to name.
    pub(super) fn lines(&self) -> Option<Vec<Line>> {
        let lines: Option<Vec<Vec<Line>>> = self.alternatives.iter().map(Alternative::lines).collect();
        lines.map(|lines| lines.concat())
    }
}

impl Alternative {
    fn contains(&self, version: &Version) -> bool {
        (self.takes_prereleases || !version.is_prerelease())
            && self.comparators.iter().all(|comparator| comparator.contains(version))
    }

    /// `None` if they are too many; an empty list if it takes no version.
    fn lines(&self) -> Option<Vec<Line>> {
        /// How many major versions are named one by one.
        const MOST: u64 = 16;
        let intervals = || self.comparators.iter().filter(|comparator| !comparator.is_negated);
        let first = intervals().map(Comparator::first_line).max().unwrap_or_default();
        let last = intervals().map(|interval| interval.last_line(self.takes_prereleases)).min();
        let (Some(last), first) = (last.unwrap_or(Some((u64::MAX, u64::MAX))), first) else {
            return Some(vec![]);
        };
        if first > last {
            return Some(vec![]);
        }
        if first == last {
            return Some(vec![(first.0, Some(first.1))]);
        }
        (last.0 - first.0 < MOST).then(|| (first.0..=last.0).map(|major| (major, None)).collect())
    }
}

impl Comparator {
    fn contains(&self, version: &Version) -> bool {
        let version = &version.0;
        let is_from = match &self.from {
            Bound::Included(from) => version.cmp_precedence(from).is_ge(),
            Bound::Excluded(from) => version.cmp_precedence(from).is_gt(),
            Bound::Unbounded => true,
        };
        let is_to = match &self.to {
            Bound::Included(to) => version.cmp_precedence(to).is_le(),
            Bound::Excluded(to) => version.cmp_precedence(to).is_lt(),
            Bound::Unbounded => true,
        };
        (is_from && is_to) != self.is_negated
    }

    fn is_above(&self, version: &Version) -> bool {
        match &self.from {
            Bound::Included(from) | Bound::Excluded(from) => version.0.cmp_precedence(from).is_lt(),
            Bound::Unbounded => false,
        }
    }

    /// The major and minor version below which it takes nothing.
    fn first_line(&self) -> (u64, u64) {
        match &self.from {
            Bound::Included(from) | Bound::Excluded(from) => (from.major, from.minor),
            Bound::Unbounded => (0, 0),
        }
    }

    /// The major and minor version above which it takes nothing; `None` if it takes nothing at all.
    fn last_line(&self, takes_prereleases: bool) -> Option<(u64, u64)> {
        match &self.to {
            Bound::Unbounded => Some((u64::MAX, u64::MAX)),
            // Nothing of its line is below the lowest prerelease; of releases, nothing is below patch 0.
            Bound::Excluded(to) if to.patch == 0 && (!takes_prereleases || to.pre == lowest_prerelease()) => {
                match (to.major, to.minor) {
                    (0, 0) => None,
                    (major, 0) => Some((major - 1, u64::MAX)),
                    (major, minor) => Some((major, minor - 1)),
                }
            }
            Bound::Included(to) | Bound::Excluded(to) => Some((to.major, to.minor)),
        }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Ranges are equal if they were written alike.
impl PartialEq for VersionRange {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VersionRange {}

impl FromStr for VersionRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX_SIZE {
            return Err(format!("is longer than {} bytes", Self::MAX_SIZE).into());
        }
        let (mut alternatives, mut start) = (Vec::new(), 0);
        for part in text.split("||") {
            let alternative = Scanner::new(part).alternative().map_err(|(at, fault)| {
                let column = text[..start + at].chars().count() + 1;
                format!("{text:?} is not a version range: column {column}: {fault}")
            })?;
            alternatives.push(alternative);
            start += part.len() + "||".len();
        }
        Ok(VersionRange { text: text.to_owned(), alternatives })
    }
}

#[cfg(test)]
mod tests;
