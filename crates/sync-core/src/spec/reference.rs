//! References and commit ids.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use gix::ObjectId;

use super::ref_pattern::{RefPattern, by_numbers};
use super::version_tags::VersionTags;
use crate::error::ParseError;

/// The full id of a commit, SHA-1 or SHA-256. It is displayed in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub(crate) ObjectId);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CommitId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        ObjectId::from_hex(text.to_ascii_lowercase().as_bytes())
            .map(CommitId)
            .map_err(|_| format!("{text:?} is not a full commit id (40 or 64 hexadecimal digits)").into())
    }
}

/// What to follow: a reference by its name, the best of several by their names, or a commit.
///
/// ```
/// use sync_core::{Reference, VersionTags};
///
/// # fn main() -> Result<(), sync_core::ParseError> {
/// let main: Reference = "main".parse()?;
/// let newest_release = Reference::Highest(VersionTags::new(">=1.2 <3".parse()?));
/// let newest_patch_set = Reference::Last("refs/changes/34/1234/*".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// `HEAD`, a full name (`refs/heads/main`), or a short one (`main`), which is looked up in the order of
    /// gitrevisions(7): a tag comes before a branch.
    Name(String),
    /// One commit, which never changes.
    Commit(CommitId),
    /// The tag with the highest version. Between equal versions their build data decides, and then the bytes of the
    /// names. The choice is made again at every sync.
    Highest(VersionTags),
    /// The name that comes last of those that match, with the numbers in names compared by value. Of Gerrit's
    /// `refs/changes/`, only patch sets count. The choice is made again at every sync.
    Last(RefPattern),
}

impl Reference {
    /// Which of two full names comes first in the order of the choice; `None` if this is no choice, or if one of them
    /// could not be chosen.
    pub(crate) fn compare(&self, left: &str, right: &str) -> Option<Ordering> {
        match self {
            Reference::Highest(tags) => Some(tags.version(left)?.cmp(&tags.version(right)?)),
            Reference::Last(pattern) if pattern.matches(left) && pattern.matches(right) => {
                Some(by_numbers(left, right))
            }
            _ => None,
        }
    }
}

/// A reference that a remote advertises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdvertisedRef {
    /// The full name.
    pub(crate) name: String,
    /// The object that it names, annotated tags peeled.
    pub(crate) commit: ObjectId,
    /// The annotated tag that it names, if any.
    pub(crate) tag: Option<ObjectId>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Name(name) => f.write_str(name),
            Reference::Commit(id) => id.fmt(f),
            Reference::Highest(tags) => tags.fmt(f),
            Reference::Last(pattern) => write!(f, "last of {pattern}"),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Ok(id) = text.parse() {
            return Ok(Reference::Commit(id));
        }
        let valid = gix::validate::reference::name_partial(text.into()).is_ok() && !text.starts_with('-');
        if valid {
            Ok(Reference::Name(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a valid reference name (see git-check-ref-format(1))").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_choice_orders_them() {
        let highest = Reference::Highest(VersionTags::new("*".parse().unwrap()));
        let last = Reference::Last("refs/heads/night-*".parse().unwrap());
        let name = Reference::Name("main".into());
        for (reference, left, right, order) in [
            (&highest, "refs/tags/v1.9.0", "refs/tags/v1.10.0", Some(Ordering::Less)),
            (&highest, "refs/tags/v1.2.3", "refs/tags/1.2.3", Some(Ordering::Equal)),
            (&highest, "refs/tags/v1.2.3", "refs/tags/latest", None),
            (&last, "refs/heads/night-9", "refs/heads/night-10", Some(Ordering::Less)),
            (&last, "refs/heads/night-9", "refs/heads/main", None),
            (&name, "refs/heads/a", "refs/heads/b", None),
        ] {
            assert_eq!(reference.compare(left, right), order, "{reference}: {left} {right}");
        }
    }

    #[test]
    fn references_are_commits_or_valid_names() {
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(id.parse(), Ok(Reference::Commit(id.parse().unwrap())));
        assert_eq!(id.parse::<Reference>().unwrap().to_string(), id.to_lowercase());
        for name in ["HEAD", "main", "feature/x", "refs/heads/main", "v1.0", "0123456"] {
            assert_eq!(name.parse(), Ok(Reference::Name(name.into())));
        }
        for name in ["", "-x", "a..b", "a b", "x.lock", "@{", "a\u{7}b", "refs/heads/"] {
            assert!(name.parse::<Reference>().is_err(), "{name:?}");
        }
    }
}
