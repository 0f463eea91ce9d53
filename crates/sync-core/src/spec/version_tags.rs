//! Which tags count as versions, and how few references have to be listed for them.

use std::fmt;
use std::str::FromStr;

use super::ref_pattern::{RefPattern, TAGS};
use super::version::Version;
use super::version_range::{Line, VersionRange};
use crate::error::ParseError;

/// Tags that name versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionTags {
    /// The versions that count; all, prereleases too, if `None`.
    pub range: Option<VersionRange>,
    /// What stands before the version in the name of a tag. The default is nothing.
    pub prefix: TagPrefix,
    /// The pattern that the full name must match, if there is one.
    pub pattern: Option<RefPattern>,
}

impl VersionTags {
    /// All tags that name a version in the range.
    #[must_use]
    pub fn new(range: VersionRange) -> Self {
        VersionTags { range: Some(range), ..VersionTags::default() }
    }

    /// The version that a tag names by its full name, whether or not it is in the range.
    pub(super) fn version(&self, name: &str) -> Option<Version> {
        Version::parse(name.strip_prefix(TAGS)?.strip_prefix(&self.prefix.0)?)
    }

    /// Beginnings of the names of all tags that count, none of them the beginning of another.
    ///
    /// In a range of few versions, a number with more than one zero before it does not count.
    pub(super) fn prefixes(&self) -> Vec<String> {
        /// More of them would cost more than they save.
        const MOST_LINES: usize = 32;
        let lines = self.range.as_ref().and_then(VersionRange::lines);
        let lines = lines.filter(|lines| lines.len() <= MOST_LINES).unwrap_or_default();
        let all = lines.into_iter().flat_map(line_beginnings);
        let narrowed = without_longer(all.filter_map(|line| self.narrowed(&line)).collect());
        if narrowed.is_empty() { vec![self.widest()] } else { narrowed }
    }

    /// The beginning of the names of all tags, whatever the range is.
    pub(super) fn widest(&self) -> String {
        self.narrowed("").unwrap_or_else(|| format!("{TAGS}{}", self.prefix))
    }

    /// The beginning of a tag, or that of the pattern if it is longer; `None` if they exclude each other.
    fn narrowed(&self, beginning: &str) -> Option<String> {
        let tag = format!("{TAGS}{}{beginning}", self.prefix);
        let pattern = self.pattern.as_ref().map(RefPattern::beginning).unwrap_or_default();
        match pattern.starts_with(&tag) {
            true => Some(pattern.to_owned()),
            false => tag.starts_with(pattern).then_some(tag),
        }
    }
}

/// How a version of a line may begin: with a `v` or not, and with a zero before its numbers or not.
fn line_beginnings((major, minor): Line) -> Vec<String> {
    let majors = [format!("v{major}."), format!("{major}."), format!("v0{major}."), format!("0{major}.")];
    let with_minor = |minor: u64| {
        let minors = [format!("{minor}."), format!("0{minor}.")];
        majors.iter().flat_map(|major| minors.each_ref().map(|minor| format!("{major}{minor}"))).collect()
    };
    minor.map_or_else(|| majors.to_vec(), with_minor)
}

/// Leave out what begins with another one.
pub(crate) fn without_longer(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort();
    prefixes.dedup_by(|next, kept| next.starts_with(kept.as_str()));
    prefixes
}

impl fmt::Display for VersionTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags")?;
        if !self.prefix.0.is_empty() {
            write!(f, " {}", self.prefix)?;
        }
        if let Some(pattern) = &self.pattern {
            write!(f, " like {pattern}")?;
        }
        self.range.iter().try_for_each(|range| write!(f, " in \"{range}\""))
    }
}

/// What stands before the version in the name of a tag, such as `app1/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagPrefix(String);

impl fmt::Display for TagPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TagPrefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let sample = format!("{TAGS}{text}1.0.0");
        match gix::validate::reference::name(sample.as_str().into()) {
            Ok(_) => Ok(TagPrefix(text.to_owned())),
            Err(_) => Err(format!("{text:?} begins no valid tag (see git-check-ref-format(1))").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(range: &str, prefix: &str, pattern: &str) -> VersionTags {
        VersionTags {
            range: (!range.is_empty()).then(|| range.parse().unwrap()),
            prefix: prefix.parse().unwrap(),
            pattern: (!pattern.is_empty()).then(|| pattern.parse().unwrap()),
        }
    }

    #[test]
    fn only_as_many_references_are_listed_as_a_range_needs() {
        let all = || vec!["refs/tags/".to_owned()];
        let of = |lines: &[&str]| {
            let mut names: Vec<String> = lines.iter().map(|line| format!("refs/tags/{line}")).collect();
            names.sort();
            names
        };
        let minor = of(&["3.1.", "3.01.", "03.1.", "03.01.", "v3.1.", "v3.01.", "v03.1.", "v03.01."]);
        let major = of(&["3.", "03.", "v3.", "v03."]);
        let two = of(&["2.", "02.", "v2.", "v02.", "3.", "03.", "v3.", "v03."]);
        for (range, prefixes) in [
            ("~3.1", &minor),
            ("3.1.4", &minor),
            (">=3.1.0-0 <3.2.0-0", &minor),
            (">=3.1.0 <3.2.0", &minor),
            ("~3.1 || 3.1.x", &minor),
            ("^3", &major),
            ("^3 || ~3.1", &major),
            ("^3, !=3.1.2", &major),
            (">=3.1.0-0 <3.2.0", &major), // 3.2.0-rc.1 is in it
            ("2 - 3", &two),
            (">=2.5 <4", &two),
            ("*", &all()),
            (">=3", &all()),
            ("!=3", &all()),
            (">2 <1", &all()),
            ("1 - 17", &all()),
        ] {
            assert_eq!(tags(range, "", "").prefixes(), *prefixes, "{range}");
        }
        assert_eq!(tags("<16", "", "").prefixes().len(), 64);
        assert_eq!(tags("", "app1/", "").prefixes(), ["refs/tags/app1/"]);
        assert_eq!(tags("*", "app1/", "app1/v*-rc*").prefixes(), ["refs/tags/app1/v"]);
        assert_eq!(tags("^3", "", "v3.1*").prefixes(), ["refs/tags/v3.1"]);
        assert_eq!(tags("^3", "", "v*").prefixes(), ["refs/tags/v03.", "refs/tags/v3."]);
        assert_eq!(tags("*", "app1/", "app2/*").prefixes(), ["refs/tags/app1/"]);
    }

    #[test]
    fn prefixes_are_beginnings_of_tags() {
        for text in ["", "app1/", "release-", "é"] {
            assert_eq!(text.parse::<TagPrefix>().unwrap().to_string(), text);
        }
        for text in ["/", "a b", "a..", "app*", "a//", "~", "x\0", ".lock/"] {
            assert!(text.parse::<TagPrefix>().is_err(), "{text:?}");
        }
    }
}
