//! Reading a range: comparators become intervals of versions.

use std::ops::Bound;

use semver::Prerelease;

use super::{Alternative, Comparator};
use crate::spec::version::{number, suffixes};

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
pub(super) fn lowest_prerelease() -> Prerelease {
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
    if operator == "!=" && !is_whole && !version.pre.is_empty() {
        return Err("needs three numbers before its prerelease here");
    }
    let (from, to) = match operator {
        "" | "=" | "!=" if is_whole => (Included(at.clone()), Included(at)),
        "!=" => (Included(lowest(at.major, at.minor, at.patch)), written.below_end(*parts)),
        ">" if is_whole => (Excluded(at), Unbounded),
        ">" => (Included(written.end(*parts).ok_or("has no version above it")?), Unbounded),
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
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

pub(super) type Fault = (usize, String);

fn trimmed(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_whitespace())
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - trimmed(self.rest()).len();
    }

    pub(super) fn alternative(mut self) -> Result<Alternative, Fault> {
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
