//! The versions that tags name.

use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease};

use crate::error::ParseError;

/// A version as in [Semantic Versioning](https://semver.org).
///
/// It is read as people write tags: a `v` may stand before it, and its three numbers may begin with zeros. It is shown
/// without them. Versions compare by their precedence, and then by their build data, number by number.
///
/// ```
/// use sync_core::Version;
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// let version: Version = "v2025.02.03-rc.1".parse()?;
/// assert_eq!(version.to_string(), "2025.2.3-rc.1");
/// assert!(version < "2025.2.3".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub(super) semver::Version);

impl Version {
    /// `None` if the text is no version of three numbers below 2^64.
    pub(super) fn parse(text: &str) -> Option<Version> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut numbers = numbers.split('.').map(number);
        let mut next = || numbers.next().flatten();
        let (major, minor, patch) = (next()?, next()?, next()?);
        if numbers.next().is_some() {
            return None;
        }
        let (pre, build) = suffixes(rest)?;
        Some(Version(semver::Version { major, minor, patch, pre, build }))
    }

    /// Whether it comes before a release.
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

/// A number of a version.
pub(super) fn number(text: &str) -> Option<u64> {
    // Rust's own numbers may have a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// What follows the numbers: `-prerelease`, `+build`, both or nothing.
pub(super) fn suffixes(text: &str) -> Option<(Prerelease, BuildMetadata)> {
    let (pre, build) = match text.split_once('+') {
        Some((_, "")) => return None,
        Some((pre, build)) => (pre, BuildMetadata::new(build).ok()?),
        None => (text, BuildMetadata::EMPTY),
    };
    let pre = match pre.strip_prefix('-') {
        Some("") => return None,
        Some(pre) => Prerelease::new(pre).ok()?,
        None if pre.is_empty() => Prerelease::EMPTY,
        None => return None,
    };
    Some((pre, build))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Version::parse(text).ok_or_else(|| format!("{text:?} is not a version such as v1.2.3").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_people_write_them() {
        for (tag, version) in [
            ("1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("v2025.02.03-rc.1", "2025.2.3-rc.1"),
            ("v01.002.0003", "1.2.3"),
            ("1.2.3-a-b.c+d-e.01", "1.2.3-a-b.c+d-e.01"),
            ("1.2.3+build-1", "1.2.3+build-1"),
            ("0.0.18446744073709551615", "0.0.18446744073709551615"),
            ("1.0.0--", "1.0.0--"),
        ] {
            assert_eq!(tag.parse::<Version>().unwrap().to_string(), version, "{tag}");
        }
        for tag in [
            "",
            "v",
            "1",
            "v1.2",
            "1.2.3.4",
            "V1.2.3",
            "vv1.2.3",
            " 1.2.3",
            "1.2.3 ",
            "1.2.+3",
            "1.-2.3",
            "1..3",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-+x",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3-é",
            "1.2.3+a_b",
            "1.2.x",
            "1.2.3x",
            "18446744073709551616.0.0",
            "0.0.99999999999999999999999",
            "release-1.2.3",
            "1.2.3^{}",
            "１.2.3",
        ] {
            assert!(tag.parse::<Version>().is_err(), "{tag:?}");
        }
    }

    #[test]
    fn versions_are_in_the_order_of_semver_and_then_of_their_build_data() {
        let sorted = [
            "0.9.9",
            "1.0.0-0",
            "1.0.0-9",
            "1.0.0-10",
            "1.0.0-18446744073709551616",
            "1.0.0--",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0+0",
            "1.0.0+9",
            "1.0.0+10",
            "1.0.0+build.9",
            "1.0.0+build.10",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        let versions = sorted.map(|text| text.parse::<Version>().unwrap());
        for pair in versions.windows(2) {
            assert!(pair[0] < pair[1], "{} {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn a_prerelease_of_many_identifiers_is_compared_soon() {
        let long = format!("1.0.0-{}", vec!["1"; 10_000].join("."));
        let (long, longer) = (long.parse::<Version>().unwrap(), format!("{long}.0").parse().unwrap());
        assert!(long < longer && long.is_prerelease());
    }
}
