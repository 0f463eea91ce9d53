//! Ranges of versions, with the meaning that Masterminds/semver v3 gives them, and so Flux, Argo CD and Helm.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use semver::Prerelease;

use super::version::{Version, number, suffixes};
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

/// How many of the numbers of a version were written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Parts {
    None,
    Major,
    Minor,
    All,
}

/// A version in a range; numbers that were not written are zero.
struct Written {
    version: semver::Version,
    parts: Parts,
}

impl Written {
    fn parse(text: &str) -> Result<Written, &'static str> {
        const NO_VERSION: &str = "is not a version such as 1.2.3, 1.2 or 1.x";
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
        let written: Vec<&str> = numbers.split('.').collect();
        let is_wildcard = |part: &&str| ["x", "X", "*"].contains(part);
        // What follows a wildcard counts as one, too.
        let known = written.iter().position(&is_wildcard).unwrap_or(written.len());
        let (digits, wildcards) = written.split_at(known);
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if written.len() > 3 || !digits.iter().all(is_number) {
            return Err(NO_VERSION);
        }
        if !wildcards.iter().all(|part| is_wildcard(part) || is_number(part)) {
            return Err(NO_VERSION);
        }
        let parts = [Parts::None, Parts::Major, Parts::Minor, Parts::All][known];
        let mut numbers = [0; 3];
        for (place, part) in numbers.iter_mut().zip(digits) {
            *place = number(part).ok_or("has a number above 18446744073709551615")?;
        }
        let [major, minor, patch] = numbers;
        let (pre, build) = suffixes(rest).ok_or("has no valid prerelease or build data")?;
        Ok(Written { version: semver::Version { major, minor, patch, pre, build }, parts })
    }

    /// The lowest version above all that begin with these numbers; `None` if there is none.
    fn end(&self, parts: Parts) -> Option<semver::Version> {
        let semver::Version { major, minor, patch, .. } = self.version;
        let next_major = || Some((major.checked_add(1)?, 0, 0));
        let next_minor = || Some((major, minor.checked_add(1)?, 0));
        let next_patch = || Some((major, minor, patch.checked_add(1)?));
        let next = match parts {
            Parts::None => None,
            Parts::Major => next_major(),
            Parts::Minor => next_minor().or_else(next_major),
            Parts::All => next_patch().or_else(next_minor).or_else(next_major),
        };
        next.map(|(major, minor, patch)| lowest(major, minor, patch))
    }

    fn below_end(&self, parts: Parts) -> Bound<semver::Version> {
        self.end(parts).map_or(Bound::Unbounded, Bound::Excluded)
    }
}

/// The prerelease below all others.
fn lowest_prerelease() -> Prerelease {
    Prerelease::new("0").unwrap_or_default()
}

fn lowest(major: u64, minor: u64, patch: u64) -> semver::Version {
    semver::Version { pre: lowest_prerelease(), ..semver::Version::new(major, minor, patch) }
}

/// All operators; of those that begin alike, the longer ones come first.
const OPERATORS: [&str; 11] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];

fn comparator(operator: &str, written: &Written) -> Result<Comparator, &'static str> {
    use Bound::{Excluded, Included, Unbounded};
    let Written { version, parts } = written;
    let is_lowest = (version.major, version.minor, version.patch) == (0, 0, 0);
    let (at, is_whole) = (version.clone(), *parts == Parts::All);
    if *parts == Parts::None && matches!(operator, "!=" | ">" | "<" | "<=" | "=<" | "^") {
        return Err("cannot be compared with like this; write * alone");
    }
    let (from, to) = match operator {
        "" | "=" | "!=" if is_whole => (Included(at.clone()), Included(at)),
        "!=" => (Included(lowest(at.major, at.minor, at.patch)), written.below_end(*parts)),
        ">" if is_whole => (Excluded(at), Unbounded),
        ">" => (Included(written.end(*parts).ok_or("is above all versions")?), Unbounded),
        ">=" | "=>" => (Included(at), Unbounded),
        "<" => (Unbounded, Excluded(at)),
        "<=" | "=<" if is_whole => (Unbounded, Included(at)),
        "<=" | "=<" => (Unbounded, written.below_end(*parts)),
        "^" if at.major > 0 || *parts == Parts::Major => (Included(at), written.below_end(Parts::Major)),
        "^" if at.minor > 0 || *parts == Parts::Minor => (Included(at), written.below_end(Parts::Minor)),
        "^" => (Included(at), written.below_end(Parts::All)),
        // ~, ~>, and without an operator where numbers are left out. ~0.0.0 takes what ~* takes.
        _ if is_lowest && (is_whole || *parts == Parts::None) => (Included(at), Unbounded),
        _ => (Included(at), written.below_end((*parts).min(Parts::Minor))),
    };
    Ok(Comparator { from, to, is_negated: operator == "!=" })
}

/// Reads one alternative. Faults are an offset into it and what is wrong there.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

type Fault = (usize, String);

fn trimmed(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_whitespace())
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - trimmed(self.rest()).len();
    }

    fn alternative(mut self) -> Result<Alternative, Fault> {
        let (mut comparators, mut takes_prereleases) = (Vec::new(), false);
        self.skip_space();
        let mut needs_more = false; // after a comma
        while needs_more || !self.rest().is_empty() {
            let found = self.rest();
            let operator = OPERATORS.into_iter().find(|operator| found.starts_with(operator)).unwrap_or("");
            self.at += operator.len();
            self.skip_space();
            let mut pairs = vec![(operator, self.version()?)];
            if operator.is_empty() && self.takes_hyphen() {
                pairs[0].0 = ">=";
                pairs.push(("<=", self.version()?));
            }
            for (operator, (start, written)) in pairs {
                takes_prereleases |= !written.version.pre.is_empty();
                comparators.push(comparator(operator, &written).map_err(|fault| self.fault(start, fault))?);
            }
            needs_more = self.separator()?;
        }
        if comparators.is_empty() {
            let all = Written { version: semver::Version::new(0, 0, 0), parts: Parts::None };
            comparators.push(comparator("", &all).map_err(|fault| (0, fault.to_owned()))?);
        }
        Ok(Alternative { comparators, takes_prereleases })
    }

    /// A version, and where it starts.
    fn version(&mut self) -> Result<(usize, Written), Fault> {
        let start = self.at;
        let is_part = |c: char| c.is_ascii_alphanumeric() || ".+*-".contains(c);
        let length = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        self.at += length;
        match (length, self.text[start + length..].chars().next()) {
            (0, None) => Err((start, "a version is missing".into())),
            (0, Some(c)) => Err((start, format!("{c:?} is not part of a version"))),
            _ => Ok((
                start,
                Written::parse(&self.text[start..self.at]).map_err(|fault| self.fault(start, fault))?,
            )),
        }
    }

    fn fault(&self, start: usize, fault: &str) -> Fault {
        let version = self.text[start..].split([' ', ',']).next().unwrap_or_default();
        (start, format!("{version:?} {fault}"))
    }

    /// Go past a hyphen between two versions, which has white space on both sides.
    fn takes_hyphen(&mut self) -> bool {
        let rest = trimmed(self.rest());
        let is_hyphen = rest.len() < self.rest().len()
            && rest.strip_prefix('-').is_some_and(|after| trimmed(after).len() < after.len());
        if is_hyphen {
            self.skip_space();
            self.at += 1;
            self.skip_space();
        }
        is_hyphen
    }

    /// Go past what separates two comparators. The answer is whether it is a comma, so that another must follow.
    fn separator(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        self.skip_space();
        let has_comma = self.rest().starts_with(',');
        if has_comma {
            self.at += 1;
            self.skip_space();
        }
        match self.rest().chars().next() {
            Some(c) if self.at == start => Err((start, format!("{c:?} must not follow a version"))),
            _ => Ok(has_comma),
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
            let alternative = Scanner { text: part, at: 0 }.alternative().map_err(|(at, fault)| {
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
