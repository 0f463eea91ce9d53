//! Patterns of reference names, and the order of names that hold numbers.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use gix::glob::wildmatch::Mode;

use crate::error::ParseError;

pub(super) const TAGS: &str = "refs/tags/";

/// A pattern of full reference names, such as `refs/tags/nightly-*` or `refs/changes/34/1234/*`.
///
/// `*` stands for any text, also with slashes, `?` for one character, and `[a-z]` for one of a set. A pattern that does
/// not begin with `refs/` is one of tags.
///
/// ```
/// use sync_core::RefPattern;
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// assert_eq!("nightly-*".parse::<RefPattern>()?.to_string(), "refs/tags/nightly-*");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefPattern(String);

impl RefPattern {
    /// The longest pattern, in bytes, and its wildcards. Larger ones could make matching slow.
    const MAX_SIZE: usize = 1024;
    const MOST_WILDCARDS: usize = 16;

    /// Whether it matches tags only.
    #[must_use]
    pub fn is_of_tags(&self) -> bool {
        self.beginning().starts_with(TAGS)
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        // Without the mode for paths, a wildcard never makes an earlier one try again: time grows with the product of
        // both lengths at most.
        gix::glob::wildmatch(self.0.as_str().into(), name.into(), Mode::empty())
    }

    /// What stands before the first wildcard.
    pub(super) fn beginning(&self) -> &str {
        self.0.split(['*', '?', '[']).next().unwrap_or_default()
    }
}

impl fmt::Display for RefPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RefPattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX_SIZE {
            return Err(format!("is longer than {} bytes", Self::MAX_SIZE).into());
        }
        if text.matches(['*', '?', '[']).count() > Self::MOST_WILDCARDS {
            return Err(format!("has more than {} wildcards", Self::MOST_WILDCARDS).into());
        }
        let full = if text.starts_with("refs/") { text.to_owned() } else { format!("{TAGS}{text}") };
        let sample = sample(&full).ok_or_else(|| format!("{text:?} has a [ without its ]"))?;
        if gix::validate::reference::name(sample.as_str().into()).is_err() {
            return Err(
                format!("{text:?} matches no valid reference name (see git-check-ref-format(1))").into()
            );
        }
        Ok(RefPattern(full))
    }
}

/// The pattern with a letter in place of every wildcard; `None` if a set has no end.
fn sample(pattern: &str) -> Option<String> {
    let (mut sample, mut rest) = (String::new(), pattern);
    while let Some(at) = rest.find(['*', '?', '[']) {
        sample.push_str(&rest[..at]);
        sample.push('x');
        rest = match rest[at..].strip_prefix('[') {
            Some(set) => after_set(set)?,
            None => &rest[at + 1..],
        };
    }
    Some(sample + rest)
}

/// What follows a set, given without its first bracket.
fn after_set(set: &str) -> Option<&str> {
    let mut rest = set.strip_prefix(['!', '^']).unwrap_or(set);
    loop {
        // A closing bracket in the first place is one of the set.
        let mut next = rest.chars();
        next.next()?;
        rest = match rest.strip_prefix("[:").and_then(|class| class.split_once(":]")) {
            Some((_, after)) => after,
            None => next.as_str(),
        };
        if let Some(after) = rest.strip_prefix(']') {
            return Some(after);
        }
    }
}

/// Compare names with their numbers by value: `v9` comes before `v10`.
pub(super) fn by_numbers(left: &str, right: &str) -> Ordering {
    let (mut lefts, mut rights) = (left, right);
    loop {
        let (l, r) = (first_run(lefts), first_run(rights));
        let order = match (is_digits(l), is_digits(r)) {
            (true, true) => {
                let (l, r) = (l.trim_start_matches('0'), r.trim_start_matches('0'));
                l.len().cmp(&r.len()).then_with(|| l.cmp(r))
            }
            _ => l.cmp(r),
        };
        if order.is_ne() || l.is_empty() {
            // The bytes decide between names such as v1 and v01.
            return order.then_with(|| left.cmp(right));
        }
        (lefts, rights) = (&lefts[l.len()..], &rights[r.len()..]);
    }
}

fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The digits at the beginning, or else what stands before the first digit.
fn first_run(text: &str) -> &str {
    let is_end = |c: char| c.is_ascii_digit() != is_digits(text);
    &text[..text.find(is_end).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_full_names_and_of_tags_by_default() {
        for (text, matched, passed_over) in [
            ("v*", "refs/tags/v1/x", "refs/tags/w1"),
            ("nightly-????????", "refs/tags/nightly-20260301", "refs/tags/nightly-2026"),
            ("v[0-9].[!0]", "refs/tags/v1.2", "refs/tags/v1.0"),
            ("v[[:digit:]]x", "refs/tags/v1x", "refs/tags/vax"),
            ("v[]a]", "refs/tags/va", "refs/tags/vb"),
            ("refs/changes/34/1234/*", "refs/changes/34/1234/5", "refs/changes/34/12345/5"),
            ("*", "refs/tags/x", "refs/heads/x"),
            ("exact", "refs/tags/exact", "refs/tags/exactly"),
        ] {
            let pattern: RefPattern = text.parse().unwrap();
            assert!(pattern.matches(matched) && !pattern.matches(passed_over), "{text}");
        }
        assert_eq!(
            "refs/changes/34/1234/*".parse::<RefPattern>().unwrap().beginning(),
            "refs/changes/34/1234/"
        );
        for text in
            ["", "v*/", "a b*", "a..*", "[", "v[a", "v[]", "v[[:digit:]", "v\\*", "*.lock", &"*".repeat(17)]
        {
            assert!(text.parse::<RefPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn many_wildcards_against_a_long_name_end() {
        let name = format!("refs/tags/{}", "a".repeat(60_000));
        let [stars, sets, marks] = ["*a", "*[a-a]", "*?"];
        let long = format!("*{}b", "a".repeat(1000));
        for pattern in
            [stars.repeat(16) + "b", sets.repeat(8) + "b", marks.repeat(8) + "b", "**a".repeat(8) + "b", long]
        {
            let pattern: RefPattern = pattern.parse().unwrap();
            assert!(!pattern.matches(&name));
        }
    }

    #[test]
    fn names_are_compared_number_by_number() {
        let sorted =
            ["", "01", "1", "2", "10", "a", "a1", "a1-", "a2", "a10", "a10b2", "a10b10", "a-1", "b", "é1"];
        let mut given = sorted;
        given.reverse();
        given.sort_by(|left, right| by_numbers(left, right));
        assert_eq!(
            given,
            ["", "01", "1", "2", "10", "a", "a1", "a1-", "a2", "a10", "a10b2", "a10b10", "a-1", "b", "é1"]
        );
        let (long, longer) = (format!("n-{}", "9".repeat(60_000)), format!("n-1{}", "0".repeat(60_000)));
        assert_eq!(by_numbers(&long, &longer), Ordering::Less);
    }
}
