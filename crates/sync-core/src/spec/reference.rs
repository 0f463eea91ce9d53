//! References, commit ids, and how the reference to follow is chosen.

use std::fmt;
use std::str::FromStr;

use gix::ObjectId;

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

/// What to follow: a reference name, or a commit id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// `HEAD`, a full name (`refs/heads/main`), or a short one (`main`), which is looked up in the order of
    /// gitrevisions(7): a tag comes before a branch.
    Name(String),
    /// One commit, which never changes.
    Commit(CommitId),
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

/// Which references to list, and which of them to follow. The choice depends on nothing else and is the same for every
/// remote.
pub(crate) struct RefQuery {
    /// Full names. The first one that exists is followed.
    candidates: Vec<String>,
}

impl RefQuery {
    /// The query for a name, in the order of gitrevisions(7). A commit id needs no references.
    pub(crate) fn of(reference: &Reference) -> RefQuery {
        let candidates = match reference {
            Reference::Commit(_) => Vec::new(),
            Reference::Name(name) if name == "HEAD" || name.starts_with("refs/") => vec![name.clone()],
            Reference::Name(name) => ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"]
                .map(|prefix| format!("{prefix}{name}"))
                .into(),
        };
        RefQuery { candidates }
    }

    /// Prefixes of the names of all references that may be chosen.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        self.candidates.clone()
    }

    /// Choose the reference to follow among those that a remote lists.
    pub(crate) fn choose<'a>(&self, refs: &'a [AdvertisedRef]) -> Option<&'a AdvertisedRef> {
        self.candidates.iter().find_map(|name| refs.iter().find(|found| found.name == *name))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Name(name) => f.write_str(name),
            Reference::Commit(id) => id.fmt(f),
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

    #[test]
    fn a_tag_beats_a_branch_of_the_same_name() {
        let query = RefQuery::of(&Reference::Name("v1".into()));
        assert_eq!(query.prefixes()[..3], ["refs/v1", "refs/tags/v1", "refs/heads/v1"]);
        let commit = ObjectId::null(gix::hash::Kind::Sha1);
        let refs = ["refs/heads/v1", "refs/tags/v10", "refs/tags/v1"].map(|name| AdvertisedRef {
            name: name.into(),
            commit,
            tag: None,
        });
        assert_eq!(query.choose(&refs), Some(&refs[2]));
        assert_eq!(query.choose(&refs[..2]), Some(&refs[0]));
        assert_eq!(query.choose(&refs[1..2]), None);
    }
}
